"""The loop that runs every stage: batches on the assigned partitions, each harmless to repeat.

    poll -> decode -> fold.apply -> effects -> checkpoint: outputs and sink, changelog, offsets

A worker that is assigned a partition begins an epoch, so that a predecessor's writes are refused (`fencing.py`),
restores the partition beside the running batches (`restore.py`), and then processes batches. A batch is bounded by
time and effects (`budget.py`); it takes messages, then fan-outs that earlier messages left unfinished, then chunks
of sweeps. Its end is the checkpoint (`checkpoint.py`). A crash before the commit repeats the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import structlog

from territory.stage import Effects
from territory_runtime.health import Health
from territory_runtime.kafka.lease import Lease
from territory_runtime.loop.backpressure import SweepThrottle, throttle_of
from territory_runtime.loop.batch import Batch, BatchProcessor
from territory_runtime.loop.budget import Budget
from territory_runtime.loop.checkpoint import Checkpoint
from territory_runtime.loop.commit_metadata import CommitMetadata, common_metadata
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import (
    Clock,
    Committed,
    GroupOffsets,
    LogReader,
    LogWriter,
    ModelSource,
    Polled,
    TopicPartition,
)
from territory_runtime.loop.restore import Restorer
from territory_runtime.loop.shutdown import STOP_SECONDS_MAX, drain_and_leave
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.stage_metrics import StageMetrics
from territory_runtime.loop.upstream_watermark import applied_position, release_sweeps
from territory_runtime.retry import (
    ANSWER_SECONDS_MAX,
    KAFKA_AWAY,
    LOST_PARTITION,
    GivenUp,
    retry_while_unavailable,
)
from territory_runtime.settings import Settings

log = structlog.get_logger("territory")

IDLE_SECONDS = 0.2
WAITING_SECONDS = 0.05  # how often a waiting sweep asks how far the upstream stage is, and a restore whether it is done
SINK_CHECK_SECONDS = 5.0  # an idle worker makes sure so often that the sink still has what was written
NOT_COMMITTED = Committed(0, "")


class Ports(NamedTuple):
    """What connects one stage of one worker with the outside."""

    reader: LogReader
    offsets: GroupOffsets
    make_writer: Callable[[Lease, Callable[[], Awaitable[None]]], LogWriter]
    """Takes the lease under which the writer may send, and what renews it or raises."""
    clock: Clock
    lease_clock: Callable[[], float]
    """Seconds that go on while the host is suspended."""


class TaskLoop:
    """Runs one stage on the partitions that its consumer group assigns to this worker."""

    def __init__(
        self, stage: Stage, settings: Settings, *, models: ModelSource, health: Health, partitions: int, ports: Ports
    ) -> None:
        """Take everything that the loop works with; nothing is connected before `run`."""
        self._stage = stage
        self._settings = settings
        self._models = models
        self._health = health
        self._partitions = partitions
        self._reader, self._offsets, self._clock = ports.reader, ports.offsets, ports.clock
        self._lease = Lease(settings.kafka_session_timeout_seconds, ports.lease_clock)
        self._writer = ports.make_writer(self._lease, self._confirm)
        self._checkpoint = Checkpoint(stage, self._writer, self._commit, self._retry)
        self._restorer = Restorer(
            stage,
            partitions,
            reader=self._reader,
            models=models,
            checkpoint=self._checkpoint,
            retry=self._retry,
            clock=self._clock,
            beat=partial(health.beat, stage.name),
            sweep_limit=settings.sweep_records_max * stage.sweep_share,
        )
        self._processor = BatchProcessor(stage, stop_on_error=settings.on_processing_error == "stop")
        self._throttle: SweepThrottle = throttle_of(stage.paced_by, self._offsets, self._reader, self._clock)
        self._tasks: dict[int, PartitionTask] = {}
        """The active partitions."""
        self._metrics = StageMetrics(
            stage.name, stage.topics, self._reader, self._tasks, lambda: self._assigned, clock=self._clock.time
        )
        self._batch_lock = asyncio.Lock()
        self._assigned: frozenset[int] = frozenset()
        self._generation = 0
        """Counts the rebalances that this worker has seen."""
        self._settled_generation = -1
        """The generation whose assignment the tasks and restores are for."""
        self._rebalancing = True
        self._stopping = False
        self._sink_checked_at = 0.0
        health.hinder(stage.name, "starting")

    async def run(self) -> None:
        """Join the group and process batches until `stop`. Raises: any exception that is not waited for."""
        await self._models.caught_up()
        await self._writer.start()
        await self._offsets.start()
        await self._reader.start(self._stage.topics, self)
        try:
            while not self._stopping:
                await self._round()
                self._health.beat(self._stage.name)
        except GivenUp as given_up:
            log.info("stopped within a batch", stage=self._stage.name, why=str(given_up))
        except Exception:
            # Stop loudly, before anything of this batch is committed.
            log.exception("stage stopped", stage=self._stage.name)
            self._health.hinder(self._stage.name, "stopped by an error")
            raise
        finally:
            await self._restorer.drop(self._restorer.partitions)
            await drain_and_leave(self._stage.name, self._writer, self._reader)
            await self._offsets.stop()

    async def stop(self) -> None:
        """Let the batch under way end and commit; anything else is the successor's to repeat."""
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX), self._batch_lock:
                self._settled_generation = -1

    async def on_revoked(self) -> None:
        """Let the batch under way end and commit before the partitions go. Restores are not waited for."""
        self._rebalancing = True
        self._lease.rebalance_began()  # before the batch ends: its commit renews no lease
        self._health.hinder(self._stage.name, "rebalancing")
        self._generation += 1
        async with self._batch_lock:
            self._assigned = frozenset()

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Take note of the assignment; the next round restores what is new."""
        self._assigned = partitions
        self._generation += 1
        self._rebalancing = False
        self._lease.rebalance_ended()

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        """By address of a worker, the partition numbers that it owns, as of the last assignment."""
        return self._reader.owners

    async def between_batches(self, look: Callable[[Mapping[int, Any]], Awaitable[None]]) -> None:
        """Let a caller read the folds of the active partitions while no batch is under way.

        Their state is published by then. The next batch waits for the caller, so it must be short.
        """
        async with self._batch_lock:
            if self._is_settled:
                await look({number: task.fold for number, task in self._tasks.items()})

    @property
    def _is_settled(self) -> bool:
        return self._settled_generation == self._generation

    async def _round(self) -> None:
        started = self._clock.monotonic()
        try:
            if not self._is_settled:
                await self._settle_assignment()
            if self._is_settled and self._restorer.is_restoring:
                await self._activate_restored()
            async with self._batch_lock:
                if self._is_settled:
                    await self._move_to_newest_models()
                    await self._release_sweeps()
                    if self._throttle.must_look(self._tasks.values()):
                        await self._retry(self._throttle.look)
            generation = self._generation
            polled = await self._poll()
            async with self._batch_lock:
                if self._is_settled and generation == self._generation:
                    await self._run_batch(polled)
                # Else a rebalance came in between. What was polled is dropped: the partitions' owner, perhaps this
                # worker again, seeks to where it continues.
        except LOST_PARTITION as lost:
            log.warning("partitions lost, restoring", stage=self._stage.name, why=str(lost))
            await self._restore_all_anew()
            await self._clock.sleep(IDLE_SECONDS)
        remaining = self._stage.interval_seconds - (self._clock.monotonic() - started)
        if remaining > 0 and self._tasks and not any(task.is_unfinished for task in self._tasks.values()):
            await self._clock.sleep(remaining)

    async def _restore_all_anew(self) -> None:
        self._tasks.clear()
        await self._restorer.drop(self._restorer.partitions)
        self._settled_generation = -1

    async def _poll(self) -> Polled:
        places = [
            TopicPartition(topic, number)
            for number, task in self._tasks.items()
            for topic in task.queue.topics
            if task.queue.is_empty(topic)
        ]
        if places and self._is_settled:
            return await self._reader.poll(places, self._idle_seconds, self._settings.batch_records_max)
        if not self._tasks or not self._is_settled:
            await self._clock.sleep(WAITING_SECONDS if self._restorer.is_restoring else IDLE_SECONDS)
        elif not self._has_work:  # all input is paused, and the downstream group is waited for
            await self._clock.sleep(WAITING_SECONDS)
        return Polled({}, {})

    @property
    def _idle_seconds(self) -> float:
        """How long a poll may wait for messages."""
        tasks = self._tasks.values()
        if self._has_work:
            return 0.0
        is_waiting = self._restorer.is_restoring or any(task.sweeps or task.is_unfinished for task in tasks)
        return WAITING_SECONDS if is_waiting else IDLE_SECONDS

    @property
    def _has_work(self) -> bool:
        """Whether a batch has something to do without polling."""
        return self._may_reprocess or any(task.has_input for task in self._tasks.values())

    @property
    def _may_reprocess(self) -> bool:
        return self._throttle.chunks > 0 and any(task.has_background_work for task in self._tasks.values())

    async def _settle_assignment(self) -> None:
        """Keep the tasks and restores of partitions that nobody else had meanwhile; restore the other assigned ones."""
        if self._rebalancing:  # most partitions come back: only the new assignment says which to drop
            self._health.hinder(self._stage.name, "waiting for its partitions")
            return
        generation, assigned = self._generation, self._assigned
        for number in self._tasks.keys() - assigned:
            del self._tasks[number]
        await self._restorer.drop(self._restorer.partitions - assigned)
        if not assigned:
            self._settled_generation = generation
            self._health.clear(self._stage.name)  # others have them all: ready for a rebalance
            return
        committed = await self._retry(lambda: self._offsets.committed(self._stage.name))
        for number in sorted(assigned):
            found = {topic: committed.get(TopicPartition(topic, number), NOT_COMMITTED) for topic in self._stage.topics}
            offsets = {topic: max(0, each.offset) for topic, each in found.items()}
            metadata = common_metadata([each.metadata for each in found.values() if each.metadata])
            await self._settle_partition(number, offsets, metadata)
        if generation == self._generation:  # else another rebalance came meanwhile
            self._settled_generation = generation
            self._report_restores()

    async def _settle_partition(self, number: int, offsets: Mapping[str, int], metadata: CommitMetadata) -> None:
        task = self._tasks.get(number)
        if task is not None and task.committed_offsets == offsets and task.committed == metadata:
            await self._begin_to_fetch(number, task)
            return
        self._tasks.pop(number, None)
        if not self._restorer.matches(number, offsets, metadata):
            await self._restorer.drop([number])
            self._restorer.begin(number, offsets, metadata)

    async def _begin_to_fetch(self, number: int, task: PartitionTask) -> None:
        """Seek to where a task goes on: a fetch may have outlasted a rebalance and moved the position."""
        for topic, offset in task.queue.rewind().items():
            self._reader.seek(TopicPartition(topic, number), offset)
        task.repeats_until = await self._retry(partial(self._ends, number))

    async def _activate_restored(self) -> None:
        """Make partitions active whose restore is done."""
        finished, lost = await self._restorer.finished()
        for number, (task, started) in finished.items():
            await self._begin_to_fetch(number, task)
            self._tasks[number] = task
            self._metrics.restored(number, task, self._clock.monotonic() - started)
        if lost:
            log.warning("restores lost, beginning them anew", stage=self._stage.name, partitions=lost)
            self._settled_generation = -1
        elif finished and self._is_settled:
            self._report_restores()

    def _report_restores(self) -> None:
        restoring = sorted(self._restorer.partitions)
        if restoring:
            self._health.hinder(self._stage.name, f"restoring partitions {', '.join(map(str, restoring))}")
        else:
            self._health.clear(self._stage.name)

    async def _ends(self, number: int) -> dict[str, int]:
        ends = await self._reader.end_offsets([TopicPartition(topic, number) for topic in self._stage.topics])
        return {where.topic: end for where, end in ends.items()}

    async def _move_to_newest_models(self) -> None:
        """Let partitions move to the newest snapshot; commit that before any output is produced under it."""
        newest = self._models.in_effect(follows_days=self._stage.follows_days)
        tasks = self._tasks.values()
        if self._models.was_replaced and any(newest.models.keys() - task.snapshot.models for task in tasks):
            # The replaced topic had a model of theirs, too. Only a restore treats its output as unknown.
            await self._restore_all_anew()
            return
        for task in tasks:
            task.is_input_paused = task.awaits_fan_out(newest)
            if task.may_move_to(newest) and not task.is_repeating and task.move_to(newest):
                break  # closing periods is much work: the others follow in the next rounds
        uncommitted = {number: task.metadata for number, task in self._tasks.items() if task.target_uncommitted}
        if uncommitted:
            await self._checkpoint.commit(uncommitted, self._tasks)

    async def _release_sweeps(self) -> None:
        """Let sweeps go on that waited for the upstream stage."""
        if self._stage.follows is None or not any(task.awaits_upstream for task in self._tasks.values()):
            return
        topic = self._stage.topics[0]

        async def end_of(number: int) -> int:
            return (await self._ends(number))[topic]

        applied = partial(applied_position, self._offsets, self._stage.follows, self._partitions)
        await self._retry(lambda: release_sweeps(self._tasks, topic, applied, end_of))

    async def _run_batch(self, polled: Polled) -> None:
        """Process a bounded number of messages, fan-outs and sweep chunks, and commit them."""
        self._enqueue(polled)
        batch = Batch()
        budget = self._budget(batch.effects)
        is_sink_due = budget.started_at - self._sink_checked_at > SINK_CHECK_SECONDS
        touched = set(self._tasks) if self._stage.store is not None and is_sink_due else set()
        if self._lease.is_half_gone and (touched or self._has_work):
            await self._confirm()
        taken = await self._processor.process(self._tasks, batch, budget, touched)
        await self._processor.reprocess(self._tasks, batch, budget, touched, chunks=self._throttle.chunks)
        self._processor.expire(self._tasks, batch, int(self._clock.time() * 1000), touched)
        for number, task in self._tasks.items():
            if number in touched:
                task.fold.flush(task.snapshot.models, batch.effects)
            elif task.offsets_to_commit() != task.committed_offsets:
                touched.add(number)  # only a transaction's end marker came
        if not touched:
            return
        batch.tasks = {number: self._tasks[number] for number in sorted(touched)}
        await self._checkpoint.run(batch)
        if self._stage.store is not None:
            self._sink_checked_at = self._clock.monotonic()
        self._metrics.batch(batch, taken, self._clock.monotonic() - budget.started_at)

    def _budget(self, effects: Effects) -> Budget:
        seconds, effects_max = self._settings.batch_seconds_max, self._settings.batch_effects_max
        return Budget(self._clock, effects, seconds=seconds, effects_max=effects_max)

    def _enqueue(self, polled: Polled) -> None:
        for where, position in polled.positions.items():
            task = self._tasks.get(where.partition)
            if task is not None:
                task.queue.add(where.topic, polled.messages.get(where, ()), position)
        self._throttle.observe([len(messages) for messages in polled.messages.values()])

    async def _commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit, and renew the lease. Raises: as `GroupOffsets.commit`."""
        asked_at = self._lease.now()
        await self._offsets.commit(offsets)
        self._lease.renew(asked_at)

    async def _confirm(self) -> None:
        """Have the group confirm that the active partitions are ours."""
        await self._checkpoint.confirm(self._tasks)

    async def _retry(
        self,
        action: Callable[[], Awaitable[Any]],
        away: tuple[type[BaseException], ...] = KAFKA_AWAY,
        what: str = "Kafka",
        seconds: float | None = ANSWER_SECONDS_MAX,
    ) -> Any:
        return await retry_while_unavailable(
            self._stage.name,
            self._health,
            away,
            action,
            lambda: self._stopping,
            what=what,
            answer_seconds=seconds,
            sleep=self._clock.sleep,
        )
