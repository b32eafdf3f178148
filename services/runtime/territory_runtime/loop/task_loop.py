"""The loop that runs every stage: one turn after another, each harmless to repeat.

    bytes -> decode -> event -> step -> effects -> (send -> state) and store, await both -> commit

A worker that is given a partition begins a term of its own, so that whoever had it before can't
write any more (`fencing.py`), restores the fold's memory from the compacted topic, then takes
turns: a batch of messages of all its partitions and a slice or a few of the sweeps that are due. What
a turn wants done is done (`performing.py`), and only then are the offsets committed. A crash in between
repeats the turn. Beside each offset stands a note of the models that all in that partition was
said under, so a successor knows what is still to be said (`held.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import UnknownMemberIdError
from aiokafka.structs import ConsumerRecord
from mode import Service

from territory.errors import BadMessage
from territory.stage import Effects
from territory.wire.topics import Topic
from territory_runtime import metrics
from territory_runtime.health import Health
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import FencedProducer
from territory_runtime.loop.backpressure import SweepThrottle, pace_of
from territory_runtime.loop.checkpoint import perform
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.model_snapshot import CommitMetadata, unknown_under
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.loop.partition_task import SWEEP_SECONDS_MAX, PartitionTask, sweep_in_turns
from territory_runtime.loop.restore import restore_fold
from territory_runtime.loop.shutdown import STOP_SECONDS_MAX, drain_and_leave
from territory_runtime.loop.stage import Progress, Stage, every
from territory_runtime.loop.stage_metrics import StageMetrics
from territory_runtime.loop.upstream_watermark import decided_position, follow_decisions
from territory_runtime.redis.fencing import Lease, begin_epoch
from territory_runtime.retry import (
    ANSWER_SECONDS_MAX,
    KAFKA_AWAY,
    LOST_PARTITION,
    REDIS_AWAY,
    GivenUp,
    retry_while_unavailable,
)
from territory_runtime.settings import Settings

log = structlog.get_logger("territory")

IDLE_SECONDS = 0.2
WAITING_SECONDS = 0.05  # so often the stage before is asked how far it is, while a sweep waits for that
LOOK_SECONDS = 5.0  # an idle worker looks so often whether Redis still has what was written


class TaskLoop(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
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
        self._held: dict[int, PartitionTask] = {}
        self._turn_lock = asyncio.Lock()
        self._lease = Lease(settings.kafka_session_timeout_seconds)
        self._looked_at = 0.0
        self._assigned: frozenset[int] = frozenset()
        self._rebalancing = True
        self._taken_over = False
        self._consumer: AIOKafkaConsumer
        self._sender: FencedProducer
        self._counting: StageMetrics
        self._pace: SweepThrottle
        self._admin: AIOKafkaAdminClient
        health.hinder(stage.name, "starting")

    # --- the life of the service -------------------------------------------------------------

    @Service.task
    async def _run(self) -> None:
        await self._models.caught_up()
        self._consumer = clients.group_consumer(
            self._settings, self._stage.name, partition_assignment_strategy=(RangePartitionAssignor,)
        )
        self._admin = clients.group_admin(self._settings)
        self._sender = FencedProducer(self._settings, self._stage.name, self._partitions, self._lease, self._confirm)
        self._counting = StageMetrics(
            self._stage.name, self._topics, self._consumer, self._held, lambda: self._assigned
        )
        self._pace = pace_of(self._stage.paced_by, self._admin, self._consumer)
        for client in (self._sender, self._admin, self._consumer):
            await client.start()
        self._consumer.subscribe(list(self._topics), listener=self)
        try:
            while not self.should_stop:
                await self._round()
                self._health.beat(self._stage.name)
        except GivenUp as given_up:
            log.info("stopped amid a turn", stage=self._stage.name, why=str(given_up))
        except Exception:
            # A broken promise of our own: stop loudly, before anything of this turn is committed.
            log.exception("stage stopped", stage=self._stage.name)
            self._health.hinder(self._stage.name, "stopped by an error")
            raise
        finally:
            await drain_and_leave(self._stage.name, self._sender, self._consumer)
            await self._admin.close()

    async def on_stop(self) -> None:
        """Let the turn that is under way end and commit; what is left of it else is the successor's to repeat."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX), self._turn_lock:
                self._taken_over = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the turn that is under way end and commit before partitions go."""
        self._rebalancing = True  # before the turn ends: what it commits renews no lease
        self._health.hinder(self._stage.name, "rebalancing")
        async with self._turn_lock:
            self._assigned = frozenset()
            self._taken_over = False

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Note what this worker has from now on; the loop restores it before the next turn."""
        self._assigned = frozenset(partition.partition for partition in assigned)
        self._rebalancing = False
        self._taken_over = False

    async def between_turns(self, look: Callable[[Mapping[int, Any]], Awaitable[None]]) -> None:
        """Let something look at the folds, by partition, while no turn is under way: what they say is stored.

        The next turn waits for it, so it must be short. It is not called while partitions are taken over.
        """
        async with self._turn_lock:
            if self._taken_over:
                await look({number: part.fold for number, part in self._held.items()})

    async def _round(self) -> None:
        started = time.monotonic()
        try:
            async with self._turn_lock:
                if not self._taken_over:
                    await self._take_over()
                await self._follow_models()
                await self._follow_decisions()
                await self._until_done(partial(self._pace.look, self._held.values()))
                places, seconds = self._places, self._idle_seconds
            found: Any = {}
            if places:
                found = await self._consumer.getmany(
                    *places, timeout_ms=int(seconds * 1000), max_records=self._settings.batch_records_max
                )
            async with self._turn_lock:
                if self._taken_over:
                    await self._turn(found)
                # Else a rebalance came between: whoever has the partitions now fetches it again, from
                # where it seeks to. What was fetched here may be of this worker's own new assignment.
        except LOST_PARTITION as lost:
            log.warning("partitions are to be taken over anew", stage=self._stage.name, why=str(lost))
            self._held.clear()
            self._taken_over = False
            await self.sleep(IDLE_SECONDS)
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
        committed = await self._until_done(self._committed)
        for number in sorted(assigned):
            offsets = {topic: committed.get(TopicPartition(topic, number), (0, ""))[0] for topic in self._topics}
            note = CommitMetadata.read(committed.get(TopicPartition(next(iter(self._topics)), number), (0, ""))[1])
            kept = self._held.get(number)
            if kept is None or kept.next_offsets != offsets or kept.committed != note:
                self._health.hinder(self._stage.name, f"restoring partition {number}")
                restore = partial(self._restore, number, offsets, note)
                kept = self._held[number] = await self._until_done(
                    restore, (*KAFKA_AWAY, *REDIS_AWAY), "Kafka or Redis", seconds=None
                )
            for topic, offset in offsets.items():
                self._consumer.seek(TopicPartition(topic, number), offset)
            kept.repeats_until = await self._until_done(partial(self._ends, number))
        self._taken_over = assigned is self._assigned  # a rebalance may have come meanwhile
        if self._taken_over:
            self._health.clear(self._stage.name)

    async def _committed(self) -> dict[TopicPartition, tuple[int, str]]:
        wanted = [TopicPartition(topic, number) for number in self._assigned for topic in self._topics]
        found = await self._admin.list_consumer_group_offsets(self._stage.name, partitions=wanted)
        return {part: (max(0, where.offset), where.metadata) for part, where in found.items()}

    async def _ends(self, number: int) -> dict[str, int]:
        ends = await self._consumer.end_offsets([TopicPartition(topic, number) for topic in self._topics])
        return {where.topic: end for where, end in ends.items()}

    async def _restore(self, number: int, offsets: dict[str, int], note: CommitMetadata) -> PartitionTask:
        """Return a partition with its memory as it was when the offsets were committed."""
        started = time.monotonic()
        beat = partial(self._health.beat, self._stage.name)
        note = await self._models.reached(note, beat)
        held = PartitionTask(self._stage.make(number, self._partitions), offsets)
        await self._begin_term(number, held, note)
        is_gapless = await restore_fold(self._settings, self._stage, held.fold, number, offsets, beat=beat)
        swept, towards = await self._models.of_note(note, follows_days=self._stage.follows_days)
        unknown = unknown_under(note, towards, is_gapless=is_gapless)
        if self._stage.store is not None:
            orgs = unknown & towards.models.keys()
            await self._stage.store.reconcile(number, held.fold, towards.models, orgs, beat)
        held.resume(
            note._replace(term=held.term), swept, towards, unknown & towards.models.keys(),
            limit=self._settings.sweep_records_max * self._stage.sweep_share, passes=self._stage.sweep_passes,
        )  # fmt: skip
        self._counting.restored(number, held, started)
        return held

    async def _begin_term(self, number: int, held: PartitionTask, note: CommitMetadata) -> None:
        async def commit(said: CommitMetadata) -> None:
            offsets = held.next_offsets.items()
            await self._commit_to_group({TopicPartition(topic, number): (at, str(said)) for topic, at in offsets})

        store = self._stage.store
        begun = await begin_epoch(store.fences if store is not None else None, number, note, commit)
        held.term, held.written = begun.term, begun.written

    # --- models ------------------------------------------------------------------------------

    @property
    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in self._held for topic in self._topics]

    @property
    def _is_sweeping(self) -> bool:
        return self._pace.slices > 0 and any(part.is_sweeping for part in self._held.values())

    @property
    def _idle_seconds(self) -> float:
        is_waiting = any(part.sweeps for part in self._held.values())
        return 0.0 if self._is_sweeping else WAITING_SECONDS if is_waiting else IDLE_SECONDS

    async def _follow_models(self) -> None:
        """Begin to bring partitions under the newest models; write that down before a word is said of it."""
        newest = self._models.in_effect(follows_days=self._stage.follows_days)
        if self._models.was_replaced and any(newest.models.keys() - part.now.models for part in self._held.values()):
            self._held.clear()  # under the topic before it had a model: taken over anew, it is unknown
            self._taken_over = False
            return
        for number, part in self._held.items():
            if part.may_pass_to(newest) and not await self._is_repeating(number, part) and part.pass_to(newest):
                break  # it takes long: others follow in the next rounds, between heartbeats
        untold = {number for number, part in self._held.items() if part.is_untold}
        if untold:
            await self._commit(untold, {})

    async def _follow_decisions(self) -> None:
        """Let sweeps go on that waited for the stage before this one."""
        if self._stage.follows is not None:
            decided = partial(decided_position, self._admin, self._stage.follows, self._partitions)
            ask = partial(follow_decisions, self._held, next(iter(self._topics)), decided, self._ends)
            await self._until_done(ask)

    async def _is_repeating(self, number: int, part: PartitionTask) -> bool:
        """Whether what comes next may have been said already by the one who had the partition before."""
        for topic, end in part.repeats_until.items():
            if await self._consumer.position(TopicPartition(topic, number)) < end:
                return True
        part.repeats_until = {}
        return False

    # --- turns -------------------------------------------------------------------------------

    async def _turn(self, found: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        """Take one batch and some slices of the sweeps, do what follows from them, and commit."""
        started, effects = time.monotonic(), Effects()
        offsets: dict[TopicPartition, int] = {}
        touched: set[int] = set()
        if self._stage.store is not None and started - self._looked_at > LOOK_SECONDS:
            touched = set(self._held)
        if self._lease.is_half_gone and (touched or found or self._is_sweeping):
            await self._confirm()
        self._pace.heard([len(messages) for messages in found.values()])
        wants_all = self._stage.wants is every
        for where, messages in found.items():
            part = self._held[where.partition]
            for message in messages:
                # Whatever its offset: one below the next is of a topic that was replaced or lost its end.
                if wants_all or self._is_wanted(message):
                    await self._take(part, message, effects)
        for where in self._places:
            # Not the message taken last: after it may come nothing but a transaction's end.
            position = await self._consumer.position(where)
            if position != self._held[where.partition].next_offsets.get(where.topic, 0):
                offsets[where] = position
                touched.add(where.partition)
        seconds = max(SWEEP_SECONDS_MAX, self._stage.interval_seconds / 2)  # between turns far apart there is time
        touched |= sweep_in_turns(self._held, self._pace.slices, effects, seconds=seconds)
        for number, part in self._held.items():
            if number in touched:
                part.fold.flush(part.now.models, effects)
        if not touched:
            return
        await self._perform(effects, touched, offsets)
        await self._commit(touched, offsets)
        self._counting.turn(effects, found, started)

    def _is_wanted(self, message: ConsumerRecord) -> bool:
        key = (message.key or b"").decode(errors="replace")
        return key.count("/") < 2 or self._stage.wants(key)

    async def _take(self, part: PartitionTask, message: ConsumerRecord, effects: Effects) -> None:
        try:
            incoming = decode_message(message, self._readers[message.topic])
        except BadMessage as bad:
            await self._bury(message, bad.code, str(bad))
            return
        part.fold.apply(incoming, part.now.models, effects)
        while effects.refused:
            _, code, reason = effects.refused.pop()
            await self._bury(message, code, reason)

    async def _bury(self, message: ConsumerRecord, code: str, reason: str) -> None:
        metrics.EVENTS.labels(topic=message.topic, outcome="refused").inc()
        await self._until_done(partial(self._sender.bury, message, self._stage.name, code=code, reason=reason))

    async def _perform(self, effects: Effects, touched: set[int], offsets: dict[TopicPartition, int]) -> None:
        store, first = self._stage.store, next(iter(self._topics))
        progress = [
            Progress(
                self._stage.name,
                number,
                offsets.get(TopicPartition(first, number), self._held[number].next_offsets.get(first, 0)),
                self._held[number].revisions,
            )
            for number in sorted(touched)
        ]
        await perform(effects, progress, self._sender, store, self._until_done)
        if store is not None:
            for number in touched:
                self._held[number].written = store.fences.written(number)
            self._looked_at = time.monotonic()

    async def _commit(self, touched: set[int], offsets: dict[TopicPartition, int]) -> None:
        """Commit what was done, with a note of the models that it was said under beside every offset."""
        for where, offset in offsets.items():
            self._held[where.partition].next_offsets[where.topic] = offset
        notes = {number: self._held[number].note for number in touched}
        await self._commit_notes(notes)
        for number, note in notes.items():
            self._held[number].committed = note

    async def _confirm(self) -> None:
        """Have the group say that the partitions are ours: commit again what is committed, and nothing of this turn."""
        await self._commit_notes({number: part.committed for number, part in self._held.items()})

    async def _commit_notes(self, notes: Mapping[int, CommitMetadata | None]) -> None:
        commit = {
            where: (self._held[where.partition].next_offsets.get(where.topic, 0), str(notes[where.partition] or ""))
            for where in self._places
            if where.partition in notes
        }
        await self._until_done(lambda: self._commit_to_group(commit))

    async def _until_done(
        self,
        action: Callable[[], Awaitable[Any]],
        away: tuple[type[BaseException], ...] = KAFKA_AWAY,
        what: str = "Kafka",
        seconds: float | None = ANSWER_SECONDS_MAX,
    ) -> Any:
        return await retry_while_unavailable(
            self._stage.name, self._health, away, action, lambda: self.should_stop, what=what, answer_seconds=seconds
        )

    async def _commit_to_group(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        asked_at = self._lease.now()
        if not clients.is_member(self._consumer):  # Kafka takes a commit from nobody, too, while a group is empty
            raise UnknownMemberIdError("this worker has left the group")
        await self._consumer.commit(offsets)
        if not self._rebalancing:
            self._lease.renew(asked_at)
