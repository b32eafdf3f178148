"""Whether the sums of a partition are what its deals come to, looked at in slices beside live changes (F1, F2).

One walk goes over the deals and adds up what each counts for in its own territory; what changes meanwhile is
added or taken out, too. Then every cell has to be its territory's own sums and its children's cells, at any
moment: so the roots are the sums over all deals that have a territory, per period and category.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

from forecast_aggregator.partials.cells import Cell, CellKey, Cells
from forecast_aggregator.partials.contribution import Contribution, LeftOut
from territory.model.compiled import Model

DriftKind = Literal["deal", "territory_sum", "user_sum"]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)
Verdict = Contribution | LeftOut | None


class Audit:
    """One walk over the deals of an organisation in a partition, and over their sums."""

    def __init__(self, model: Model, deals: Iterable[str]) -> None:
        """Begin under a model that all deals are under; their keys are gone through once."""
        self.model = model
        self._unseen = dict.fromkeys(deals)
        self._own = Cells()
        self._keys: list[CellKey] | None = None

    def changed(self, deal_key: str, before: Verdict, after: Verdict) -> None:
        """Hear that a deal counts for something else; one that the walk has yet to see it sees as it is then."""
        if deal_key not in self._unseen:
            self._add(before, after)

    def next_deal(self) -> str | None:
        """Return the next deal to look at; None: all were seen."""
        key = next(iter(self._unseen), None)
        if key is not None:
            del self._unseen[key]
        return key

    def see(self, counted: Verdict) -> None:
        """Take what the deal that came last counts for."""
        self._add(None, counted)

    def next_cell(self, cells: Cells) -> CellKey | None:
        """Return the next sum to look at, once all deals were seen; None: all were looked at."""
        if self._keys is None:
            self._keys = [*cells.cells, *(self._own.cells.keys() - cells.cells.keys())]
        return self._keys.pop() if self._keys else None

    def wrong(self, key: CellKey, cells: Cells) -> DriftKind | None:
        """Return what is wrong with a sum; None: nothing."""
        territory_id, period, user_id = key
        parts = [self._own.cells.get(key)]
        if user_id is None and territory_id in self.model.tree:
            parts += [cells.cells.get((child, period, None)) for child in self.model.tree.children_of(territory_id)]
        wanted = _total([part for part in parts if part is not None])
        found = cells.cells.get(key) or Cell()
        if (found.sums, found.deals, found.deals_won) == (wanted.sums, wanted.deals, wanted.deals_won):
            return None
        return "territory_sum" if user_id is None else "user_sum"

    def _add(self, before: Verdict, after: Verdict) -> None:
        if isinstance(before, Contribution):
            self._own.take(_own(before))
        if isinstance(after, Contribution):
            self._own.put(_own(after))
        self._own.dirty.clear()


def _own(deal: Contribution) -> Contribution:
    return replace(deal, path=deal.path[:1])


def _total(parts: list[Cell]) -> Cell:
    total = Cell()
    for part in parts:
        total.deals += part.deals
        total.deals_won += part.deals_won
        for name, amount in part.sums.items():
            total.count(name, amount)
    return total
