"""First stage of the forecast: turns the deals of one partition into its partial sums (F1 to F5, F9, F10, F12).

A partial is absolute: publishing it twice changes nothing. Changed partials are published once a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from forecast_aggregator.partials.audit import DriftKind, SumsAudit
from forecast_aggregator.partials.cells import CellKey
from forecast_aggregator.partials.changes import Adjustment, DealLeftOut
from forecast_aggregator.partials.contribution import DealEntry, LeftOut
from forecast_aggregator.partials.ledger import OrganisationLedger
from forecast_aggregator.partials.period_transition import PeriodTransition
from forecast_aggregator.partials.targets import TargetCache
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models
from territory.wire import topics
from territory.wire.events import Assignment, Partial, SourceSwept
from territory.wire.keys import org_of, parse_record_key, partition_of, record_key, swept_key

FLUSH_UNITS_MAX = 500
"""Partials that one flush publishes, or deals that it freezes: at most some 10 ms. `proceed` does the rest."""
TARGETS_PER_RECORD = 8
"""Targets that a sweep compares in the time in which it counts one deal."""


class PartialSumsFold:
    """The partial sums of one partition of territory.assignments.v1."""

    def __init__(self, partition: int, partitions: int, targets: TargetCache | None = None) -> None:
        """Make the fold of a partition; folds of one worker share the targets."""
        self.partition = partition
        self._partitions = partitions
        self._targets = targets or TargetCache(partitions)
        self._ledgers: dict[str, OrganisationLedger] = {}
        self._resync: frozenset[str] = frozenset()
        """Organisations whose partials the next sweep publishes all again."""
        self._unflushed: dict[str, None] = {}
        """Organisations that may have something to publish."""
        self._unfinished: dict[str, int] = {}
        """By organisation, the offset from which a successor must apply messages again."""
        self._next_offset = 0

    def __len__(self) -> int:
        return sum(len(ledger.deals) for ledger in self._ledgers.values())

    # --- restore -----------------------------------------------------------------------------

    def restore(self, message: InputMessage) -> None:
        """Take one assignment or one frozen message into memory; other records than deals are ignored."""
        if message.topic == topics.FROZEN.name:
            self.ledger(org_of(message.key)).closed.restore(message)
            return
        self._next_offset = message.offset + 1
        if not is_deal(message.key):
            return
        deals = self.ledger(org_of(message.key)).deals
        if message.event is None:
            deals.pop(message.key, None)
        elif (deal := deals.get(message.key)) is None or message.event.version >= deal.assignment.version:
            deals[message.key] = DealEntry(message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Count all deals. Their sums are published already, except those of unknown organisations."""
        self._resync = unknown
        discarded = Effects()
        for org_id, ledger in self._ledgers.items():
            ledger.closed.restored()  # needs no model, so it also happens if the model comes later
            if org_id in models:
                for key, deal in ledger.deals.items():
                    ledger.recount(key, deal, models[org_id], discarded)
        for org_id, model in models.items():
            ledger = self.ledger(org_id)
            ledger.targets = self._targets.of(model, self.partition)
            ledger.model = model
            ledger.cells.changed.clear()
            for key in ledger.closed.frozen_deals.keys() | ledger.deals.keys():
                ledger.adjust(key, discarded)
            self._unflushed[org_id] = None

    # --- live messages -----------------------------------------------------------------------

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Count a deal's new assignment, or remove a deleted deal."""
        self._next_offset = message.offset + 1
        if not is_deal(message.key):
            return
        org_id = org_of(message.key)
        ledger = self.ledger(org_id)
        model = models.get(org_id)
        if model is not None:
            self._begin_transition(ledger, model, effects)
            if model is not ledger.model:
                ledger.is_mixed, ledger.audit = True, None
        self._note_unpublished(ledger, message.offset)
        if ledger.transition is not None:
            ledger.transition.freeze_before_change(message.key, effects)
        self._apply(ledger, message.key, message.event, model, effects)

    def _apply(
        self, ledger: OrganisationLedger, key: str, assignment: Assignment | None, model: Model | None, effects: Effects
    ) -> None:
        deal = ledger.deals.get(key)
        if assignment is None:
            if deal is not None:
                del ledger.deals[key]
                ledger.count(key, deal, None, effects)
            effects.outcomes["gone"] += 1
            return
        if deal is None:
            deal = ledger.deals[key] = DealEntry(assignment)
        elif assignment.version < deal.assignment.version:
            effects.outcomes["stale"] += 1  # published by a family that the deal has left
            return
        else:
            deal.assignment = assignment
        if model is None:
            effects.outcomes["no_model"] += 1
            return
        ledger.recount(key, deal, model, effects)
        effects.outcomes["counted"] += 1

    @property
    def unfinished_from(self) -> int | None:
        """The offset of the first message whose partials a flush left over, or that came while periods were closed."""
        return min(self._unfinished.values(), default=None)

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Publish partials that a flush left over, and continue to close periods."""
        self._publish([*self._unfinished], models, effects, limit)

    def flush(self, models: Models, effects: Effects) -> None:
        """Publish the partials that changed in this batch, up to a bound.

        Partials of an organisation that is being swept wait for the end of the sweep: sums over deals that are half
        under one tree and half under another are of no use. Nothing is lost if the worker stops before that. Until
        a sweep has ended, a successor treats the organisation as unknown and publishes all its partials again.
        """
        self._publish([*self._unflushed], models, effects, FLUSH_UNITS_MAX)

    def _publish(self, org_ids: Iterable[str], models: Models, effects: Effects, limit: int) -> None:
        for org_id in org_ids:
            ledger, model = self._ledgers[org_id], models.get(org_id)
            if model is not None and ledger.model is model and not ledger.is_sweeping:
                self._begin_transition(ledger, model, effects)
            if ledger.transition is not None:
                limit = self._step_transition(ledger, limit, effects)
            waits_for_sweep = model is None or ledger.is_sweeping
            if not waits_for_sweep and ledger.transition is None:
                partials = ledger.next_partials(limit)
                effects.messages += partials
                limit -= len(partials)
            if ledger.transition is None and (waits_for_sweep or not ledger.has_changes):
                self._all_published(ledger)
            else:
                first = ledger.unpublished_from
                self._unfinished[org_id] = self._next_offset if first is None else first

    def _note_unpublished(self, ledger: OrganisationLedger, offset: int) -> None:
        """Remember from which offset on a successor must apply messages again."""
        if ledger.unpublished_from is None:
            ledger.unpublished_from = offset
        self._unflushed[ledger.org_id] = None

    def _all_published(self, ledger: OrganisationLedger) -> None:
        ledger.unpublished_from = None
        self._unflushed.pop(ledger.org_id, None)
        self._unfinished.pop(ledger.org_id, None)

    # --- closed periods ----------------------------------------------------------------------

    def _begin_transition(self, ledger: OrganisationLedger, model: Model, effects: Effects) -> None:
        """Begin to close and reopen periods before anything is counted under a model that does so (F12)."""
        if ledger.transition is not None and ledger.transition.model is model:
            return
        ledger.transition = None  # a newer model replaces it, and freezes the deals as they are now
        if not ledger.closed.is_behind(model):
            return
        if ledger.model is model and not ledger.is_sweeping and ledger.org_id not in self._resync:
            effects.outcomes["closed_without_sweep"] += 1  # the list of closed periods was lost
        ledger.transition = PeriodTransition(
            ledger.closed,
            model,
            deals=ledger.deals,
            targets=self._targets.of(model, self.partition),
            cells=ledger.cells,
            effects=effects,
        )

    def _step_transition(self, ledger: OrganisationLedger, limit: int, effects: Effects) -> int:
        """Continue to close and reopen periods; return what is left of the limit."""
        if ledger.transition is not None:
            limit = ledger.transition.step(limit, effects)
            if limit:
                ledger.transition = None
        return limit

    # --- sweep -------------------------------------------------------------------------------

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Close and reopen periods, count an organisation's deals again under a model, then publish what changed."""
        ledger, effects = self.ledger(model.org_id), Effects()
        ledger.is_sweeping, ledger.audit = True, None
        self._begin_transition(ledger, model, effects)
        while ledger.transition is not None:
            if not self._step_transition(ledger, limit, effects):
                yield effects
                effects = Effects()
        self._all_published(ledger)  # until the sweep has ended, a successor publishes everything again
        yield from self._count_again(ledger, model, limit, effects)
        yield from self._adopt(ledger, model, limit)
        while model.is_removed and (left := ledger.closed.forget(limit)):
            yield Effects(messages=left)
        effects = Effects()
        is_resync = model.org_id in self._resync and not model.is_removed  # the totals remove all partials (A12)
        if is_resync:
            effects.messages += self._to_all_partitions(SourceSwept(model.org_id, self.partition, ended=False))
            for keys in ledger.sum_keys_in_chunks(limit):
                effects.messages += ledger.partials(keys)
                yield effects
                effects = Effects()
        while True:
            effects.messages += ledger.next_partials(limit)
            if not ledger.has_changes:
                break
            yield effects
            effects = Effects()
        if is_resync:
            effects.messages += self._to_all_partitions(SourceSwept(model.org_id, self.partition, ended=True))
        self._resync -= {model.org_id}
        ledger.is_sweeping = False
        self._all_published(ledger)
        yield effects

    def _count_again(self, ledger: OrganisationLedger, model: Model, limit: int, effects: Effects) -> Iterator[Effects]:
        """Count all deals under a model, in chunks; emit list entries again if Redis may lack them."""
        repeat = ledger.model is None or ledger.org_id in self._resync
        keys = list(ledger.deals)
        if repeat:
            closed = ledger.closed
            keys += (closed.frozen_deals.keys() | closed.adjusted_keys) - ledger.deals.keys()
        for start in range(0, len(keys), limit):
            some = keys[start : start + limit]
            for key in some:
                deal = ledger.deals.get(key)
                if deal is not None:
                    effects.swept += 1
                    before = deal.counted
                    ledger.recount(key, deal, model, effects)
                    if repeat and isinstance(deal.counted, LeftOut) and deal.counted == before:
                        effects.changes.append(DealLeftOut(ledger.org_id, deal.assignment.id, deal.counted))
                if repeat:
                    ledger.adjust(key, effects, repeat=True)
            yield effects
            effects = Effects()
        if effects != Effects():
            yield effects

    def _adopt(self, ledger: OrganisationLedger, model: Model, limit: int) -> Iterator[Effects]:
        """Make a model the one that all of an organisation is under, and mark the partials that this changes."""
        before, after = ledger.targets, self._targets.of(model, self.partition)
        keys = [*after, *(key for key in before if key not in after)]
        for start in range(0, len(keys), TARGETS_PER_RECORD * limit):
            some = keys[start : start + TARGETS_PER_RECORD * limit]
            ledger.cells.changed |= dict.fromkeys(key for key in some if after.get(key) != before.get(key))
            yield Effects()
        ledger.targets = after
        if ledger.model is None:
            ledger.republish_closed()
        ledger.model, ledger.is_mixed = model, False

    def _to_all_partitions(self, swept: SourceSwept) -> list[Message]:
        key = swept_key(swept.org_id, swept.source, ended=swept.ended)
        return [Message(topics.PARTIALS.name, key, swept, partition) for partition in range(self._partitions)]

    # --- queries -----------------------------------------------------------------------------

    def ledger(self, org_id: str) -> OrganisationLedger:
        """Return what this partition holds of an organisation; an empty ledger if it holds nothing."""
        ledger = self._ledgers.get(org_id)
        if ledger is None:
            ledger = self._ledgers[org_id] = OrganisationLedger(org_id, self.partition)
        return ledger

    def orgs(self) -> list[str]:
        """Return the organisations with deals or sums here."""
        return [org_id for org_id, ledger in self._ledgers.items() if ledger.deals or ledger.cells.cells]

    def deals(self, org_id: str) -> list[str]:
        """Return the ids of an organisation's deals here."""
        return [deal.assignment.id for deal in self.ledger(org_id).deals.values()]

    def why_left_out(self, org_id: str, deal_id: str) -> LeftOut | None:
        """Return why a deal is in no sum; None: it is counted, omitted or not here."""
        deal = self.ledger(org_id).deals.get(record_key(org_id, "deal", deal_id))
        return deal.counted if deal is not None and isinstance(deal.counted, LeftOut) else None

    def is_orphan(self, org_id: str, deal_id: str) -> bool:
        """Whether an entry of the list of left-out deals belongs to this partition and must be removed."""
        return self._is_home_of(org_id, deal_id) and self.why_left_out(org_id, deal_id) is None

    def adjustment(self, org_id: str, period: str, deal_id: str) -> Adjustment | None:
        """Return how a deal differs from a closed period; None: it does not, or it is not here (F12)."""
        return self.ledger(org_id).closed.adjusted(record_key(org_id, "deal", deal_id)).get(period)

    def is_orphan_adjustment(self, org_id: str, period: str, deal_id: str) -> bool:
        """Whether an entry of the list of adjustments belongs to this partition and must be removed."""
        return self._is_home_of(org_id, deal_id) and self.adjustment(org_id, period, deal_id) is None

    def _is_home_of(self, org_id: str, deal_id: str) -> bool:
        return partition_of(record_key(org_id, "deal", deal_id), self._partitions) == self.partition

    def adjusted(self, org_id: str) -> Iterator[list[tuple[str, str]]]:
        """Yield period and deal id of each adjustment, one list a deal."""
        closed = self.ledger(org_id).closed
        for key in closed.adjusted_keys:
            yield [(period, parse_record_key(key)[2]) for period in closed.adjusted(key)]

    def sums_of(self, org_id: str) -> list[CellKey]:
        """Return the keys of an organisation's live sums, frozen sums and targets here."""
        return self.ledger(org_id).sum_keys()

    def partial(self, org_id: str, territory_id: str, period: str, user_id: str | None) -> Partial | None:
        """Return what this partition adds to an attainment; None: nothing."""
        return self.ledger(org_id).partial((territory_id, period, user_id))

    def audit(self, org_id: str, count: int) -> tuple[bool, Counter[DriftKind]]:
        """Check up to `count` deals or sums; return whether the audit of the organisation has ended, and the drift.

        Does nothing while deals are counted under two models: during a sweep, or before one that is due.
        """
        ledger = self.ledger(org_id)
        if ledger.is_sweeping or ledger.is_mixed or ledger.model is None:
            return True, Counter()
        if ledger.audit is None:
            ledger.audit = SumsAudit(ledger.model, ledger.deals, ledger.cells)
        has_ended, drift = ledger.audit.step(count)
        if has_ended:
            ledger.audit = None
        return has_ended, drift


def is_deal(key: str) -> bool:
    """Whether a record key is a deal's; the forecast ignores all other records."""
    return parse_record_key(key)[1] == "deal"
