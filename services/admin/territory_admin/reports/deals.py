"""The deals that reports count: the last assignment of each, as the forecast counts it; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from territory.deals import day_of
from territory.model.compiled import Model
from territory.wire.events import Assignment, DealFacts

NotMeasured = Literal["no_created_at", "created_after_close"]
"""Why a won deal has no sales cycle."""


@dataclass(frozen=True, slots=True)
class ReportedDeal:
    """A deal that is in a forecast sum, or that is left out for a reason."""

    key: str
    territory_id: str | None
    """None if it is in no territory of the model."""
    counted: Contribution | LeftOut
    cycle: int | NotMeasured | None
    """For a won deal, the days from its creation to its close (F13)."""


class LatestDeals:
    """The latest state of each deal in one partition of territory.assignments.v1.

    Deals are counted with the forecast aggregator's own function, so that reports and attainments can't differ.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._deals: dict[str, tuple[int, ReportedDeal | None]] = {}

    def __iter__(self) -> Iterator[ReportedDeal]:
        """Iterate over the deals, except for omitted ones such as lost deals (F1)."""
        return (deal for _, deal in self._deals.values() if deal is not None)

    def take(self, key: str, assignment: Assignment | None) -> None:
        """Add an assignment, or a tombstone, of a deal; one from a family that the deal has left is stale.

        Raises: AmountOutOfRange.
        """
        if assignment is None:
            self._deals.pop(key, None)
            return
        before = self._deals.get(key)
        if before is None or assignment.version >= before[0]:
            self._deals[key] = (assignment.version, deal_of(key, assignment, self._model))


def deal_of(key: str, assignment: Assignment, model: Model) -> ReportedDeal | None:
    """Return a deal as it counts under a model; None for an omitted one. Raises: AmountOutOfRange."""
    counted = contribution_of(assignment, model)
    if counted is None:
        return None
    placed = assignment.links[0].territory_id if assignment.links else None
    won = isinstance(counted, Contribution) and counted.category == "won"
    return ReportedDeal(
        key,
        placed if placed in model.territories else None,
        counted,
        cycle_of(assignment.deal or DealFacts(), model) if won else None,
    )


def cycle_of(facts: DealFacts, model: Model) -> int | NotMeasured | None:
    """Return the days from a deal's creation to its close, or why they are unknown; None without a close date.

    Both are days of the organisation's time zone, like the one that decides the period (C8).
    """
    closed, created = day_of(facts.close_date, model.calendar), day_of(facts.created_at, model.calendar)
    if not isinstance(closed, date):
        return None
    if not isinstance(created, date):
        return "no_created_at"
    return (closed - created).days if created <= closed else "created_after_close"
