"""Everything that one partition holds of one organisation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import islice

from forecast_aggregator.partials.audit import SumsAudit
from forecast_aggregator.partials.cells import Cell, CellKey, Cells
from forecast_aggregator.partials.changes import DealLeftOut
from forecast_aggregator.partials.closed_periods import ClosedPeriods
from forecast_aggregator.partials.contribution import Contribution, DealEntry, LeftOut, contribution_of
from forecast_aggregator.partials.period_transition import PeriodTransition
from forecast_aggregator.partials.targets import HomeTargets
from territory.model.compiled import Model
from territory.model.periods import FiscalCalendar, months_of, quarters_of
from territory.stage import Effects, Message
from territory.wire import topics
from territory.wire.events import FrozenPart, Partial
from territory.wire.keys import attainment_key, partial_key


class OrganisationLedger:
    """One organisation's deals, live and frozen sums and targets in one partition."""

    def __init__(self, org_id: str, partition: int) -> None:
        self.org_id = org_id
        self._partition = partition
        self.deals: dict[str, DealEntry] = {}
        self.cells = Cells()
        self.targets: HomeTargets = {}
        """The targets whose home is this partition, under `model`."""
        self.closed = ClosedPeriods(org_id, partition)
        self.transition: PeriodTransition | None = None
        """Periods that are being closed or reopened."""
        self.audit: SumsAudit | None = None
        """The audit under way."""
        self.model: Model | None = None
        """The model of the last complete sweep. Deals may be counted under a later one already."""
        self.is_sweeping = False
        self.is_mixed = False
        """True if a deal was counted under a later model whose sweep has not begun."""
        self._changed_years: dict[CellKey, None] = {}
        """Keys of fiscal years of which a period was published since the year was."""
        self.unpublished_from: int | None = None
        """Offset of the first message whose effect on the sums is not published; None: all is published."""

    # --- counting ----------------------------------------------------------------------------

    def recount(self, key: str, deal: DealEntry, model: Model, effects: Effects) -> None:
        """Count a deal under a model."""
        self.count(key, deal, contribution_of(deal.assignment, model), effects)

    def count(self, key: str, deal: DealEntry, after: Contribution | LeftOut | None, effects: Effects) -> None:
        """Replace how a deal is counted in the sums, the lists and the audit."""
        before = deal.counted
        if after == before:
            return
        deal.counted = after
        if self.audit is not None:
            self.audit.changed(key, before, after)
        if isinstance(before, Contribution):
            self.cells.take(before)
        if isinstance(after, Contribution):
            self.cells.put(after)
        if isinstance(after, LeftOut):
            effects.changes.append(DealLeftOut(self.org_id, deal.assignment.id, after))
        elif isinstance(before, LeftOut):
            effects.changes.append(DealLeftOut(self.org_id, deal.assignment.id, None))
        if self.closed.periods:
            self.closed.adjust(key, after, effects)

    def adjust(self, key: str, effects: Effects, *, repeat: bool = False) -> None:
        """Compare a deal, or one that is gone, with the closed periods; `repeat` as in `ClosedPeriods.adjust`."""
        deal = self.deals.get(key)
        self.closed.adjust(key, None if deal is None else deal.counted, effects, repeat=repeat)

    # --- partials ----------------------------------------------------------------------------

    @property
    def has_changes(self) -> bool:
        """Whether partials changed that are not published yet."""
        return bool(self.cells.changed or self.closed.cells.changed or self._changed_years)

    def next_partials(self, limit: int) -> list[Message]:
        """Return up to `limit` changed partials, and mark them as published; fiscal years follow their periods."""
        keys = dict.fromkeys(islice(self.cells.changed, limit))
        keys |= dict.fromkeys(islice(self.closed.cells.changed, limit - len(keys)))
        messages = self.partials(keys)
        return messages + self.partials(list(islice(self._changed_years, limit - len(keys))))

    def partials(self, keys: Collection[CellKey]) -> list[Message]:
        """Return partials as messages, and mark them as published, but not the fiscal years that follow from them."""
        for key in keys:
            self.cells.changed.pop(key, None)
            self.closed.cells.changed.pop(key, None)
            year = year_key(key)
            if year == key:
                self._changed_years.pop(key, None)
            else:
                self._changed_years[year] = None
        return [self.partial_message(key) for key in keys]

    def sum_keys(self) -> list[CellKey]:
        """Return the keys of all live sums, frozen sums and targets, and of the fiscal years of the sums."""
        sums = [*self.cells.cells, *self.closed.cells.cells]
        return list({*sums, *map(year_key, sums), *self.targets, *self.closed.target_keys})

    def sum_keys_in_chunks(self, limit: int) -> Iterator[list[CellKey]]:
        """Yield the same keys, up to `limit` at a time, without collecting them all in one step.

        Fiscal years without a target are left out: `partials` marks them as changed.
        """
        seen: set[CellKey] = set()
        for keys in (self.cells.cells, self.targets, self.closed.cells.cells, self.closed.target_keys):
            every = list(keys)
            for start in range(0, len(every), limit):
                some = [key for key in every[start : start + limit] if key not in seen]
                seen.update(some)
                yield some

    def republish_closed(self) -> None:
        """Mark every partial with frozen figures as changed."""
        self.closed.cells.changed |= dict.fromkeys([*self.closed.cells.cells, *self.closed.target_keys])

    def partial_message(self, key: CellKey) -> Message:
        """Return the partial of a territory or user, routed to its attainment's partition; a tombstone if empty."""
        return Message(
            topics.PARTIALS.name,
            partial_key(self.org_id, *key, self._partition),
            self.partial(key),
            attainment_key(self.org_id, *key),
        )

    def partial(self, key: CellKey) -> Partial | None:
        """Return what this partition adds to an attainment; None: nothing."""
        cell, target = self._shown_cell(key), self.targets.get(key)
        frozen_cell, frozen_target = self.closed.cells.cells.get(key), self.closed.target(key)
        if cell is None and target is None and frozen_cell is None and frozen_target is None:
            return None
        cell, frozen_cell = cell or Cell(), frozen_cell or Cell()
        territory_id, period, user_id = key
        frozen = FrozenPart(
            dict(frozen_cell.sums),
            frozen_cell.deals_won,
            frozen_target and frozen_target.amount,
            frozen_target and frozen_target.mismatch,
        )
        return Partial(
            org_id=self.org_id, territory_id=territory_id, period=period, user_id=user_id, source=self._partition,
            model_revision=0 if self.model is None else self.model.revision, target=target and target.amount,
            sums=dict(cell.sums), deals=cell.deals, deals_won=cell.deals_won,
            target_mismatch=target and target.mismatch, frozen=frozen if period in self.closed.periods else None,
        )  # fmt: skip

    def _shown_cell(self, key: CellKey) -> Cell | None:
        """Return the live sums of a period, or what the periods of a fiscal year show: closed ones as they were.

        A deal counts in one period. So after a change from quarters to months, too, each is in a year once.
        """
        if year_key(key) != key:
            return self.cells.cells.get(key)
        territory_id, year, user_id = key
        found = []
        for period in _periods_in(year):
            cells = self.closed.cells if period in self.closed.periods else self.cells
            cell = cells.cells.get((territory_id, period, user_id))
            if cell is not None:
                found.append(cell)
        return Cell.total(found) if found else None


def year_key(key: CellKey) -> CellKey:
    """Return the key of the fiscal year of a period's sums (F14)."""
    return key[0], FiscalCalendar.year_of(key[1]), key[2]


@lru_cache(maxsize=100)
def _periods_in(year: str) -> tuple[str, ...]:
    return (*quarters_of(year), *months_of(year))
