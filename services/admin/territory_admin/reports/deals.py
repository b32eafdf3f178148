"""The deals that reports count: each as the log said it last, and as the forecast counts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from territory.criteria.values import date_of
from territory.model.compiled import Model
from territory.wire.events import Assignment, DealFacts

NotMeasured = Literal["no_created_at", "created_after_close"]
"""Why a won deal has no sales cycle."""


@dataclass(frozen=True, slots=True)
class Deal:
    """One deal that is in a sum, or that should be and is left out."""

    key: str
    territory_id: str | None
    """None: it is in no territory of the model."""
    counted: Contribution | LeftOut
    cycle: int | NotMeasured | None
    """Days from its creation to its close, of a won deal (F13)."""


class LastDeals:
    """The deals of one partition of territory.assignments.v1.

    They are taken and counted as the forecast aggregator does it, so that reports and attainments can't differ.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._deals: dict[str, tuple[int, Deal | None]] = {}

    def __iter__(self) -> Iterator[Deal]:
        """Iterate over the deals as they are now, but for omitted ones such as lost deals (F1)."""
        return (deal for _, deal in self._deals.values() if deal is not None)

    def take(self, key: str, assignment: Assignment | None) -> None:
        """Take what was said of a deal; what a family says that the deal has left is stale.

        Raises: AmountOutOfRange.
        """
        if assignment is None:
            self._deals.pop(key, None)
            return
        before = self._deals.get(key)
        if before is None or assignment.version >= before[0]:
            self._deals[key] = (assignment.version, deal_of(key, assignment, self._model))


def deal_of(key: str, assignment: Assignment, model: Model) -> Deal | None:
    """Return a deal as it counts under a model; None for an omitted one. Raises: AmountOutOfRange."""
    counted = contribution_of(assignment, model)
    if counted is None:
        return None
    placed = assignment.links[0].territory_id if assignment.links else None
    won = isinstance(counted, Contribution) and counted.category == "won"
    return Deal(
        key,
        placed if placed in model.territories else None,
        counted,
        cycle_of(assignment.deal or DealFacts()) if won else None,
    )


def cycle_of(facts: DealFacts) -> int | NotMeasured | None:
    """Return the days from a deal's creation to its close, or why they can't be told; None without a close date.

    Both are the days that periods are found by: of an instant the day in UTC.
    """
    closed, created = date_of(facts.close_date), date_of(facts.created_at)
    if closed is None:
        return None
    if created is None:
        return "no_created_at"
    return (closed - created).days if created <= closed else "created_after_close"
