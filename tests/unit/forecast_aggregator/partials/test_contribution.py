"""What one deal adds to which sums, or why it is left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from territory.wire.events import Assignment
from tests.unit.forecast_aggregator.examples import Q1, TERRITORIES, deal, model_of

MODEL = model_of()


def counted(assignment: Assignment) -> Contribution:
    """Return a deal's contribution; it must have one."""
    found = contribution_of(assignment, MODEL)
    assert isinstance(found, Contribution)
    return found


def test_won_deal() -> None:
    """A won deal counts with its amount, unweighted, along its path, in the period of its close date (F1, F2)."""
    assert counted(deal(probability="0.5")) == Contribution(
        path=("bay", "west", "world"), period=Q1, category="won", amount=Decimal(100), weighted=Decimal(0),
        owner_id="bob", by_others=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "category", "weighted"),
    [
        ({"stage": "Prospecting"}, "pipeline", "10"),
        ({"stage": "Engaging"}, "best_case", "40"),
        ({"stage": "Signing"}, "committed", "0"),
        ({"stage": "Prospecting", "forecast_category": "committed"}, "committed", "10"),
        ({"stage": "Prospecting", "forecast_category": "likely"}, "pipeline", "10"),
        ({"stage": "Prospecting", "forecast_category": ["won"]}, "pipeline", "10"),
        ({"stage": "Prospecting", "forecast_category": "Closed"}, "pipeline", "10"),
        ({"stage": "Won", "forecast_category": "Closed"}, "won", "0"),
        ({"stage": "no such stage", "forecast_category": "pipeline"}, "pipeline", "0"),
        ({"stage": "Prospecting", "probability": 0.25}, "pipeline", "25"),
        ({"stage": "Prospecting", "probability": "0"}, "pipeline", "0"),
        ({"stage": "Prospecting", "probability": "1.1"}, "pipeline", "10"),
        ({"stage": "Prospecting", "probability": "-0.1"}, "pipeline", "10"),
        ({"stage": "Prospecting", "probability": "likely"}, "pipeline", "10"),
    ],
)
def test_category_and_weight(said: dict[str, Any], category: str, weighted: str) -> None:
    """They follow from the stage; a valid category or probability of the deal overrides it (F1)."""
    found = counted(deal(**said))
    assert (found.category, found.weighted) == (category, Decimal(weighted))


@pytest.mark.parametrize(
    "said",
    [
        {"stage": "Lost"},
        {"forecast_category": "omitted"},
        {"stage": "Lost", "amount": None},
        {"stage": "Lost", "forecast_category": "Closed"},
    ],
)
def test_omitted_deal(said: dict[str, Any]) -> None:
    """An omitted deal is in no sum and not on the list (F1)."""
    assert contribution_of(deal(**said), MODEL) is None


@pytest.mark.parametrize(
    ("assignment", "reason", "named"),
    [
        (deal(None), "unassigned", "it names no account"),
        (deal(None, stage="Lost"), "unassigned", "it names no account"),
        (replace(deal(None), unassigned=None), "unassigned", "it has no territory"),
        (deal("sold"), "unassigned", "sold"),
        (deal(stage="Dreaming"), "unknown_stage", 'its stage "Dreaming"'),
        (deal(stage=None), "unknown_stage", "it has no stage"),
        (deal(stage=" "), "unknown_stage", "it has no stage"),
        (deal(stage=["Won"]), "unknown_stage", '["Won"]'),
        (replace(deal(), deal=None), "unknown_stage", "it has no stage"),
        (deal(amount=None), "no_amount", "no amount"),
        (deal(amount=" "), "no_amount", "no amount"),
        (deal(amount="much"), "no_amount", 'found "much"'),
        (deal(amount=True), "no_amount", "found true"),
        (deal(close_date="soon"), "no_close_date", 'found "soon"'),
        (deal(close_date=None), "no_close_date", "no close date"),
        (deal(close_date="2017-02-29"), "no_close_date", 'found "2017-02-29", expected a date such as'),
        (deal(currency="GBP"), "missing_rate", "GBP for 2017-Q1"),
        (deal(currency="EUR", close_date="2016-12-31"), "missing_rate", "the first one is for 2017-Q1"),
        (deal(currency=978), "missing_rate", "found 978, expected a currency's code"),
        (deal(currency="Euro"), "missing_rate", 'found "Euro"'),
        (deal(currency="\u00dfd"), "missing_rate", 'found "\u00dfd"'),  # SSD in capital letters
    ],
)
def test_left_out(assignment: Assignment, reason: str, named: str) -> None:
    """A deal is left out with a reason that names the value found (F2, F10)."""
    found = contribution_of(assignment, MODEL)
    assert isinstance(found, LeftOut)
    assert found.reason == reason
    assert named in found.detail


@pytest.mark.parametrize("name", ["stage", "amount", "close_date", "currency"])
@pytest.mark.parametrize("value", ["x" * 100_000, ["x" * 100_000], {"value": "x" * 100_000}], ids=type)
def test_reason_shows_the_beginning_of_a_long_value(name: str, value: Any) -> None:
    """The list of left-out deals has a short reason for each, whatever a record carries (F2)."""
    found = contribution_of(deal(**{name: value}), MODEL)
    assert isinstance(found, LeftOut)
    assert len(found.detail) < 250


@pytest.mark.parametrize(
    ("amount", "currency", "exact"),
    [
        ("1054.50", None, "1054.50"),
        (1054.5, "USD", "1054.5"),
        ("100", "", "100"),
        ("100", " usd", "100"),
        ("100", "eur", "108"),
        ("100.01", "EUR", "108.0108"),
        ("-3", "USD", "-3"),
        ("123456789012345678901234567890", None, None),
        ("12345678901234567890123456789.123456789012", "EUR", "13333333213333333321333333332.25333333213296"),
    ],
)
def test_amounts_are_exact(amount: Any, currency: Any, exact: str | None) -> None:
    """Amounts are converted by the rate of the close date's period without losing a digit (C6, F10)."""
    assignment = deal(amount=amount, currency=currency)
    if exact is None:
        exact = amount
    assert counted(assignment).amount == Decimal(exact)


@pytest.mark.parametrize(
    ("territory_id", "owner_id", "by_others"),
    [
        ("bay", "bob", False),
        ("west", "ann", False),
        ("bay", "ann", True),
        ("west", "stranger", True),
        ("west", None, True),
    ],
)
def test_owner_who_is_not_a_member(territory_id: str, owner_id: str | None, by_others: bool) -> None:
    """Credit goes to the deal's territory anyway; members are its users and its own manager (F3)."""
    assert counted(deal(territory_id, owner_id=owner_id)).by_others is by_others


@pytest.mark.parametrize(("members", "by_others"), [(["bob", "eve"], False), (["eve"], True), (["gone"], True)])
def test_deal_of_a_group(members: list[str], by_others: bool) -> None:
    """It is in no user's sum, and by others unless an active member is a member of the territory (F3, F4, V10)."""
    users: list[dict[str, Any]] = [{"id": name, "role": "rep"} for name in ("ann", "bob", "eve")]
    users.append({"id": "gone", "role": "rep", "active": False})
    territories = [*TERRITORIES[:2], {**TERRITORIES[2], "users": ["gone"]}, *TERRITORIES[3:]]
    model = model_of(users=users, territories=territories, groups=[{"id": "crew", "users": members}])
    found = contribution_of(deal("bay", owner_id="crew"), model)
    assert isinstance(found, Contribution)
    assert (found.owner_id, found.by_others, found.amount) == (None, by_others, Decimal(100))


@pytest.mark.parametrize(
    ("close_date", "zone", "period"),
    [
        ("2026-10-01T00:30:00Z", "America/Los_Angeles", "2026-Q3"),
        ("2026-10-01T00:30:00Z", "UTC", "2026-Q4"),
        ("2026-09-30T23:30:00-07:00", "UTC", "2026-Q4"),
        ("2026-09-30", "Pacific/Kiritimati", "2026-Q3"),
        ("2026-09-30T12:00:00Z", "Pacific/Kiritimati", "2026-Q4"),
        ("2026-03-31T22:30:00Z", "Europe/Berlin", "2026-Q2"),  # in summer time, which began two days before
        ("2026-12-31T23:30:00Z", "Europe/Berlin", "2027-Q1"),
    ],
)
def test_close_date_is_a_day_of_the_organisation(close_date: str, zone: str, period: str) -> None:
    """A date is a day; an instant counts on its day in the organisation's time zone (C8, F10)."""
    found = contribution_of(deal(close_date=close_date), model_of(settings={"time_zone": zone}))
    assert isinstance(found, Contribution)
    assert found.period == period


@pytest.mark.parametrize("close_date", ["0001-01-01T00:30:00Z", "9999-12-31T23:30:00Z"])
def test_close_date_beyond_the_calendar_of_the_zone(close_date: str) -> None:
    """An instant without a day in the zone cannot be read, and stops nothing (C8)."""
    zones = ("America/Los_Angeles", "Asia/Tokyo")
    found = [contribution_of(deal(close_date=close_date), model_of(settings={"time_zone": zone})) for zone in zones]
    assert [each.reason for each in found if isinstance(each, LeftOut)] == ["no_close_date"]


@pytest.mark.parametrize(("start", "period", "year"), [(1, "9999-Q4", "9999"), (4, "10000-Q3", "10000")])
def test_close_date_that_stands_for_ever(start: int, period: str, year: str) -> None:
    """The last day of the calendar has a period and a year like any other, also in a foreign currency (F10, F14)."""
    rates = [{"from": "EUR", "period": Q1, "rate": "2"}]
    model = model_of(fiscal_year_start=start, rates=rates)
    found = contribution_of(deal(currency="EUR", amount="1", close_date="9999-12-31"), model)
    assert isinstance(found, Contribution)
    assert (found.period, found.year, found.amount) == (period, year, Decimal(2))
    assert model.calendar.is_period(period)
    assert model.calendar.is_year(year)
    assert period in model.calendar.periods_of(year)


def test_rates_carry_forward() -> None:
    """A rate holds from its period until the next one that is given (F10)."""
    rates = [{"from": "EUR", "period": period, "rate": rate} for period, rate in (("2017-Q3", "3"), (Q1, "2"))]
    model, amounts = model_of(rates=rates), []
    for close_date in ("2017-03-31", "2017-06-30", "2017-07-01", "2030-01-01"):
        found = contribution_of(deal(currency="EUR", amount="1", close_date=close_date), model)
        assert isinstance(found, Contribution)
        amounts.append(found.amount)
    assert amounts == [2, 2, 3, 3]
