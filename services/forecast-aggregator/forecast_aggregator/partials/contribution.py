"""What one deal adds to which sums, or why it is left out of them (F1 to F4, F10)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from territory.criteria.values import excerpt_of, is_blank
from territory.deals import (
    UnreadableFact,
    category_of,
    currency_of,
    day_of,
    deal_amount_of,
    probability_of,
    stage_of,
)
from territory.model.compiled import Model
from territory.model.document import Category
from territory.model.periods import FiscalCalendar
from territory.model.pieces import DealStage
from territory.money import ZERO, times
from territory.wire.events import Assignment, Counted, DealFacts, LeftOutReason


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
    def year(self) -> str:
        """The fiscal year that the period is in (F14)."""
        return FiscalCalendar.year_of(self.period)

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
    stage = stage_of(facts, model)
    named = category_of(facts.forecast_category, stage, model)
    if named is not None and not isinstance(named, UnreadableFact):
        category = named
    elif stage is not None:
        category = stage.category
    else:
        why = "it has no stage" if is_blank(facts.stage) else f"its stage {excerpt_of(facts.stage)} is not in the model"
        return LeftOut("unknown_stage", why)
    if category == "omitted":
        return None
    amount = deal_amount_of(facts.amount)
    if amount is None or isinstance(amount, UnreadableFact):
        return LeftOut("no_amount", _why("amount", amount))
    closes = day_of(facts.close_date, model.calendar)
    if closes is None or isinstance(closes, UnreadableFact):
        return LeftOut("no_close_date", _why("close date", closes))
    period = model.calendar.period_of(closes)
    rate = _rate(facts.currency, period, model)
    if isinstance(rate, LeftOut):
        return rate
    amount = times(amount, rate)
    probability = ZERO if category == "won" else _probability(facts, stage, model)
    return Contribution(
        path=model.tree.path_of(territory_id),
        period=period,
        category=category,
        amount=amount,
        weighted=times(amount, probability),
        owner_id=None if assignment.owner_id in model.groups else assignment.owner_id,
        by_others=model.owners_of(assignment.owner_id).isdisjoint(node.members),
    )


def _why(name: str, value: UnreadableFact | None) -> str:
    return f"it has no {name}" if value is None else f"its {name} can't be read: {value}"


def _rate(raw: object, period: str, model: Model) -> Decimal | LeftOut:
    """Return the rate to the organisation's currency in a period (F10)."""
    currency = currency_of(raw, model)
    if isinstance(currency, UnreadableFact):
        return LeftOut("missing_rate", _why("currency", currency))
    rate = model.rate_of(currency, period)
    if rate is not None:
        return rate
    first = model.first_rate_period(currency)
    begins = f"; the first one is for {first}" if first is not None else ""
    return LeftOut("missing_rate", f"there is no rate from {currency} for {period} or before{begins}")


def _probability(facts: DealFacts, stage: DealStage | None, model: Model) -> Decimal:
    """Return the deal's own probability if it can be read, otherwise its stage's."""
    own = probability_of(facts.probability, model)
    if own is None or isinstance(own, UnreadableFact):
        return stage.probability if stage is not None else ZERO
    return own
