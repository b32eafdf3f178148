"""Attainment over time: the last value of each day; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from territory.model.periods import FiscalCalendar
from territory.wire.events import Attainment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """The attainment of a territory in a period at the end of a day; amounts are exact decimals as text."""

    day: date
    territory_id: str
    period: str
    target: str | None
    won: str | None
    """None if the attainment was removed that day."""
    pipeline: str | None
    best_case: str | None
    committed: str | None
    weighted: str | None
    deals_won: int
    attainment_pct: str | None


class DailyAttainments:
    """The attainments of some territories by day. Memory: the last value of each day."""

    def __init__(self, calendar: FiscalCalendar) -> None:
        """Use the calendar of the organisation, which has its time zone."""
        self._calendar = calendar
        self._days: dict[tuple[str, str], dict[date, Attainment | None]] = {}

    def take(self, territory_id: str, period: str, published_ms: int, attainment: Attainment | None) -> None:
        """Add a message of the topic, in order.

        Args:
            territory_id: Whose attainment it is.
            period: In which period.
            published_ms: Its timestamp, in ms of the epoch.
            attainment: None if it was removed.
        """
        day = self._calendar.day_of(EPOCH + timedelta(milliseconds=published_ms))
        self._days.setdefault((territory_id, period), {})[day] = attainment

    def points(self) -> list[HistoryPoint]:
        """Return the points by territory, period and day; a day without a message has none, since nothing changed."""
        return [
            _point(day, territory_id, period, days[day])
            for (territory_id, period), days in sorted(self._days.items())
            for day in sorted(days)
        ]


def _point(day: date, territory_id: str, period: str, attainment: Attainment | None) -> HistoryPoint:
    if attainment is None:
        return HistoryPoint(day, territory_id, period, *(None,) * 6, deals_won=0, attainment_pct=None)
    return HistoryPoint(
        day=day,
        territory_id=territory_id,
        period=period,
        target=attainment.target,
        won=attainment.won,
        pipeline=attainment.pipeline,
        best_case=attainment.best_case,
        committed=attainment.committed,
        weighted=attainment.weighted,
        deals_won=attainment.deals_won,
        attainment_pct=attainment.attainment_pct,
    )
