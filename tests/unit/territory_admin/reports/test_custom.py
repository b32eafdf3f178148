from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.wire.events import Record
from territory_admin.errors import Refused
from territory_admin.reports.custom import ATTRIBUTES, Custom, grouping_of, measures_of
from territory_admin.reports.fields import DealFields, Field, field_value
from territory_admin.reports.measures import MEASURES
from territory_admin.reports.table import ReportTable, Scope
from tests.support import oracle_forecast
from tests.support.oracle_values import product, total
from tests.unit.forecast_aggregator.examples import deal
from tests.unit.territory_admin.reports.examples import (
    DOCUMENT,
    Q1,
    History,
    assignments,
    deals_of,
    figures,
    histories,
    model,
    placed_deals,
    reported,
)

OPEN = ("pipeline", "best_case", "committed")


def record(
    object_type: Any, record_id: str, *, version: int = 1, account_id: str | None = None, **fields: Any
) -> Record:
    key = f"acme/{object_type}/{record_id}"
    return Record("acme", object_type, record_id, version, 0, False, None, account_id, None, fields, {}, key, 0, "e", 0)


def fields_of(by: list[str], *records: Record) -> DealFields:
    fields = DealFields(grouping_of(model(), by).fields)
    for each in records:
        fields.take(each.key, each)
    fields.end_partition()
    return fields


def custom(measures: list[str], by: list[str], deals: Any, *records: Record, scope: Scope | None = None) -> ReportTable:
    report = Custom(scope or Scope(model()), measures, grouping_of(model(), by), fields_of(by, *records))
    return reported(report, deals_of(deals))


def naively(deals: History, measure: str, by: tuple[str, ...]) -> dict[tuple[Any, ...], Decimal]:
    """Return a measure by groups: over the oracle's verdicts, one by one."""
    found: dict[tuple[Any, ...], Decimal] = {}
    for each, where in placed_deals(deals):
        counted = oracle_forecast.judge(each, where, DOCUMENT)
        if not isinstance(counted, oracle_forecast.Counted):
            continue
        is_open, won = counted.category in OPEN, counted.category == "won"
        members = {"world": set(), "west": {"ann"}, "bay": {"bob"}, "east": set()}[counted.territory]
        weighted = product(counted.amount, counted.probability)
        amount = {
            "won": counted.amount if won else None,
            "open": counted.amount if is_open else None,
            "weighted": weighted if is_open else None,
            "won_by_others": counted.amount if won and counted.owner_id not in members else None,
            "deals": Decimal(1),
            "deals_won": Decimal(1) if won else None, "deals_open": Decimal(1) if is_open else None,
            **{name: counted.amount if counted.category == name else None for name in OPEN},
        }[measure]  # fmt: skip
        if amount is not None:
            attributes = {"territory": counted.territory, "user": counted.owner_id, "period": counted.period,
                          "category": counted.category}  # fmt: skip
            group = tuple(attributes[name] for name in by)
            found[group] = total([found.get(group, Decimal(0)), amount])
    return found


@given(
    histories,
    st.sampled_from(sorted(MEASURES)),
    st.lists(st.sampled_from(sorted(ATTRIBUTES)), min_size=1, max_size=3, unique=True),
)
def test_groups_equal_a_naive_sum(history: History, measure: str, by: list[str]) -> None:
    """For any measure and attributes, groups and exact sums equal a naive sum, and add up (F1, F3, F10, F13)."""
    table = custom([measure], by, history)
    expected = naively(history, measure, tuple(by))
    assert {row[:-1]: Decimal(row[-1]) for row in figures(table, *by, measure)} == expected
    assert Decimal(table.totals[measure] or 0) == total(expected.values())


def test_groups_by_fields_of_the_deal_and_of_its_account() -> None:
    """Texts that criteria call equal form one group with one spelling; missing values come last (C3, F13)."""
    deals = assignments(*(deal("bay", f"D-{number}", amount=str(10**number)) for number in range(5)))
    records = (
        record("account", "A", sector="Retail"),
        record("deal", "D-0", account_id="A", product="gtx "),
        record("deal", "D-1", account_id="A", product="GTX"),
        record("deal", "D-2", account_id="B", product="GTX"),
        record("deal", "D-3", account_id="A", product=True),
    )
    table = custom(["won", "deals_won"], ["account.sector", "product"], deals, *records)
    assert figures(table, "account.sector", "product", "won", "deals_won") == [
        ("Retail", "GTX", "11", 2),
        ("Retail", None, "1000", 1),
        (None, "GTX", "100", 1),
        (None, None, "10000", 1),
    ]
    assert table.totals == {"won": "11111", "deals_won": 5}
    assert custom(["won", "deals_won"], ["account.sector", "product"], deals[::-1], *records) == table
    assert (table.labels, table.figures) == (("account.sector", "product"), ("won", "deals_won"))


def test_rows_are_sorted_by_value() -> None:
    """9 comes before 10, days are sorted by date, false comes before true."""
    deals = assignments(*(deal("bay", f"D-{number}") for number in range(3)))
    records = (
        record("account", "A", since="2017-02-01", seen="2017-01-01T01:00:00+02:00"),
        record("account", "B", since="2016-12-31", seen="2017-01-01T00:00:00Z"),
        record("deal", "D-0", account_id="A", seats="10", trial=True, tags=["b", "A"]),
        record("deal", "D-1", account_id="B", seats=9, trial=False, tags=["a"]),
        record("deal", "D-2", account_id="B", seats="9.50", tags=1.5),
    )
    for by, expected in {
        "seats": ["9", "9.5", "10"],
        "trial": ["false", "true", None],
        "tags": ["a", "a; b", None],
        "account.since": ["2016-12-31", "2017-02-01"],
        "account.seen": ["2016-12-31T23:00:00Z", "2017-01-01T00:00:00Z"],
    }.items():
        assert [row[0] for row in figures(custom(["deals"], [by], deals, *records), by)] == expected


def test_a_field_with_the_name_of_an_attribute() -> None:
    """`user` is the owner; a deal's own field `user` is written `deal.user`."""
    deals, records = assignments(deal("bay", "D-0")), (record("deal", "D-0", user="nobody"),)
    assert figures(custom(["deals"], ["user", "deal.user"], deals, *records), "user", "deal.user") == [
        ("bob", "nobody")
    ]


def test_a_report_covers_one_period_and_one_branch() -> None:
    """Only deals of the period, and of the territory and everything below it, are counted (F13)."""
    deals = assignments(deal("bay", "D-0"), deal("east", "D-1"), deal("west", "D-2", close_date="2017-04-01"))
    table = custom(["deals"], ["territory", "period"], deals, scope=Scope(model(), Q1, "west"))
    assert figures(table, "territory", "period", "deals") == [("bay", Q1, 1)]


def test_undeclared_fields_are_refused() -> None:
    """The error lists the declared fields, and the one that resembles the text (F13)."""
    with pytest.raises(Refused, match=r"found --by account.sektor, .*did you mean account.sector\?") as refused:
        grouping_of(model(), ["territory", "account.sektor"])
    listed = "territory, user, period, category, product, seats, tags, trial, deal.user, account.sector"
    assert listed in str(refused.value)
    with pytest.raises(Refused, match=r"account.place; fields have to be declared"):
        grouping_of(model(), ["xyzzy"])
    with pytest.raises(Refused, match="found --measure one, expected one of won, pipeline"):
        measures_of(["won", "one"])


def test_repeated_columns_count_once() -> None:
    """A measure or a group that is named twice is one column."""
    assert measures_of(["won", "deals", "won"]) == ("won", "deals")
    grouping = grouping_of(model(), ["product", "period", "product"])
    assert (grouping.columns, grouping.fields) == (("product", "period"), (Field("deal", "product", "text"),))


def test_the_newest_record_of_a_deal_counts() -> None:
    """Of a deal in two families the newer record counts; deleted records and those with links only do not (A4)."""
    fields = DealFields([Field("deal", "product", "text")])
    key = "acme/deal/D-0"
    fields.take(key, record("deal", "D-0", version=2, product="new"))
    fields.end_partition()
    fields.take(key, record("deal", "D-0", product="old"))
    fields.end_partition()
    assert [each.text for each in fields.of(key)] == ["new"]
    fields.take("acme/deal/D-1", record("deal", "D-1", product="gone"))
    fields.take("acme/deal/D-1", None)
    fields.take("acme/deal/D-2", record("deal", "D-2", version=0))
    fields.take("acme/contact/C", record("contact", "C", product="none"))
    fields.end_partition()
    for other in ("acme/deal/D-1", "acme/deal/D-2", "acme/contact/C"):
        assert [each.text for each in fields.of(other)] == [None]


def test_a_position_is_shown_in_degrees() -> None:
    """Values other than texts are shown in the form in which they are compared (C4)."""
    assert field_value("geo", {"lat": "52.50", "lon": 13.25}).text == "52.5, 13.25"
    assert field_value("geo", {"lat": 91, "lon": 0}).text is None


def test_deals_that_are_left_out_are_counted() -> None:
    """A custom report counts them by reason, as every report does (F2)."""
    table = custom(["won"], ["territory"], assignments(deal(None, "D-0"), deal("bay", "D-1", amount="many")))
    assert (table.rows, table.left_out) == ((), {"no_amount": 1, "unassigned": 1})
