"""Fiscal months and quarters."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.periods import FiscalCalendar, PeriodKind, RelativePeriod, time_zones
from tests.support.oracle import period_of

kinds = st.sampled_from(["month", "quarter"])
starts = st.integers(1, 12)
days = st.dates(date(1970, 1, 1), date(9990, 12, 31))


@given(days, kinds, starts)
def test_periods_agree_with_the_oracle(day: date, kind: PeriodKind, start: int) -> None:
    """Every day is in the period that the oracle computes (domain: period)."""
    assert FiscalCalendar(kind, start).period_of(day) == period_of(day, kind, start)


@given(days, kinds, starts)
def test_every_day_has_a_period(day: date, kind: PeriodKind, start: int) -> None:
    """The name of every day's period is a valid period name (domain: period)."""
    calendar = FiscalCalendar(kind, start)
    assert calendar.is_period(calendar.period_of(day))
    assert calendar.is_period(calendar.example)


@given(days, kinds, starts)
def test_periods_follow_one_another(day: date, kind: PeriodKind, start: int) -> None:
    """Period names sort by time; each period starts with a month, and no name repeats."""
    calendar = FiscalCalendar(kind, start)
    today, tomorrow = calendar.period_of(day), calendar.period_of(day + timedelta(days=1))
    assert today <= tomorrow
    if today != tomorrow:
        assert (day + timedelta(days=1)).day == 1


@given(st.integers(1970, 9990), starts)
def test_a_fiscal_year_has_four_quarters_of_three_months(year: int, start: int) -> None:
    """A fiscal year has twelve months in four quarters."""
    firsts = [date(year + (start - 1 + index) // 12, (start - 1 + index) % 12 + 1, 1) for index in range(12)]
    months = [FiscalCalendar("month", start).period_of(day) for day in firsts]
    quarters = [FiscalCalendar("quarter", start).period_of(day) for day in firsts]
    number = firsts[-1].year  # the calendar year in which it ends
    assert months == [f"{number:04d}-{index + 1:02d}" for index in range(12)]
    assert quarters == [f"{number:04d}-Q{index // 3 + 1}" for index in range(12)]


@pytest.mark.parametrize(
    ("start", "day", "month", "quarter"),
    [
        (1, "2017-01-01", "2017-01", "2017-Q1"),
        (1, "2016-02-29", "2016-02", "2016-Q1"),
        (1, "2017-12-31", "2017-12", "2017-Q4"),
        (4, "2016-04-01", "2017-01", "2017-Q1"),
        (4, "2017-03-31", "2017-12", "2017-Q4"),
        (4, "2016-02-29", "2016-11", "2016-Q4"),
        (7, "2016-06-30", "2016-12", "2016-Q4"),
        (7, "2016-07-01", "2017-01", "2017-Q1"),
        (12, "2016-11-30", "2016-12", "2016-Q4"),
        (12, "2016-12-01", "2017-01", "2017-Q1"),
        (12, "2017-01-15", "2017-02", "2017-Q1"),
        (12, "2017-02-28", "2017-03", "2017-Q1"),
    ],
)
def test_fiscal_years(start: int, day: str, month: str, quarter: str) -> None:
    """A fiscal year that does not start in January bears the number of the year in which it ends."""
    assert FiscalCalendar("month", start).period_of(date.fromisoformat(day)) == month
    assert FiscalCalendar("quarter", start).period_of(date.fromisoformat(day)) == quarter


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("quarter", "2017-Q0"),
        ("quarter", "2017-Q5"),
        ("quarter", "2017-03"),
        ("quarter", "2017-q1"),
        ("quarter", "17-Q1"),
        ("quarter", "2017-Q1\n"),
        ("quarter", "2017Q1"),
        ("quarter", "٢٠١٧-Q1"),
        ("month", "2017-00"),
        ("month", "2017-13"),
        ("month", "2017-3"),
        ("month", "2017-Q1"),
        ("month", ""),
    ],
)
def test_malformed_periods(kind: PeriodKind, name: str) -> None:
    """A name that is not exactly that of a period of the organisation's kind is refused (C5)."""
    assert not FiscalCalendar(kind).is_period(name)


# --- seen from today --------------------------------------------------------------------------

zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "Etc/GMT+12"])
A_DAY, A_MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


@given(days, starts, st.sampled_from(["month", "quarter"]))
def test_this_and_the_previous_period(day: date, start: int, kind: PeriodKind) -> None:
    """The current period contains today, and the previous one ends the day before it (domain: period)."""
    calendar = FiscalCalendar(kind, start)
    first, last = calendar.days_of(f"this_{kind}", day)  # type: ignore[arg-type]  # a month or a quarter
    earliest, latest = calendar.days_of(f"previous_{kind}", day)  # type: ignore[arg-type]
    assert first <= day <= last
    assert calendar.period_of(first) == calendar.period_of(last) == calendar.period_of(day)
    assert calendar.period_of(first - A_DAY) != calendar.period_of(day) != calendar.period_of(last + A_DAY)
    assert latest == first - A_DAY
    assert calendar.days_of(f"this_{kind}", latest) == (earliest, latest)  # type: ignore[arg-type]


@given(days, starts)
def test_this_and_the_previous_year(day: date, start: int) -> None:
    """The current and the previous fiscal year have twelve months each (domain: period)."""
    calendar = FiscalCalendar("month", start)
    first, last = calendar.days_of("this_year", day)
    assert first <= day <= last
    assert (first.month, first.day) == (start, 1)
    assert calendar.period_of(last) == f"{calendar.period_of(first)[:4]}-12"
    assert calendar.days_of("previous_year", day) == calendar.days_of("this_year", first - A_DAY)


def test_the_end_of_the_calendar() -> None:
    """The last day of the calendar has periods."""
    for name in get_args(RelativePeriod):
        first, last = FiscalCalendar().days_of(name, date.max)
        assert first < last


@given(days, zones)
def test_a_day_begins_and_ends(day: date, zone: str) -> None:
    """A day has all instants from its start to its end; the neighbouring instants belong to other days."""
    calendar = FiscalCalendar(zone=ZoneInfo(zone))
    start, end = calendar.start_of(day), calendar.end_of(day)
    if start < end:  # some zones have skipped a whole day
        assert calendar.day_of(start) == calendar.day_of(end) == day
    assert calendar.day_of(start - A_MICROSECOND) < day < calendar.day_of(end + A_MICROSECOND)
    assert calendar.start_of(day + A_DAY) - end == A_MICROSECOND


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", date(2017, 3, 1), datetime(2017, 3, 1, tzinfo=UTC), 24),
        ("Europe/Berlin", date(2017, 3, 26), datetime(2017, 3, 25, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", date(2017, 10, 29), datetime(2017, 10, 28, 22, tzinfo=UTC), 25),
        ("America/Sao_Paulo", date(2016, 10, 16), datetime(2016, 10, 16, 3, tzinfo=UTC), 23),  # without its midnight
        ("America/Sao_Paulo", date(2017, 2, 18), datetime(2017, 2, 18, 2, tzinfo=UTC), 25),
        ("Pacific/Apia", date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC), 0),  # left out
    ],
)
def test_days_that_clocks_change(zone: str, day: date, start: datetime, hours: int) -> None:
    """A day begins when the clocks first show it, and lasts until they show the next one."""
    calendar = FiscalCalendar(zone=ZoneInfo(zone))
    assert calendar.start_of(day) == start
    assert calendar.end_of(day) + A_MICROSECOND - start == timedelta(hours=hours)


def test_time_zones() -> None:
    """Time zones have exactly the names of the IANA database."""
    assert {"UTC", "Europe/Berlin", "America/New_York", "Asia/Calcutta"} <= time_zones()
    assert not time_zones() & {"Europe", "europe/berlin", "localtime", "posixrules", "CEST"}
    for zone in time_zones():
        assert ZoneInfo(zone)
