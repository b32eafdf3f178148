from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from territory.model.periods import FiscalCalendar
from territory.wire.events import Attainment
from territory_admin.reports.history import DailyAttainments

NOON = datetime(2017, 3, 1, 12, tzinfo=UTC)


def attainment(won: str, target: str | None = "200") -> Attainment:
    return Attainment("acme", "west", "2017-Q1", None, 1, target, won, "1", "2", "3", "4", "0", 5, "75.25", "6", "7")


def ms(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_a_day_has_its_last_value() -> None:
    """Each day with a message has one point with the last value; a removed attainment has no figures (F13)."""
    found = DailyAttainments(FiscalCalendar())
    for day, won in ((0, "10"), (0, "30"), (2, "20")):
        found.take("west", "2017-Q1", ms(NOON + timedelta(days=day)), attainment(won))
    found.take("west", "2017-Q1", ms(NOON + timedelta(days=3)), None)
    found.take("east", "2017-Q1", ms(NOON), attainment("7", None))
    points = found.points()
    assert [(point.territory_id, point.day, point.won, point.target) for point in points] == [
        ("east", date(2017, 3, 1), "7", None),
        ("west", date(2017, 3, 1), "30", "200"),
        ("west", date(2017, 3, 3), "20", "200"),
        ("west", date(2017, 3, 4), None, None),
    ]
    assert (points[1].pipeline, points[1].best_case, points[1].committed, points[1].weighted) == ("1", "2", "3", "4")
    assert [(point.deals_won, point.attainment_pct) for point in points[2:]] == [(5, "75.25"), (0, None)]


def test_days_are_the_organisations() -> None:
    """23:30 in UTC belongs to the next day in Berlin."""
    late = ms(datetime(2017, 3, 1, 23, 30, tzinfo=UTC))
    for zone, day in (("UTC", 1), ("Europe/Berlin", 2)):
        found = DailyAttainments(FiscalCalendar(zone=ZoneInfo(zone)))
        found.take("west", "2017-Q1", late, attainment("1"))
        assert [point.day.day for point in found.points()] == [day]


@given(st.lists(st.tuples(st.integers(0, 96), st.integers(0, 9)), max_size=30))
def test_compaction_leaves_a_part_of_the_history(published: list[tuple[int, int]]) -> None:
    """The points of a compacted topic are the newest points of the whole topic."""
    messages = [(NOON + timedelta(hours=hours), attainment(str(won))) for hours, won in sorted(published)]
    whole, compacted = DailyAttainments(FiscalCalendar()), DailyAttainments(FiscalCalendar())
    for instant, value in messages:
        whole.take("west", "2017-Q1", ms(instant), value)
    for instant, value in messages[len(messages) // 2 :]:  # of what is older the last one may be left, or nothing
        compacted.take("west", "2017-Q1", ms(instant), value)
    left = compacted.points()
    assert left == whole.points()[len(whole.points()) - len(left) :]
