"""Attainment over time: what was said of it last on each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from territory.model.periods import FiscalCalendar
from territory.wire.events import Attainment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Point:
    """How a territory stood in a period at the end of a day; amounts are exact texts, None where there is none."""

    day: date
    territory_id: str
    period: str
    target: str | None
    won: str | None
    """None: the attainment was gone."""
    pipeline: str | None
    best_case: str | None
    committed: str | None
    weighted: str | None
    deals_won: int
    attainment_pct: str | None


class Histories:
    """The attainments of some territories, day by day of the organisation. Memory: the last value of each day."""

    def __init__(self, calendar: FiscalCalendar) -> None:
        """Take the calendar that says when a day begins."""
        self._calendar = calendar
        self._days: dict[tuple[str, str], dict[date, Attainment | None]] = {}

    def take(self, territory_id: str, period: str, said_ms: int, attainment: Attainment | None) -> None:
        """Take what was said, in the order in which it was, and when: ms of the epoch; None: it is gone."""
        day = self._calendar.day_of(EPOCH + timedelta(milliseconds=said_ms))
        self._days.setdefault((territory_id, period), {})[day] = attainment

    def points(self) -> list[Point]:
        """Return the points by territory, period and day. A day on which nothing was said has none: nothing changed."""
        return [
            _point(day, territory_id, period, days[day])
            for (territory_id, period), days in sorted(self._days.items())
            for day in sorted(days)
        ]


def _point(day: date, territory_id: str, period: str, said: Attainment | None) -> Point:
    if said is None:
        return Point(day, territory_id, period, *(None,) * 6, deals_won=0, attainment_pct=None)
    return Point(
        day=day,
        territory_id=territory_id,
        period=period,
        target=said.target,
        won=said.won,
        pipeline=said.pipeline,
        best_case=said.best_case,
        committed=said.committed,
        weighted=said.weighted,
        deals_won=said.deals_won,
        attainment_pct=said.attainment_pct,
    )
