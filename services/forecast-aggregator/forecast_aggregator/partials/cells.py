"""The sums of one organisation in one partition: a cell per territory and period, and per user of a territory."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from forecast_aggregator.partials.contribution import Contribution
from territory.money import ZERO, add
from territory.wire.events import SUMS

CellKey = tuple[str, str, str | None]
"""Territory, period or fiscal year and, for a person's own sums, the user."""


class Cell:
    """The sums and deal counts of one territory, or one user in it, for one period."""

    __slots__ = ("deals", "deals_won", "sums")

    def __init__(self) -> None:
        self.sums: dict[str, Decimal] = dict.fromkeys(SUMS, ZERO)
        self.deals = 0
        self.deals_won = 0

    def count(self, name: str, amount: Decimal) -> None:
        """Add an exact amount to one of the sums."""
        self.sums[name] = add(self.sums[name], amount)

    @classmethod
    def total(cls, parts: Iterable[Cell]) -> Cell:
        """Return what several cells add up to."""
        total = cls()
        for part in parts:
            total.deals += part.deals
            total.deals_won += part.deals_won
            for name, amount in part.sums.items():
                if amount:
                    total.count(name, amount)
        return total


class Cells:
    """All cells by key. A deal changes only the cells on its path to the root. Fiscal years have none of their own."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.changed: dict[CellKey, None] = {}
        """Keys of cells whose last state is not published yet, oldest change first."""

    def put(self, contribution: Contribution) -> None:
        """Add a deal along its path (F1) and to its owner's own sums (F4)."""
        self._count(contribution, 1)

    def take(self, contribution: Contribution) -> None:
        """Subtract a deal along the path by which it was added (F9)."""
        self._count(contribution, -1)

    def _count(self, deal: Contribution, sign: int) -> None:
        won = deal.category == "won"
        # `copy_negate` is exact; unary minus rounds to 28 digits.
        amount = deal.amount if sign > 0 else deal.amount.copy_negate()
        weighted = deal.weighted if sign > 0 else deal.weighted.copy_negate()
        keys: list[CellKey] = [(territory_id, deal.period, None) for territory_id in deal.path]
        if won and deal.owner_id is not None:
            keys.append((deal.path[0], deal.period, deal.owner_id))
        for key in keys:
            cell = self.cells.get(key)
            if cell is None:
                cell = self.cells[key] = Cell()
            cell.deals += sign
            cell.deals_won += sign if won else 0
            cell.count(deal.category, amount)
            if deal.weighted:
                cell.count("weighted", weighted)
            if won and deal.by_others:
                cell.count("won_by_others", amount)
            if not cell.deals:
                del self.cells[key]
            self.changed[key] = None
