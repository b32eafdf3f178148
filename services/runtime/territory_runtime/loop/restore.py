"""Restores partitions side by side, while the task loop goes on with those that are active."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from territory.errors import BadMessage
from territory.stage import Fold
from territory_runtime.gc_tuning import gc_paused
from territory_runtime.kafka.topic_admin import COMPACTION_LAG_MS
from territory_runtime.loop.checkpoint import Checkpoint, Retry
from territory_runtime.loop.commit_metadata import CommitMetadata, orgs_to_resync
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.model_snapshot import ModelSnapshot
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import Clock, LogReader, ModelSource, TopicPartition
from territory_runtime.loop.stage import Reader, ReconcileRequest, Stage
from territory_runtime.redis.fencing import begin_epoch
from territory_runtime.retry import KAFKA_AWAY, LOST_PARTITION, REDIS_AWAY

DECODED_RECORDS_MAX = 500
"""Decoded in one go; then the event loop gets control, for live batches and heartbeats."""


async def restore_topic(
    reader: LogReader,
    fold: Fold,
    where: TopicPartition,
    read: Reader,
    *,
    up_to: int | None,
    clock: Clock,
    beat: Callable[[], None],
) -> bool:
    """Feed a compacted topic's partition to a fold, up to an offset or to its end.

    Returns: Whether nothing can be missing. Compaction leaves messages younger than its lag alone. If the first
    message from `up_to` on is older than half of that, what it replaced may be gone, and with it the knowledge of
    output that followed from it.

    Raises: KafkaError.
    """
    async for messages in reader.read_all(where):
        for start in range(0, len(messages), DECODED_RECORDS_MAX):
            with gc_paused():
                for message in messages[start : start + DECODED_RECORDS_MAX]:
                    if up_to is not None and message.offset >= up_to:
                        age_ms = clock.time() * 1000 - message.timestamp
                        return age_ms < COMPACTION_LAG_MS / 2
                    with suppress(BadMessage):  # it went to the dead letters when it was processed
                        fold.restore(decode_message(message, read))
            beat()
            await asyncio.sleep(0)
    return True


async def restore_fold(
    reader: LogReader,
    stage: Stage,
    fold: Fold,
    number: int,
    *,
    offsets: Mapping[str, int],
    clock: Clock,
    beat: Callable[[], None],
) -> bool:
    """Restore a fold from its stage's changelogs, or from its input up to the committed offsets.

    Returns: Whether nothing can be missing. Raises: KafkaError.
    """
    is_gapless = True
    for topic, read in filter(None, (stage.keeps, stage.state)):
        where = TopicPartition(topic.name, number)
        up_to = offsets[topic.name] if topic in stage.inputs else None
        is_gapless &= await restore_topic(reader, fold, where, read, up_to=up_to, clock=clock, beat=beat)
    return is_gapless


@dataclass(slots=True)
class _Restore:
    """A restore in progress, and its results."""

    task: PartitionTask
    running: asyncio.Task[None]
    started_at: float
    metadata: CommitMetadata | None = None
    applied: ModelSnapshot | None = None
    target: ModelSnapshot | None = None
    resync: frozenset[str] = frozenset()

    @property
    def is_restored(self) -> bool:
        """Whether it has ended without an error."""
        return self.running.done() and not self.running.cancelled() and self.running.exception() is None


class Restorer:
    """Restores the partitions of one stage on this worker."""

    def __init__(
        self,
        stage: Stage,
        partitions: int,
        *,
        reader: LogReader,
        models: ModelSource,
        checkpoint: Checkpoint,
        retry: Retry,
        clock: Clock,
        beat: Callable[[], None],
        sweep_limit: int,
    ) -> None:
        """Take the ports of one worker; `beat` is called while something takes long."""
        self._stage = stage
        self._partitions = partitions
        self._reader = reader
        self._models = models
        self._checkpoint = checkpoint
        self._retry = retry
        self._clock = clock
        self._beat = beat
        self._sweep_limit = sweep_limit
        self._restores: dict[int, _Restore] = {}
        self._reconciling: tuple[asyncio.Task[None], frozenset[int]] | None = None

    @property
    def is_restoring(self) -> bool:
        """Whether there is any such partition."""
        return bool(self._restores)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are being restored."""
        return frozenset(self._restores)

    def begin(self, number: int, offsets: Mapping[str, int], metadata: CommitMetadata) -> None:
        """Begin to restore a partition from what its group has committed."""
        task = PartitionTask(self._stage.make(number, self._partitions), offsets)
        running = asyncio.ensure_future(self._restore(number, task, metadata))
        self._restores[number] = _Restore(task, running, self._clock.monotonic())

    def matches(self, number: int, offsets: Mapping[str, int], metadata: CommitMetadata) -> bool:
        """Whether a partition is being restored and nobody else had it since: its commits are this restore's own."""
        restore = self._restores.get(number)
        return restore is not None and restore.task.committed_offsets == offsets and restore.task.committed == metadata

    async def drop(self, numbers: Collection[int]) -> None:
        """Stop restoring partitions; return when their work has ended."""
        dropped = [self._restores.pop(number).running for number in numbers if number in self._restores]
        if self._reconciling is not None and not self._reconciling[1].isdisjoint(numbers):
            dropped.append(self._reconciling[0])
            self._reconciling = None
        for running in dropped:
            running.cancel()
        if dropped:
            await asyncio.wait(dropped)

    async def finished(self) -> tuple[dict[int, tuple[PartitionTask, float]], list[int]]:
        """Return the partitions that can become active, each with the time at which its restore began.

        Returns, too, the partitions whose restore was cut short because a rebalance came in between, or because the
        sink has lost writes: they have to be begun anew.

        Raises: any other exception of a restore.
        """
        lost = await self._drop_lost()
        # A restore that failed while the lost ones were dropped is done as well: the next call finds it.
        done = {number for number, restore in self._restores.items() if restore.is_restored}
        if self._reconciling is not None:
            running, numbers = self._reconciling
            if running.done():
                self._reconciling = None
                running.result()
                return {number: self._activate(number) for number in sorted(numbers)}, lost
            done -= numbers
        # Orphans in Redis are searched in one walk for all partitions, once the last one is restored.
        has_sink = self._stage.store is not None
        needy = frozenset(number for number in done if has_sink and self._restores[number].resync)
        if needy and self._reconciling is None and done == self._restores.keys():
            self._reconciling = (asyncio.ensure_future(self._reconcile(needy)), needy)
        ready = sorted(done - needy)
        if ready and has_sink:
            await self._reconcile(ready)
        return {number: self._activate(number) for number in ready}, lost

    async def _drop_lost(self) -> list[int]:
        lost: list[int] = []
        for number, restore in list(self._restores.items()):
            if restore.running.done() and isinstance(restore.running.exception(), LOST_PARTITION):
                lost.append(number)
            elif restore.running.done():
                restore.running.result()
        running, numbers = self._reconciling or (None, ())
        if running is not None and running.done() and isinstance(running.exception(), LOST_PARTITION):
            lost += numbers
        await self.drop(lost)
        return sorted(lost)

    def _activate(self, number: int) -> tuple[PartitionTask, float]:
        restore = self._restores.pop(number)
        if restore.metadata is None or restore.applied is None or restore.target is None:
            raise RuntimeError(f"partition {number} is not restored")
        restore.task.resume(
            restore.metadata, restore.applied, restore.target, restore.resync,
            limit=self._sweep_limit, passes=self._stage.sweep_passes, edition=self._stage.edition,
        )  # fmt: skip
        return restore.task, restore.started_at

    async def _restore(self, number: int, task: PartitionTask, metadata: CommitMetadata) -> None:
        metadata = await self._models.reached(metadata, self._beat)
        metadata = await self._long(partial(self._begin_epoch, number, task, metadata))
        is_gapless = await self._long(partial(self._restore_fold, number, task))
        applied, target = await self._models.snapshots_of(metadata, follows_days=self._stage.follows_days)
        edition = self._stage.edition
        resync = orgs_to_resync(metadata, target, is_gapless=is_gapless, edition=edition) & target.models.keys()
        restore = self._restores[number]
        restore.metadata, restore.applied, restore.target, restore.resync = metadata, applied, target, resync

    async def _begin_epoch(self, number: int, task: PartitionTask, metadata: CommitMetadata) -> CommitMetadata:
        """Begin a new epoch, so that a predecessor's writes are refused from now on."""

        async def commit(begun: CommitMetadata) -> None:
            await self._checkpoint.commit({number: begun}, {number: task})

        store = self._stage.store
        begun = await begin_epoch(store.fences if store is not None else None, number, metadata, commit)
        task.epoch, task.write_sequence = begun.epoch, begun.write_sequence
        return metadata._replace(epoch=begun.epoch)

    async def _restore_fold(self, number: int, task: PartitionTask) -> bool:
        task.fold = self._stage.make(number, self._partitions)  # a new one: an earlier attempt may have ended half-way
        return await restore_fold(
            self._reader,
            self._stage,
            task.fold,
            number,
            offsets=task.committed_offsets,
            clock=self._clock,
            beat=self._beat,
        )

    async def _reconcile(self, numbers: Collection[int]) -> None:
        """Remove the orphans of these partitions from the sink, in one walk."""
        store = self._stage.store
        if store is None:
            return
        requests = [
            ReconcileRequest(number, restore.task.fold, restore.target.models, restore.resync)
            for number in sorted(numbers)
            for restore in [self._restores[number]]
            if restore.target is not None
        ]
        await self._long(partial(store.reconcile, requests, self._beat))

    async def _long(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """Run an action that may take minutes; wait for Kafka and Redis."""
        return await self._retry(action, (*KAFKA_AWAY, *REDIS_AWAY), "Kafka or Redis", None)
