"""A record's values as rules compare them: money in the organisation's currency (C9)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from territory.criteria.values import Unreadable
from territory.model.compiled import Model, compile_model
from territory.model.pieces import ObjectType
from territory.record_values import record_values

RATES = [("2017-Q1", "1.1"), ("2017-Q3", "1.2"), ("2018-Q1", "2")]
RULE = {"field": "revenue", "ge": 1}


def model_of(**sections: Any) -> Model:
    document: dict[str, Any] = {
        "org": "acme",
        "fields": {"account": {"revenue": "money", "staff": "number"}, "deal": {"amount": "money"}},
        "rates": [{"from": "EUR", "period": period, "rate": rate} for period, rate in RATES],
        "territories": [{"id": "t0", "rules": {"account": RULE, "deal": {"field": "amount", "ge": 1}}}],
    }
    return compile_model(document | sections, 1)


MODEL = model_of()


def money_of(model: Model, kind: ObjectType, **fields: Any) -> Any:
    """Return the one money value; None: unreadable."""
    name = "amount" if kind == "deal" else "revenue"
    values, unreadable = record_values(model, kind, model.field_types[kind], fields)
    assert unreadable == isinstance(values[name], Unreadable)
    return None if unreadable else values[name]


@pytest.mark.parametrize(
    ("close_date", "amount"),
    [
        ("2017-03-31", "110"),
        ("2017-06-30", "110"),
        ("2017-07-01", "120"),
        ("2030-01-01", "200"),
        ("2016-12-31", None),
        ("soon", None),
        (None, None),
    ],
)
def test_deal_converts_at_its_close_date(close_date: str | None, amount: str | None) -> None:
    """Whatever the day is; without a rate or a close date its money is unreadable (C9, F10)."""
    for model in (MODEL, MODEL.on(date(2017, 5, 1))):
        found = money_of(model, "deal", amount=100, currency="EUR", close_date=close_date)
        assert found == (None if amount is None else Decimal(amount))
    assert money_of(MODEL, "deal", amount=100, close_date=close_date) == 100


@pytest.mark.parametrize(
    ("today", "revenue"),
    [(date(2016, 12, 31), None), (date(2017, 1, 1), "110"), (date(2017, 7, 1), "120"), (date(2020, 1, 1), "200")],
)
def test_other_records_convert_at_the_rate_of_today(today: date, revenue: str | None) -> None:
    """The rate is the last one whose period has begun (C9, F10)."""
    found = money_of(MODEL.on(today), "account", revenue=100, currency="EUR")
    assert found == (None if revenue is None else Decimal(revenue))


@pytest.mark.parametrize(
    ("currency", "revenue"),
    [
        ("USD", 100),
        (" usd ", 100),
        (None, 100),
        ("", 100),
        ("eur", Decimal(200)),
        ("CHF", None),
        (978, None),
        ("Euro", None),
        (["EUR"], None),
    ],
)
def test_currencies(currency: Any, revenue: Decimal | None) -> None:
    """No currency is the organisation's; one that cannot be read has no rate (C9, F10)."""
    assert money_of(MODEL, "account", revenue=100, currency=currency) == revenue


def test_only_money_converts() -> None:
    """Numbers stay; missing money stays missing; unreadable money stays unreadable, with what was found (C6, C9)."""
    types = MODEL.field_types["account"]
    assert record_values(MODEL, "account", types, {"staff": 5, "currency": "CHF"}) == ({"staff": 5}, 0)
    for fields, found in (
        ({"revenue": "much", "currency": "EUR"}, '"much"'),
        ({"revenue": "5.50", "currency": "CHF"}, '"5.50 CHF"'),
    ):
        values, unreadable = record_values(MODEL, "account", types, fields)
        value = values["revenue"]
        assert isinstance(value, Unreadable)
        assert (value.found, unreadable) == (found, 1)


def test_no_digit_is_lost() -> None:
    """The product of an amount and a rate is exact (C9, F10)."""
    model = model_of(rates=[{"from": "EUR", "period": "2017-Q1", "rate": "1.000000000001"}])
    assert money_of(model, "account", revenue="0.000000000001", currency="EUR") == Decimal("0.000000000001000000000001")
    found = money_of(model, "account", revenue="100000000000000000000000000001", currency="EUR")
    assert found == Decimal("100000000000100000000000000001.000000000001")


@pytest.mark.parametrize(
    ("sections", "depends"),
    [
        ({}, True),
        ({"rates": []}, False),
        ({"territories": [{"id": "t0", "rules": {"deal": {"field": "amount", "ge": 1}}}]}, False),
        ({"territories": [{"id": "t0", "rules": {"account": {"field": "staff", "ge": 1}}}]}, False),
        ({"territories": [{"id": "t0"}], "sharing": [{"id": "s", "object": "account", "criteria": RULE,
                                                      "to": {"territory": "t0"}}]}, True),
    ],
)  # fmt: skip
def test_which_models_follow_the_day(sections: dict[str, Any], depends: bool) -> None:
    """Models with rates and a rule on money of another object than deals: their sweep follows at midnight (C7, C9)."""
    model = model_of(**sections)
    assert model.uses_relative_dates is depends
    assert (model.on(date(2017, 7, 1)) is not model) is depends


def test_rates_decide_only_where_rules_compare_money() -> None:
    """Models that differ in rates alone decide alike, unless a rule compares money (C9)."""
    for territories, alike in (([{"id": "t0", "rules": {"account": RULE}}], False),
                               ([{"id": "t0"}], True)):  # fmt: skip
        one, other = (
            model_of(territories=territories, rates=[{"from": "EUR", "period": "2017-Q1", "rate": rate}])
            for rate in (1, 2)
        )
        assert (one.deciding == other.deciding) is alike
