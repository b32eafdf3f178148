"""First step of the forecast: the deals of one partition become its partial sums (F1 to F5, F9, F10, F12).

Partials are absolute: saying one twice changes nothing. A partition says a partial whole
when it changed, once a turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from forecast_aggregator.partials.audit import Audit, DriftKind
from forecast_aggregator.partials.cells import Cell, CellKey, Cells
from forecast_aggregator.partials.closed_periods import Adjustment, Closed, DealAdjusted
from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from forecast_aggregator.partials.targets import Target, targets_of
from territory.model.compiled import Model, TargetKey
from territory.stage import Effects, InputMessage, Message, Models, WithoutFanOut
from territory.wire import topics
from territory.wire.events import Assignment, FrozenPart, Partial, SourceSwept
from territory.wire.keys import (
    attainment_key,
    org_of,
    parse_record_key,
    partial_key,
    partition_of,
    record_key,
    swept_key,
)


@dataclass(frozen=True, slots=True)
class DealLeftOut:
    """A change of the list of deals that are in no sum; no reason: it is off the list."""

    org_id: str
    deal_id: str
    why: LeftOut | None


class Deal:
    """A deal as it was said last, and what it counts for."""

    __slots__ = ("assignment", "counted")

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.counted: Contribution | LeftOut | None = None


class OrganisationLedger:
    """All that one organisation has in this partition."""

    def __init__(self, org_id: str, partition: int) -> None:
        self.deals: dict[str, Deal] = {}
        self.cells = Cells()
        self.targets: dict[TargetKey, Target] = {}
        """Targets whose home is this partition, as last said."""
        self.closed = Closed(org_id, partition)
        self.audit: Audit | None = None
        """A walk over all of it that is under way."""
        self.model: Model | None = None
        """The one that everything here is under; some of it may be under a later one already."""
        self.sweeping = False
        self.mixed = False
        """Whether a deal came under a later model whose sweep has not begun."""

    @property
    def revision(self) -> int:
        """Its revision; 0: there is none yet."""
        return 0 if self.model is None else self.model.revision


class PartialSumsFold(WithoutFanOut):
    """The partial sums of one partition of territory.assignments.v1."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self._partitions = partitions
        self._books: dict[str, OrganisationLedger] = {}
        self._unsaid: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(len(books.deals) for books in self._books.values())

    def restore(self, message: InputMessage) -> None:
        """Take an assignment as it was said, or what was said of closed periods; only deals matter here."""
        if message.topic == topics.FROZEN.name:
            self._of(org_of(message.key)).closed.restore(message)
            return
        if not is_deal(message.key):
            return
        deals = self._of(org_of(message.key)).deals
        if message.event is None:
            deals.pop(message.key, None)
        elif (deal := deals.get(message.key)) is None or message.event.version >= deal.assignment.version:
            deals[message.key] = Deal(message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Count everything again; say nothing of it, but what is unknown by the next sweep."""
        self._unsaid = unknown
        unheard = Effects()
        for org_id, books in self._books.items():
            books.closed.restored()  # also where the model comes later: what is frozen follows from none
            if org_id in models:
                for key, deal in books.deals.items():
                    self._recount(books, key, deal, models[org_id], unheard)
        for org_id, model in models.items():
            books = self._of(org_id)
            books.targets = self._home_targets(model)
            books.model = model
            books.cells.dirty.clear()
            for key in books.closed.deal_keys | books.deals.keys():
                self._adjust(books, key, unheard)

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one assignment of a deal, or the word that the deal is gone."""
        if not is_deal(message.key):
            return
        org_id = org_of(message.key)
        books = self._of(org_id)
        model = models.get(org_id)
        if model is not None:
            self._follow(books, model, effects)
            if model is not books.model:
                books.mixed, books.audit = True, None
        deal = books.deals.get(message.key)
        if message.event is None:
            if deal is not None:
                del books.deals[message.key]
                self._count(books, message.key, deal, None, effects)
            effects.outcomes["gone"] += 1
            return
        assignment: Assignment = message.event
        if deal is None:
            deal = books.deals[message.key] = Deal(assignment)
        elif assignment.version < deal.assignment.version:
            effects.outcomes["stale"] += 1  # from a family that the deal has left
            return
        else:
            deal.assignment = assignment
        if model is None:
            effects.outcomes["no_model"] += 1
            return
        self._recount(books, message.key, deal, model, effects)
        effects.outcomes["counted"] += 1

    def flush(self, models: Models, effects: Effects) -> None:
        """Say the partials that changed in this turn.

        Those of an organisation in the middle of a sweep wait for its end: half of the deals
        under one tree and half under another add up to nothing that anybody wants to see.
        Nothing is lost if this worker dies meanwhile: until a sweep has ended its
        organisation counts as unknown, and all of it is said again.
        """
        for org_id, books in self._books.items():
            model = models.get(org_id)
            if model is None or books.sweeping:
                continue
            if books.model is model and self._follow(books, model, effects):
                effects.outcomes["closed_without_sweep"] += 1  # no sweep is due: what was frozen here is lost
            for key in sorted(books.cells.dirty | books.closed.cells.dirty, key=_order):
                effects.messages.append(self._partial(org_id, key, books))
            books.cells.dirty.clear()
            books.closed.cells.dirty.clear()

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Count an organisation's deals anew under a model, and say what changed at the end."""
        books = self._of(model.org_id)
        books.sweeping, books.audit = True, None
        effects = Effects()
        self._follow(books, model, effects)
        keys = list(books.deals)
        for start in range(0, len(keys), limit):
            some = keys[start : start + limit]
            for key in some:
                deal = books.deals.get(key)
                if deal is not None:
                    self._recount(books, key, deal, model, effects)
            effects.swept = len(some)
            yield effects
            effects = Effects()
        targets = self._home_targets(model)
        books.cells.dirty |= {
            key for key in targets.keys() | books.targets.keys() if targets.get(key) != books.targets.get(key)
        }
        books.targets = targets
        is_first = books.model is None
        books.model = model
        books.sweeping = books.mixed = False
        if is_first:  # what was closed before was read back, and nothing of it was said yet
            books.cells.dirty |= {*books.closed.cells.cells, *books.closed.target_keys}
            self._adjust_all(books, effects)
        if model.org_id in self._unsaid:
            books.cells.dirty |= books.cells.cells.keys() | targets.keys()
            books.cells.dirty |= {*books.closed.cells.cells, *books.closed.target_keys}
            self._unsaid -= {model.org_id}
            effects.messages += self._to_all(SourceSwept(model.org_id, self.partition, ended=False))
            self.flush({model.org_id: model}, effects)
            effects.messages += self._to_all(SourceSwept(model.org_id, self.partition, ended=True))
            for deal in books.deals.values():
                if isinstance(deal.counted, LeftOut):
                    effects.changes.append(DealLeftOut(model.org_id, deal.assignment.id, deal.counted))
            for key in books.closed.adjusted_keys:
                deal_id = parse_record_key(key)[2]
                for period, adjustment in books.closed.adjusted(key).items():
                    effects.changes.append(DealAdjusted(model.org_id, period, deal_id, adjustment))
        yield effects

    def is_stray(self, org_id: str, deal_id: str) -> bool:
        """Whether a deal on the list of those left out is this partition's and does not belong there."""
        mine = partition_of(record_key(org_id, "deal", deal_id), self._partitions) == self.partition
        return mine and self.why_left_out(org_id, deal_id) is None

    def deals(self, org_id: str) -> list[str]:
        """Return the ids of an organisation's deals, as they are now."""
        return [deal.assignment.id for deal in self._of(org_id).deals.values()]

    def why_left_out(self, org_id: str, deal_id: str) -> LeftOut | None:
        """Return why a deal is in no sum; None: it is in one, omitted, or not here."""
        deal = self._of(org_id).deals.get(record_key(org_id, "deal", deal_id))
        return deal.counted if deal is not None and isinstance(deal.counted, LeftOut) else None

    def adjustment(self, org_id: str, period: str, deal_id: str) -> Adjustment | None:
        """Return how a deal counts since a period was closed; None: as it did, or it is not here (F12)."""
        return self._of(org_id).closed.adjusted(record_key(org_id, "deal", deal_id)).get(period)

    def is_stray_adjustment(self, org_id: str, period: str, deal_id: str) -> bool:
        """Whether a deal on the list of those that count otherwise is this partition's and does not belong there."""
        mine = partition_of(record_key(org_id, "deal", deal_id), self._partitions) == self.partition
        return mine and self.adjustment(org_id, period, deal_id) is None

    # --- checking ---

    def adjusted(self, org_id: str) -> Iterator[list[tuple[str, str]]]:
        """Yield, for each deal that counts for something else than in a closed period, that period and its id."""
        closed = self._of(org_id).closed
        for key in closed.adjusted_keys:
            yield [(period, parse_record_key(key)[2]) for period in closed.adjusted(key)]

    def sums_of(self, org_id: str) -> list[CellKey]:
        """Return where something of an organisation is summed here, or was in a closed period, or is wanted."""
        books = self._of(org_id)
        closed = books.closed
        return list({*books.cells.cells, *books.targets, *closed.cells.cells, *closed.target_keys})

    def partial(self, org_id: str, territory_id: str, period: str, user_id: str | None) -> Partial | None:
        """Return what this partition adds to an attainment; None: nothing."""
        said = self._partial(org_id, (territory_id, period, user_id), self._of(org_id)).value
        return said if isinstance(said, Partial) else None

    def books(self, org_id: str) -> OrganisationLedger:
        """Return all that an organisation has here."""
        return self._of(org_id)

    def orgs(self) -> list[str]:
        """Return the organisations that have deals or sums here."""
        return [org_id for org_id, books in self._books.items() if books.deals or books.cells.cells]

    def audit(self, org_id: str, count: int) -> tuple[bool, Counter[DriftKind]]:
        """Look at so many deals or sums of an organisation; return whether a whole walk has ended, and what is wrong.

        Not while it is swept, or is about to be: then its deals are under two models.
        """
        wrong: Counter[DriftKind] = Counter()
        books = self._of(org_id)
        model = books.model
        if books.sweeping or books.mixed or model is None:
            return True, wrong
        if books.audit is None or books.audit.model is not model:
            books.audit = Audit(model, books.deals)
        audit = books.audit
        for _ in range(count):
            key = audit.next_deal()
            if key is not None:
                deal = books.deals.get(key)
                if deal is not None:
                    wrong["deal"] += deal.counted != contribution_of(deal.assignment, model)
                    audit.see(deal.counted)
                continue
            cell = audit.next_cell(books.cells)
            if cell is None:
                books.audit = None
                return True, +wrong
            kind = audit.wrong(cell, books.cells)
            if kind is not None:
                wrong[kind] += 1
        return False, +wrong

    # --- counting ----------------------------------------------------------------------------

    def _of(self, org_id: str) -> OrganisationLedger:
        books = self._books.get(org_id)
        if books is None:
            books = self._books[org_id] = OrganisationLedger(org_id, self.partition)
        return books

    def _follow(self, books: OrganisationLedger, model: Model, effects: Effects) -> bool:
        """Close and open periods before anything is counted under a model that does so; return whether it did (F12)."""
        if not books.closed.is_behind(model):
            return False
        assignments = {key: deal.assignment for key, deal in books.deals.items()}
        changed = books.closed.follow(model, assignments, self._home_targets(model), effects)
        books.cells.dirty |= {key for key in [*books.cells.cells, *books.targets] if key[1] in changed}
        self._adjust_all(books, effects)
        return True

    def _adjust_all(self, books: OrganisationLedger, effects: Effects) -> None:
        for key in {*books.closed.deal_keys, *books.closed.adjusted_keys, *books.deals}:
            self._adjust(books, key, effects)

    def _adjust(self, books: OrganisationLedger, key: str, effects: Effects) -> None:
        deal = books.deals.get(key)
        books.closed.adjust(key, None if deal is None else deal.counted, effects)

    def _recount(self, books: OrganisationLedger, key: str, deal: Deal, model: Model, effects: Effects) -> None:
        self._count(books, key, deal, contribution_of(deal.assignment, model), effects)

    def _count(
        self, books: OrganisationLedger, key: str, deal: Deal, after: Contribution | LeftOut | None, effects: Effects
    ) -> None:
        before = deal.counted
        if after == before:
            return
        deal.counted = after
        if books.audit is not None:
            books.audit.changed(key, before, after)
        if isinstance(before, Contribution):
            books.cells.take(before)
        if isinstance(after, Contribution):
            books.cells.put(after)
        if isinstance(after, LeftOut):
            effects.changes.append(DealLeftOut(deal.assignment.org_id, deal.assignment.id, after))
        elif isinstance(before, LeftOut):
            effects.changes.append(DealLeftOut(deal.assignment.org_id, deal.assignment.id, None))
        if books.closed.periods:
            books.closed.adjust(key, after, effects)

    def _home_targets(self, model: Model) -> dict[TargetKey, Target]:
        return {
            key: target
            for key, target in targets_of(model).items()
            if partition_of(attainment_key(model.org_id, *key), self._partitions) == self.partition
        }

    def _to_all(self, swept: SourceSwept) -> list[Message]:
        key = swept_key(swept.org_id, swept.source, ended=swept.ended)
        return [Message(topics.PARTIALS.name, key, swept, partition) for partition in range(self._partitions)]

    def _partial(self, org_id: str, key: CellKey, books: OrganisationLedger) -> Message:
        cell = books.cells.cells.get(key)
        target = books.targets.get(key)
        territory_id, period, user_id = key
        place = attainment_key(org_id, territory_id, period, user_id)
        closed = books.closed
        then, wanted_then = closed.cells.cells.get(key), closed.target(key)
        partial: Partial | None = None
        if any(part is not None for part in (cell, target, then, wanted_then)):
            cell, then = cell or Cell(), then or Cell()
            frozen = FrozenPart(
                dict(then.sums),
                then.deals_won,
                wanted_then and wanted_then.amount,
                wanted_then and wanted_then.mismatch,
            )
            partial = Partial(
                org_id=org_id, territory_id=territory_id, period=period, user_id=user_id, source=self.partition,
                model_revision=books.revision, target=target and target.amount, sums=dict(cell.sums),
                deals=cell.deals, deals_won=cell.deals_won, target_mismatch=target and target.mismatch,
                frozen=frozen if period in closed.periods else None,
            )  # fmt: skip
        return Message(
            topics.PARTIALS.name, partial_key(org_id, territory_id, period, user_id, self.partition), partial, place
        )


def is_deal(key: str) -> bool:
    """Whether a message is about a deal; only these matter here."""
    return parse_record_key(key)[1] == "deal"


def _order(key: CellKey) -> tuple[str, str, str]:
    return (key[0], key[1], key[2] or "")
