"""The loop that runs every stage: one turn after another, each harmless to repeat.

    bytes -> decode -> event -> step -> effects -> send, await -> state, await -> store -> commit

A worker that is given a partition restores the fold's memory from the compacted topic, then
takes turns: a batch of messages of all its partitions and one slice of every sweep that is
due. What a turn wants done is done in order, and only then are the offsets committed. A
crash in between repeats the turn. Beside each offset stands the position on the model topic
up to which everything in that partition was swept, so a successor knows what is still to
be said (decision of 2026-11-21 in the README).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import ConsumerRecord
from mode import Service

from territory.errors import BadMessage
from territory.fold import Effects, Fold, collapse
from territory.topics import Topic
from territory_runtime import kafka, metrics
from territory_runtime.dead_letters import bury
from territory_runtime.health import Health
from territory_runtime.model_watcher import NOTHING_ACTIVATED, ModelWatcher
from territory_runtime.restoring import incoming_of, read_state
from territory_runtime.sending import Sender
from territory_runtime.settings import Settings
from territory_runtime.stage import Progress, Stage
from territory_runtime.waiting import KAFKA_AWAY, REDIS_AWAY, until_done

log = structlog.get_logger("territory")

IDLE_SECONDS = 0.2
LOST_PARTITION = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class _Held:
    """One partition that this worker has: its memory and how far it is."""

    def __init__(self, fold: Fold) -> None:
        self.fold = fold
        self.next_offsets: dict[str, int] = {}
        """By input topic, the next message to take."""
        self.sweeps: dict[str, Iterator[Effects]] = {}
        """By organisation, what is left of bringing its records under the active model."""
        self.seen_position = NOTHING_ACTIVATED
        """The position on the model topic whose activations are swept, or are in `sweeps`."""
        self.swept_position = NOTHING_ACTIVATED
        """The position up to which everything is swept; committed beside the offsets."""
        self.swept_records = 0
        self.revisions: dict[str, int] = {}


class PartitionLoop(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Runs one stage on the partitions that its consumer group gives to this worker."""

    def __init__(self, stage: Stage, settings: Settings, models: ModelWatcher, health: Health, partitions: int) -> None:
        super().__init__()
        self._stage = stage
        self._settings = settings
        self._models = models
        self._health = health
        self._partitions = partitions
        self._topics: dict[str, Topic] = {topic.name: topic for topic in stage.inputs}
        self._readers = {topic.name: read for topic, read in stage.inputs.items()}
        self._held: dict[int, _Held] = {}
        self._turn_lock = asyncio.Lock()
        self._assigned: frozenset[int] = frozenset()
        self._rebalancing = True
        self._taken_over = False
        self._consumer: AIOKafkaConsumer
        self._producer: AIOKafkaProducer
        self._admin: AIOKafkaAdminClient

    # --- the life of the service -------------------------------------------------------------

    @Service.task
    async def _run(self) -> None:
        self._health.hinder(self._stage.name, "starting")
        await self._models.caught_up()
        self._consumer = kafka.group_consumer(
            self._settings, self._stage.name, partition_assignment_strategy=(RangePartitionAssignor,)
        )
        self._producer = kafka.producer(self._settings)
        self._admin = kafka.group_admin(self._settings)
        self._sender = Sender(self._producer, self._partitions)
        for client in (self._producer, self._admin, self._consumer):
            await client.start()
        self._consumer.subscribe(list(self._topics), listener=self)
        try:
            while not self.should_stop:
                await self._round()
                self._health.beat(self._stage.name)
        except Exception:
            # A broken promise of our own: stop loudly, before anything of this turn is committed.
            log.exception("stage stopped", stage=self._stage.name)
            self._health.hinder(self._stage.name, "stopped by an error")
            raise
        finally:
            await self._consumer.stop()
            await self._admin.close()
            await self._producer.stop()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the turn that is under way end and commit before partitions go."""
        async with self._turn_lock:
            self._assigned = frozenset()
            self._rebalancing = True
            self._taken_over = False

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Note what this worker has from now on; the loop restores it before the next turn."""
        self._assigned = frozenset(partition.partition for partition in assigned)
        self._rebalancing = False
        self._taken_over = False

    async def _round(self) -> None:
        started = time.monotonic()
        try:
            async with self._turn_lock:
                if not self._taken_over:
                    await self._take_over()
                held = {number: self._held[number] for number in self._assigned}
                self._start_sweeps(held)
                sweeping = any(part.sweeps for part in held.values())
                waiting = [TopicPartition(topic, number) for number in held for topic in self._topics]
            found = (
                await self._consumer.getmany(
                    *waiting,
                    timeout_ms=0 if sweeping else int(IDLE_SECONDS * 1000),
                    max_records=self._settings.batch_records_max,
                )
                if waiting
                else {}
            )
            async with self._turn_lock:
                if self._taken_over:
                    await self._turn(held, found)
                # Else a rebalance came between: whoever has the partitions now fetches it again.
        except LOST_PARTITION as lost:
            log.warning("partitions went to another worker", stage=self._stage.name, why=str(lost))
            self._held.clear()
            self._taken_over = False
        remaining = self._stage.interval_seconds - (time.monotonic() - started)
        if not self._assigned:
            remaining = IDLE_SECONDS
        if remaining > 0:
            await self.sleep(remaining)

    # --- taking over partitions --------------------------------------------------------------

    async def _take_over(self) -> None:
        """Hold exactly the assigned partitions, each with its memory whole."""
        assigned = self._assigned
        for number in self._held.keys() - self._assigned:
            del self._held[number]
        if not self._assigned:
            if self._rebalancing:
                self._health.hinder(self._stage.name, "waiting for its partitions")
            else:  # others have them all: ready to take over
                self._health.clear(self._stage.name)
            return
        committed = await until_done(self._stage.name, self._health, KAFKA_AWAY, self._committed)
        for number in sorted(assigned):
            offsets = {topic: committed.get(TopicPartition(topic, number), (0, ""))[0] for topic in self._topics}
            kept = self._held.get(number)
            if kept is None or any(kept.next_offsets.get(topic, 0) != offset for topic, offset in offsets.items()):
                self._health.hinder(self._stage.name, f"restoring partition {number}")
                metadata = committed.get(TopicPartition(next(iter(self._topics)), number), (0, ""))[1]
                position = int(metadata) if metadata.isdigit() else NOTHING_ACTIVATED
                restore = partial(self._restore, number, offsets, position)
                away = (*KAFKA_AWAY, *REDIS_AWAY)
                self._held[number] = await until_done(
                    self._stage.name, self._health, away, restore, what="Kafka or Redis"
                )
        self._taken_over = assigned is self._assigned  # a rebalance may have come meanwhile
        self._health.clear(self._stage.name)
        metrics.RECORDS.labels(stage=self._stage.name).set(sum(len(part.fold) for part in self._held.values()))

    async def _committed(self) -> dict[TopicPartition, tuple[int, str]]:
        wanted = [TopicPartition(topic, number) for number in self._assigned for topic in self._topics]
        found = await self._admin.list_consumer_group_offsets(self._stage.name, partitions=wanted)
        return {part: (max(0, where.offset), where.metadata) for part, where in found.items()}

    async def _restore(self, number: int, offsets: dict[str, int], position: int) -> _Held:
        """Return a partition with its memory as it was when the offsets were committed."""
        started = time.monotonic()
        await self._models.reached(position)
        held = _Held(self._stage.make(number, self._partitions))
        held.next_offsets = offsets
        topic, read = self._stage.state
        up_to = offsets[topic.name] if self._stage.restores_from_input else None
        where = TopicPartition(topic.name, number)
        beat = partial(self._health.beat, self._stage.name)
        is_gapless = await read_state(self._settings, held.fold, where, read, up_to=up_to, beat=beat)
        models = dict(self._models.models)
        activated_at = dict(self._models.activated_at)
        unknown = frozenset(org for org in models if not is_gapless or activated_at[org] > position)
        if self._stage.store is not None:
            unknown = await self._stage.store.reconcile(number, held.fold, models, unknown)
        held.fold.restored(models, unknown)
        held.seen_position = max(activated_at.values(), default=NOTHING_ACTIVATED)
        held.revisions = {org: model.revision for org, model in models.items()}
        held.sweeps = {
            org: held.fold.sweep(models[org], self._settings.sweep_records_max) for org in unknown if org in models
        }
        if not held.sweeps:
            held.swept_position = held.seen_position
        log.info(
            "partition restored", stage=self._stage.name, partition=number, records=len(held.fold),
            to_sweep=sorted(unknown)[:10], seconds=round(time.monotonic() - started, 3),
        )  # fmt: skip
        return held

    # --- turns -------------------------------------------------------------------------------

    def _start_sweeps(self, held: dict[int, _Held]) -> None:
        """Begin to bring partitions under models that were activated since they were last looked at."""
        newest = self._models.position
        for part in held.values():
            if part.seen_position == newest:
                continue
            for org, model in self._models.models.items():
                if self._models.activated_at[org] > part.seen_position:
                    part.sweeps[org] = part.fold.sweep(model, self._settings.sweep_records_max)
                    part.revisions[org] = model.revision
            part.seen_position = newest
            if not part.sweeps:
                part.swept_position = newest

    async def _turn(self, held: dict[int, _Held], found: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        """Take one batch and one slice of every sweep, do what follows from them, and commit."""
        started = time.monotonic()
        models = self._models.models
        effects = Effects()
        offsets: dict[TopicPartition, int] = {}
        touched: set[int] = set()
        for where, messages in found.items():
            part = held[where.partition]
            for message in messages:
                if message.offset >= part.next_offsets.get(where.topic, 0) and self._is_wanted(message):
                    await self._take(part.fold, message, effects)
            if messages:
                offsets[where] = messages[-1].offset + 1
                touched.add(where.partition)
        for number, part in held.items():
            if part.sweeps:
                touched.add(number)
                self._sweep_slice(part, effects)
            if number in touched:
                part.fold.flush(models, effects)
        if not touched:
            return
        await self._perform(effects, held, touched, offsets)
        await self._commit(held, touched, offsets)
        self._count(effects, found, held)
        metrics.TURN.labels(stage=self._stage.name).observe(time.monotonic() - started)

    def _is_wanted(self, message: ConsumerRecord) -> bool:
        key = (message.key or b"").decode(errors="replace")
        return key.count("/") < 2 or self._stage.wants(key)

    async def _take(self, fold: Fold, message: ConsumerRecord, effects: Effects) -> None:
        try:
            incoming = incoming_of(message, self._readers[message.topic])
        except BadMessage as bad:
            await self._bury(message, bad.code, str(bad))
            return
        fold.apply(incoming, self._models.models, effects)
        while effects.refused:
            _, code, reason = effects.refused.pop()
            await self._bury(message, code, reason)

    async def _bury(self, message: ConsumerRecord, code: str, reason: str) -> None:
        metrics.EVENTS.labels(topic=message.topic, outcome="refused").inc()
        await until_done(
            self._stage.name, self._health, KAFKA_AWAY,
            lambda: bury(self._producer, message, stage=self._stage.name, code=code, reason=reason),
            lambda: self.should_stop,
        )  # fmt: skip

    def _sweep_slice(self, part: _Held, effects: Effects) -> None:
        """Add the next slice of one organisation's sweep; organisations take turns."""
        org = next(iter(part.sweeps))
        sweep = part.sweeps.pop(org)
        slice_of = next(sweep, None)
        part.swept_records += self._settings.sweep_records_max
        if slice_of is not None:
            effects.add(slice_of)
            part.sweeps[org] = sweep  # at the end: others go first
        if not part.sweeps:
            part.swept_position = part.seen_position
            part.swept_records = 0

    async def _perform(
        self, effects: Effects, held: dict[int, _Held], touched: set[int], offsets: dict[TopicPartition, int]
    ) -> None:
        stopping = lambda: self.should_stop  # noqa: E731 -- three lines use it
        encoded: dict[int, bytes] = {}  # a record is forwarded and kept: it is encoded once
        for messages in (effects.messages, effects.state):
            if messages:
                await until_done(
                    self._stage.name, self._health, KAFKA_AWAY,
                    partial(self._sender.send, collapse(messages), encoded), stopping,
                )  # fmt: skip
        store = self._stage.store
        if store is not None:
            first = next(iter(self._topics))
            progress = [
                Progress(
                    self._stage.name,
                    number,
                    offsets.get(TopicPartition(first, number), held[number].next_offsets.get(first, 0)),
                    {org: rev for org, rev in held[number].revisions.items() if org not in held[number].sweeps},
                )
                for number in sorted(touched)
            ]
            await until_done(
                self._stage.name, self._health, REDIS_AWAY,
                lambda: store.apply(effects.changes, progress), stopping, what="Redis",
            )  # fmt: skip

    async def _commit(self, held: dict[int, _Held], touched: set[int], offsets: dict[TopicPartition, int]) -> None:
        """Commit what was done, with the swept model position beside every offset."""
        for where, offset in offsets.items():
            held[where.partition].next_offsets[where.topic] = offset
        commit = {
            TopicPartition(topic, number): (held[number].next_offsets.get(topic, 0), str(held[number].swept_position))
            for number in touched
            for topic in self._topics
        }
        await until_done(
            self._stage.name, self._health, KAFKA_AWAY, lambda: self._consumer.commit(commit), lambda: self.should_stop
        )

    # --- what is counted ---------------------------------------------------------------------

    def _count(
        self, effects: Effects, found: dict[TopicPartition, list[ConsumerRecord]], held: dict[int, _Held]
    ) -> None:
        lag: dict[str, int] = dict.fromkeys(self._topics, 0)
        oldest: dict[str, float] = dict.fromkeys(self._topics, 0.0)
        for where, messages in found.items():
            metrics.EVENTS.labels(topic=where.topic, outcome="taken").inc(len(messages))
        for number, part in held.items():
            for topic in self._topics:
                where = TopicPartition(topic, number)
                behind = max(0, (self._consumer.highwater(where) or 0) - part.next_offsets.get(topic, 0))
                lag[topic] += behind
                if behind and found.get(where):
                    oldest[topic] = max(oldest[topic], time.time() - found[where][-1].timestamp / 1000)
        for topic, behind in lag.items():
            metrics.LAG_RECORDS.labels(topic=topic).set(behind)
            metrics.LAG_SECONDS.labels(topic=topic).set(oldest[topic])
        for outcome, count in effects.outcomes.items():
            metrics.OUTCOMES.labels(stage=self._stage.name, outcome=outcome).inc(count)
        metrics.RECORDS.labels(stage=self._stage.name).set(sum(len(part.fold) for part in held.values()))
        remaining = sum(max(0, len(part.fold) - part.swept_records) for part in held.values() if part.sweeps)
        metrics.SWEEP_REMAINING.labels(stage=self._stage.name).set(remaining)
