"""Windows of days relative to today, for the operators with relative dates (C4, C7).

Days are those of the organisation's time zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from territory.criteria.tree import Bounds
from territory.criteria.values import FieldType
from territory.model.periods import FiscalCalendar, RelativePeriod

DAYS_MAX = 36_525
"""The most days that a rule may look back or ahead: one hundred years."""

Days = tuple[date | None, date | None]
"""The first and the last day of a window; None for an open end."""

Window = Callable[[date, FiscalCalendar], Days]


def last_days(count: int) -> Window:
    """Return the window of today and `count` days before it."""
    return lambda today, _: (_moved(today, -count), today)


def next_days(count: int) -> Window:
    """Return the window of today and `count` days after it."""
    return lambda today, _: (today, _moved(today, count))


def before_last_days(count: int) -> Window:
    """Return the window of all days before the window of `last_days`."""
    return lambda today, _: (None, _moved(today, -count - 1))


def period(name: RelativePeriod) -> Window:
    """Return the window of a calendar month, or of a fiscal quarter or year."""
    return lambda today, calendar: calendar.days_of(name, today)


def bounds_of(kind: FieldType, days: Days, calendar: FiscalCalendar) -> Bounds:
    """Convert a window to inclusive bounds of a date or datetime field."""
    first, last = days
    if kind == "date":
        return first, last
    return first and calendar.start_of(first), last and calendar.end_of(last)


def _moved(day: date, days: int) -> date:
    """Add days to a day; clamp to the calendar's first and last day."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))
