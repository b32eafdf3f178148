"""Checks that a partition's sums match its deals, a few at a time beside live changes (F1, F2).

The audit walks over the deals and adds each to its own territory's sums, in cells of the audit's own. A deal that
changes after the walk passed it is corrected there too. Then every cell must equal its territory's own sums plus its
children's cells. So each root equals the sum over all assigned deals, per period and category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from forecast_aggregator.partials.cells import Cell, CellKey, Cells
from forecast_aggregator.partials.contribution import Contribution, DealEntry, LeftOut, contribution_of
from territory.model.compiled import Model

DriftKind = Literal["deal", "territory_sum", "user_sum"]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)


class SumsAudit:
    """One walk over an organisation's deals in a partition, and then over their sums."""

    def __init__(self, model: Model, deals: Mapping[str, DealEntry], cells: Cells) -> None:
        """Start a walk. All deals must be counted under the model."""
        self._model = model
        self._deals = deals
        self._cells = cells
        self._unseen = dict(deals)
        self._own = Cells()
        self._unchecked: list[CellKey] | None = None

    def changed(
        self, deal_key: str, before: Contribution | LeftOut | None, after: Contribution | LeftOut | None
    ) -> None:
        """Follow a deal whose counting changed; the walk reads one it has not passed yet by itself."""
        if deal_key not in self._unseen:
            self._add(before, after)

    def step(self, count: int) -> tuple[bool, Counter[DriftKind]]:
        """Check up to `count` deals or sums; return whether the walk has ended, and the drift found."""
        drift: Counter[DriftKind] = Counter()
        for _ in range(count):
            if self._unseen:
                drift["deal"] += self._is_wrongly_counted(self._unseen.popitem()[0])
                continue
            key = self._next_cell()
            if key is None:
                return True, +drift
            kind = self._drift_of(key)
            if kind is not None:
                drift[kind] += 1
        return False, +drift

    def _is_wrongly_counted(self, deal_key: str) -> bool:
        deal = self._deals.get(deal_key)
        if deal is None:
            return False
        self._add(None, deal.counted)
        return deal.counted != contribution_of(deal.assignment, self._model)

    def _next_cell(self) -> CellKey | None:
        if self._unchecked is None:
            self._unchecked = [
                *self._cells.cells,
                *(key for key in self._own.cells if key not in self._cells.cells),
            ]
        return self._unchecked.pop() if self._unchecked else None

    def _drift_of(self, key: CellKey) -> DriftKind | None:
        territory_id, period, user_id = key
        cells = self._cells.cells
        parts = [self._own.cells.get(key)]
        if user_id is None and territory_id in self._model.tree:
            parts += [cells.get((child, period, None)) for child in self._model.tree.children_of(territory_id)]
        expected = Cell.total(part for part in parts if part is not None)
        found = cells.get(key) or Cell()
        if (found.sums, found.deals, found.deals_won) == (expected.sums, expected.deals, expected.deals_won):
            return None
        return "territory_sum" if user_id is None else "user_sum"

    def _add(self, before: Contribution | LeftOut | None, after: Contribution | LeftOut | None) -> None:
        if isinstance(before, Contribution):
            self._own.take(_own(before))
        if isinstance(after, Contribution):
            self._own.put(_own(after))
        self._own.changed.clear()


def _own(deal: Contribution) -> Contribution:
    return replace(deal, path=deal.path[:1])
