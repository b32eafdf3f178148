"""Fiscal periods and their names, and days in an organisation's time zone."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Literal

PeriodKind = Literal["month", "quarter"]
RelativePeriod = Literal[
    "this_month", "this_quarter", "this_year", "previous_month", "previous_quarter", "previous_year"
]

_NUMBER_OF_YEAR = "(?:[0-9]{4}|10000)"
"""The day 9999-12-31, which stands for "never" in CRMs, may be in the fiscal year 10000."""
_NAMES = {
    "month": re.compile(rf"{_NUMBER_OF_YEAR}-(0[1-9]|1[0-2])"),
    "quarter": re.compile(rf"{_NUMBER_OF_YEAR}-Q([1-4])"),
}
_YEAR = re.compile(_NUMBER_OF_YEAR)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_MICROSECOND, _DAY = timedelta(microseconds=1), timedelta(days=1)
_FIRST_INSTANT, _LAST_INSTANT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the IANA time zones from the package tzdata, so that all machines agree."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def months_of(year: str) -> tuple[str, ...]:
    """Return the names of the months of a fiscal year, in order."""
    return tuple(f"{year}-{number:02d}" for number in range(1, 13))


def quarters_of(year: str) -> tuple[str, ...]:
    """Return the names of the quarters of a fiscal year, in order."""
    return tuple(f"{year}-Q{number}" for number in range(1, 5))


def by_time(period: str) -> tuple[int, str]:
    """Return the sort key of periods of one kind: as texts, but for the year 10000."""
    return len(period), period


@dataclass(frozen=True, slots=True)
class FiscalCalendar:
    """Maps days to fiscal periods, and instants to days of a time zone.

    A fiscal year that does not start in January is named for the calendar year in which it
    ends; `2017-01` is then the first month of that fiscal year.
    """

    kind: PeriodKind = "quarter"
    fiscal_year_start: int = 1
    zone: tzinfo = UTC

    def period_of(self, day: date) -> str:
        """Return the name of a day's period."""
        months_in = (day.month - self.fiscal_year_start) % 12
        year = day.year if self.fiscal_year_start == 1 or day.month < self.fiscal_year_start else day.year + 1
        if self.kind == "month":
            return f"{year:04d}-{months_in + 1:02d}"
        return f"{year:04d}-Q{months_in // 3 + 1}"

    def is_period(self, name: str) -> bool:
        """Whether a text names a period of this calendar."""
        return _NAMES[self.kind].fullmatch(name) is not None

    @staticmethod
    def is_year(name: str) -> bool:
        """Whether a text names a fiscal year (F14)."""
        return _YEAR.fullmatch(name) is not None

    @staticmethod
    def year_of(period: str) -> str:
        """Return the fiscal year of a period of any kind; a year's is itself."""
        return period.partition("-")[0]

    def periods_of(self, year: str) -> tuple[str, ...]:
        """Return the periods of a fiscal year, in order."""
        return months_of(year) if self.kind == "month" else quarters_of(year)

    @property
    def example(self) -> str:
        """A well-formed period name, for messages."""
        return "2017-03" if self.kind == "month" else "2017-Q1"

    def days_of(self, period: RelativePeriod, today: date) -> tuple[date, date]:
        """Return the first and the last day of this or the previous calendar month, fiscal quarter or fiscal year.

        Limits: today must be after year 1.
        """
        which, unit = period.split("_")
        length = _MONTHS[unit]
        first = 12 * today.year + today.month - 1  # months since the year 0
        first -= (today.month - self.fiscal_year_start) % length
        if which == "previous":
            first -= length
        year, month = divmod(first + length - 1, 12)
        return date(first // 12, first % 12 + 1, 1), date(year, month + 1, monthrange(year, month + 1)[1])

    def day_of(self, instant: datetime) -> date:
        """Return the day of an aware instant in the calendar's time zone."""
        return instant.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """Return the first instant of a day in the calendar's time zone, in UTC."""
        return start_of_day(day, self.zone)

    def end_of(self, day: date) -> datetime:
        """Return the last instant of a day in the calendar's time zone, in UTC, to the microsecond."""
        return end_of_day(day, self.zone)


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the first instant of a day in a time zone, in UTC.

    Where clocks skip midnight, the day starts at the jump; where they show it twice, at the first one. The
    calendar's first day has no start: no instant is before it.
    """
    if day == date.min:
        return _FIRST_INSTANT
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the last instant of a day in a time zone, in UTC, to the microsecond.

    The calendar's last day has no end: no instant is after it.
    """
    if day == date.max:
        return _LAST_INSTANT
    return start_of_day(day + _DAY, zone) - _MICROSECOND
