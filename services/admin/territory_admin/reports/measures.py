"""The measures of reports: what a deal adds to each (F1, F3), and their sums; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from forecast_aggregator.partials.contribution import Contribution
from territory.money import ZERO, add
from territory.wire.events import OPEN_CATEGORIES

Amount = Decimal | int
"""An exact amount, or a count."""
Measure = Callable[[Contribution], Amount | None]
"""Returns what a deal adds; None if the measure does not count the deal."""


def _of_category(*categories: str) -> Measure:
    return lambda deal: deal.amount if deal.category in categories else None


MEASURES: Mapping[str, Measure] = {
    "won": _of_category("won"),
    "pipeline": _of_category("pipeline"),
    "best_case": _of_category("best_case"),
    "committed": _of_category("committed"),
    "open": _of_category(*OPEN_CATEGORIES),
    "weighted": lambda deal: deal.weighted if deal.category in OPEN_CATEGORIES else None,
    "won_by_others": lambda deal: deal.amount if deal.category == "won" and deal.by_others else None,
    "deals": lambda deal: 1,
    "deals_won": lambda deal: 1 if deal.category == "won" else None,
    "deals_open": lambda deal: 1 if deal.category in OPEN_CATEGORIES else None,
}
COUNTS = frozenset({"deals", "deals_won", "deals_open"})


class Sums:
    """Exact sums of some measures over deals."""

    __slots__ = ("_names", "values")

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.values: list[Amount] = [0 if name in COUNTS else ZERO for name in names]

    def add(self, deal: Contribution) -> None:
        """Add a deal to every measure that counts it. Raises: AmountOutOfRange."""
        for place, name in enumerate(self._names):
            amount = MEASURES[name](deal)
            if amount is not None:
                self.put(place, amount)

    def put(self, place: int, amount: Amount) -> None:
        """Add an amount to the sum at a position. Raises: AmountOutOfRange."""
        now = self.values[place]
        if isinstance(now, int) and isinstance(amount, int):
            self.values[place] = now + amount
        else:
            self.values[place] = add(Decimal(now), Decimal(amount))
