"""Redis in memory, in the shape of the oracle's end state, and the stages' sinks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from access_indexer.core.changes import AdminsState, RecordState, Revoked, SetChange, SetKind
from access_indexer.core.stage import AccessFold
from forecast_aggregator.partials.changes import DealAdjusted, DealLeftOut
from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentKey, AttainmentState
from territory.stage import Fold, Models
from territory.wire.events import Attainment, Counted
from territory.wire.keys import attainment_key, org_of, parse_record_key, partition_of
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fenced, SinkRolledBack
from tests.support.stepping import Dice, Process

Access = dict[tuple[str, str, str], set[str]]
"""Record ids by organisation, user and object."""


@dataclass(slots=True)
class MemoryRedis:
    """What the stages keep besides Kafka, in the shape of the oracle's end state."""

    partitions: int
    visible: Access = field(default_factory=dict)
    editable: Access = field(default_factory=dict)
    admins: dict[str, set[str]] = field(default_factory=dict)
    records: dict[str, RecordState] = field(default_factory=dict)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    adjustments: dict[tuple[str, str, str], tuple[Counted | None, Counted | None]] = field(default_factory=dict)
    """By organisation, period and deal what it counted for, and what it counts for now."""
    attainments: dict[AttainmentKey, Attainment] = field(default_factory=dict)
    fences: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """By stage and partition, the epoch and the write sequence."""
    progress: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    """By stage and partition, the model revision of each organisation."""

    def _change_sets(self, change: SetChange) -> None:
        sets = self.visible if change.kind == "visible" else self.editable
        key = (change.org_id, change.user_id, change.object)
        ids = sets.setdefault(key, set())
        (ids.update if change.present else ids.difference_update)(change.record_ids)
        if not ids:
            del sets[key]

    def make(self, change: object) -> None:
        """Make one change. Harmless to repeat."""
        if isinstance(change, SetChange):
            self._change_sets(change)
        elif isinstance(change, RecordState):
            key_of_record = f"{change.org_id}/{change.object}/{change.record_id}"
            if change.version is None:
                self.records.pop(key_of_record, None)
            else:
                self.records[key_of_record] = change
        elif isinstance(change, AdminsState):
            self.admins[change.org_id] = set(change.users)
            if not change.users:
                del self.admins[change.org_id]
        elif isinstance(change, DealLeftOut | DealAdjusted):
            self._list(change)
        elif isinstance(change, AttainmentState):
            self.attainments.pop(change.place, None)
            if change.attainment is not None:
                self.attainments[change.place] = change.attainment
        elif not isinstance(change, Revoked):
            raise TypeError(f"found a {type(change).__name__}, expected a change of the store")

    def _list(self, change: DealLeftOut | DealAdjusted) -> None:
        """Put a deal on one of the two lists, or take it off."""
        if isinstance(change, DealLeftOut):
            self.left_out.pop((change.org_id, change.deal_id), None)
            if change.why is not None:
                self.left_out[change.org_id, change.deal_id] = change.why.reason
        else:
            at = (change.org_id, change.period, change.deal_id)
            self.adjustments.pop(at, None)
            if change.adjustment is not None:
                self.adjustments[at] = (change.adjustment.frozen, change.adjustment.now)

    def reconcile(self, partition: int, fold: Fold, models: Models, orgs: frozenset[str]) -> None:
        """Remove what a partition's fold does not know, of some organisations."""
        match fold:
            case AccessFold():
                self._drop_access(fold, models, orgs)
            case PartialSumsFold():
                for deal in [at for at in self.left_out if at[0] in orgs and fold.is_orphan(*at)]:
                    del self.left_out[deal]
                for at in [at for at in self.adjustments if at[0] in orgs and fold.is_orphan_adjustment(*at)]:
                    del self.adjustments[at]
            case AttainmentFold():
                for row in [row for row in self.attainments if row[0] in orgs and fold.is_orphan(row)]:
                    if partition_of(attainment_key(*row), self.partitions) == partition:
                        del self.attainments[row]

    def _drop_access(self, fold: AccessFold, models: Models, unknown: frozenset[str]) -> None:
        kinds: tuple[tuple[SetKind, Access], ...] = (("visible", self.visible), ("editable", self.editable))
        for kind, sets in kinds:
            for (org, user, about), ids in list(sets.items()):
                if org in unknown:
                    orphans = fold.orphans(org, kind, user, about, record_ids=sorted(ids), models=models)
                    self.make(SetChange(org, kind, user, about, orphans, present=False))
        for key in [key for key in self.records if org_of(key) in unknown]:
            if fold.is_orphan(*parse_record_key(key)):
                del self.records[key]


class MemorySink:
    """The port `Sink` of one worker: written in two parts, refused where another worker has begun an epoch."""

    def __init__(
        self, redis: Callable[[], MemoryRedis], process: Process, stage: str, dice: Callable[[], Dice]
    ) -> None:
        self._find = redis
        self._process = process
        self._stage = stage
        self._dice = dice
        self._taken: dict[int, tuple[int, int]] = {}
        self.fences: Any = self

    @property
    def _redis(self) -> MemoryRedis:
        return self._find()

    async def take(self, partition: int, epoch: int, written: int) -> tuple[int, bool]:
        """Begin an epoch; return the latest one, and whether everything that was written is there."""
        await self._process.gate("sink")
        place = (self._stage, partition)
        found = self._redis.fences.get(place)
        latest, sequence = found or (0, 0)
        if latest > epoch:
            return latest, False
        self._redis.fences[place] = self._taken[partition] = (epoch, sequence)
        return epoch, found is not None and sequence >= written

    def write_sequence(self, partition: int) -> int:
        """Return the write sequence."""
        return self._taken[partition][1]

    async def apply(self, changes: list[Any], progress: list[Progress]) -> None:
        partitions = [one.partition for one in progress]
        half = self._dice().randint(0, len(changes))
        for part in (changes[:half], changes[half:]):
            await self._process.gate("sink")
            self._pass_fences(partitions)
            for change in part:
                self._redis.make(change)
        for one in progress:
            self._redis.progress.setdefault((one.stage, one.partition), {}).update(one.revisions)

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None]) -> None:
        for request in requests:
            await self._process.gate("sink")
            beat()
            self._pass_fences([request.partition])
            self._redis.reconcile(request.partition, request.fold, request.models, request.orgs)

    def _pass_fences(self, partitions: Iterable[int]) -> None:
        """Count a write. Raises: Fenced, SinkRolledBack."""
        found = {partition: self._redis.fences.get((self._stage, partition), (0, 0)) for partition in partitions}
        for partition, (epoch, sequence) in found.items():
            ours, written = self._taken[partition]
            if epoch > ours:
                raise Fenced(f"another worker has begun epoch {epoch}")
            if epoch < ours or sequence < written:
                raise SinkRolledBack(f"found {(epoch, sequence)} where {(ours, written)} was written")
        for partition, (epoch, sequence) in found.items():
            self._redis.fences[self._stage, partition] = self._taken[partition] = (epoch, sequence + 1)
