"""Fiscal months and quarters."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.periods import FiscalCalendar, PeriodKind
from tests.support.oracle import period_of

kinds = st.sampled_from(["month", "quarter"])
starts = st.integers(1, 12)
days = st.dates(date(1970, 1, 1), date(9990, 12, 31))


@given(days, kinds, starts)
def test_periods_agree_with_the_oracle(day: date, kind: PeriodKind, start: int) -> None:
    """Every day is in the period that the rules say (domain: period)."""
    assert FiscalCalendar(kind, start).period_of(day) == period_of(day, kind, start)


@given(days, kinds, starts)
def test_every_day_has_a_period(day: date, kind: PeriodKind, start: int) -> None:
    """The name of a day's period is a name that a target may use (domain: period)."""
    calendar = FiscalCalendar(kind, start)
    assert calendar.is_period(calendar.period_of(day))
    assert calendar.is_period(calendar.example)


@given(days, kinds, starts)
def test_periods_follow_one_another(day: date, kind: PeriodKind, start: int) -> None:
    """Names of later periods are later in the alphabet; a new one begins with a month, and none comes twice."""
    calendar = FiscalCalendar(kind, start)
    today, tomorrow = calendar.period_of(day), calendar.period_of(day + timedelta(days=1))
    assert today <= tomorrow
    if today != tomorrow:
        assert (day + timedelta(days=1)).day == 1


@given(st.integers(1970, 9990), starts)
def test_a_fiscal_year_has_four_quarters_of_three_months(year: int, start: int) -> None:
    """A fiscal year is twelve months from its first month on, in quarters of three."""
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
def test_what_is_no_period(kind: PeriodKind, name: str) -> None:
    """A name that is not exactly that of a period of the organisation's kind is refused (C5)."""
    assert not FiscalCalendar(kind).is_period(name)
