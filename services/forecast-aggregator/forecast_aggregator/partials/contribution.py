"""What one deal adds to which sums, or why it is left out of them (F1 to F4, F10)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import get_args

from territory.criteria.values import date_of
from territory.model.compiled import Model
from territory.model.document import Category
from territory.money import ZERO, amount_of, times
from territory.wire.events import Assignment, Counted, DealFacts, LeftOutReason

_CATEGORIES: tuple[str, ...] = get_args(Category)


@dataclass(frozen=True, slots=True)
class Contribution:
    """A deal's amount, with the territories, the period and the category it counts in."""

    path: tuple[str, ...]
    """The deal's territory, then its ancestors up to the root. Subtracting a deal uses the path that added it (F9)."""
    period: str
    category: Category
    amount: Decimal
    weighted: Decimal
    """Amount times probability of an open deal; 0 for a won one (F1)."""
    owner_id: str | None
    """The user whose own sum a won deal is in: its owner, unless that is a group (F4, V10)."""
    by_others: bool
    """True if nobody who owns the deal is a member of its territory (F3, V10)."""

    @property
    def counted(self) -> Counted:
        """The wire form, without the period. The owner is kept for won deals only: no other sum depends on it."""
        won = self.category == "won"
        return Counted(
            self.path,
            self.category,
            self.amount,
            self.weighted,
            self.owner_id if won else None,
            by_others=won and self.by_others,
        )

    @classmethod
    def of(cls, period: str, counted: Counted) -> Contribution:
        """Return the contribution that a frozen message records for a period."""
        return cls(
            counted.path,
            period,
            counted.category,
            counted.amount,
            counted.weighted,
            counted.owner_id,
            by_others=counted.by_others,
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a deal is in no sum. Such deals are listed, never silently dropped (F2, F10)."""

    reason: LeftOutReason
    detail: str


class DealEntry:
    """A deal's latest assignment, and how it is counted now."""

    __slots__ = ("assignment", "counted")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.counted: Contribution | LeftOut | None = None


def contribution_of(assignment: Assignment, model: Model) -> Contribution | LeftOut | None:
    """Return a deal's contribution under a model; None if its category is `omitted`, as for a lost deal (F1).

    Exact: nothing is rounded. Raises: AmountOutOfRange.
    """
    territory_id = assignment.links[0].territory_id if assignment.links else None
    if territory_id is None:
        return LeftOut("unassigned", assignment.unassigned or "it has no territory")
    node = model.territories.get(territory_id)
    if node is None:
        return LeftOut("unassigned", f"its territory {territory_id} is not in the model any more")
    facts = assignment.deal or DealFacts()
    stage = model.stages.get(facts.stage) if isinstance(facts.stage, str) else None
    if isinstance(facts.forecast_category, str) and facts.forecast_category in _CATEGORIES:
        category: Category = facts.forecast_category  # type: ignore[assignment]  # checked in this line's condition
    elif stage is not None:
        category = stage.category
    else:
        return LeftOut("unknown_stage", f"its stage {facts.stage!r} is not in the model")
    if category == "omitted":
        return None
    amount = amount_of(facts.amount)
    if amount is None:
        return LeftOut("no_amount", f"its amount {facts.amount!r} is not a number")
    closes = date_of(facts.close_date)
    if closes is None:
        return LeftOut("no_close_date", f"its close date {facts.close_date!r} is not a date")
    period = model.calendar.period_of(closes)
    rate = _rate(facts.currency, period, model)
    if rate is None:
        return LeftOut("missing_rate", f"there is no rate from {facts.currency} for {period}")
    amount = times(amount, rate)
    probability = ZERO if category == "won" else _probability(facts, stage.probability if stage is not None else ZERO)
    return Contribution(
        path=model.tree.path_of(territory_id),
        period=period,
        category=category,
        amount=amount,
        weighted=times(amount, probability),
        owner_id=None if assignment.owner_id in model.groups else assignment.owner_id,
        by_others=model.owners_of(assignment.owner_id).isdisjoint(node.members),
    )


def _rate(currency: object, period: str, model: Model) -> Decimal | None:
    """Return the rate to the organisation's currency, which a deal without a currency is taken to be in."""
    if not isinstance(currency, str) or not currency.strip() or currency == model.organisation.currency:
        return Decimal(1)
    return model.rates.get((currency, period))


def _probability(facts: DealFacts, of_stage: Decimal) -> Decimal:
    """Return the deal's own probability if it is a number from 0 to 1, otherwise its stage's."""
    own = amount_of(facts.probability)
    return own if own is not None and 0 <= own <= 1 else of_stage
