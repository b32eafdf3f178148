from __future__ import annotations

import pytest
from hypothesis import given

from forecast_aggregator.partials.contribution import Contribution, LeftOut
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.stage import Effects, InputMessage
from territory.wire.events import DealFacts
from territory_admin.reports.deals import cycle_of, deal_of
from tests.unit.forecast_aggregator.examples import deal, model_of
from tests.unit.territory_admin.reports.examples import History, deals_of, histories, model


@given(histories)
def test_the_same_deals_are_left_out_as_by_the_aggregator(history: History) -> None:
    """A report takes assignments as the forecast's first stage does (F2, F10, F13)."""
    summing, models = PartialSumsFold(0, 1), {"acme": model()}
    for offset, (key, said) in enumerate(history):
        summing.apply(InputMessage("territory.assignments.v1", key, said, {}, 0, 0, offset), models, Effects())
    expected = {
        deal_id: why for deal_id in summing.deals("acme") if (why := summing.why_left_out("acme", deal_id)) is not None
    }
    found = {each.key.removeprefix("acme/deal/"): each.counted for each in deals_of(history)}
    assert {deal_id: counted for deal_id, counted in found.items() if isinstance(counted, LeftOut)} == expected


def test_a_deal_is_counted_as_in_the_forecast() -> None:
    """A won deal has its amount, path and cycle; a lost deal is in no report (F1)."""
    counted = deal_of("acme/deal/D-1", deal("bay", created_at="2017-01-01"), model())
    assert counted is not None
    assert (counted.territory_id, counted.cycle) == ("bay", 58)
    assert isinstance(counted.counted, Contribution)
    assert counted.counted.path == ("bay", "west", "world")
    assert deal_of("acme/deal/D-1", deal("bay", stage="Lost"), model()) is None
    is_open = deal_of("acme/deal/D-1", deal("bay", stage="Prospecting", created_at="2017-01-01"), model())
    assert is_open is not None
    assert is_open.cycle is None


def test_a_removed_territory_is_none() -> None:
    """A deal whose territory is not in the model is unassigned (F2)."""
    counted = deal_of("acme/deal/D-1", deal("gone"), model())
    assert counted is not None
    assert counted.territory_id is None
    assert isinstance(counted.counted, LeftOut)


@pytest.mark.parametrize(
    ("created", "closed", "cycle"),
    [
        ("2016-10-20", "2017-03-01", 132),
        ("2017-03-01", "2017-03-01", 0),
        ("2017-02-28T23:30:00-05:00", "2017-03-01", 0),
        ("2016-02-28", "2016-03-01", 2),
        ("2017-03-02", "2017-03-01", "created_after_close"),
        (None, "2017-03-01", "no_created_at"),
        ("last year", "2017-03-01", "no_created_at"),
        ("2017-03-01", None, None),
    ],
)
def test_a_sales_cycle_is_in_days(created: object, closed: object, cycle: object) -> None:
    """It runs from the day of creation to the day of the close; else the reason is given (F13)."""
    assert cycle_of(DealFacts(created_at=created, close_date=closed), model()) == cycle


@pytest.mark.parametrize(("zone", "cycle"), [("UTC", 0), ("America/New_York", 1), ("Asia/Tokyo", 1)])
def test_a_sales_cycle_is_in_days_of_the_organisation(zone: str, cycle: int) -> None:
    """Both ends are days in the organisation's time zone (C8, F13)."""
    facts = DealFacts(created_at="2017-03-01T03:00:00Z", close_date="2017-03-01T16:00:00Z")
    assert cycle_of(facts, model_of(settings={"time_zone": zone})) == cycle
