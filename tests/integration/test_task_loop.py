"""The loop on a real broker: what only a rebalance at the wrong moment shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Models, WithoutFanOut
from territory.wire.codec import decode
from territory.wire.topics import Topic
from territory_admin.log.topic_reader import started
from territory_runtime.health import Health
from territory_runtime.kafka import clients
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.kafka.ports import kafka_ports
from territory_runtime.loop.backpressure import SweepThrottle
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import NO_SNAPSHOT, ModelSnapshot, SnapshotId
from territory_runtime.loop.ports import Committed
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.stage_service import StageService
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.settings import Settings
from tests.integration.examples import settings_for, topic_admin
from tests.support.servers import Kafka

pytestmark = pytest.mark.kafka

PARTITIONS = 2
SECONDS_MAX = 20


class Heard(WithoutFanOut):
    """A fold that remembers the messages it has processed."""

    def __init__(self, into: list[int], news: asyncio.Event) -> None:
        self._into = into
        self._news = news

    def __len__(self) -> int:
        return len(self._into)

    def restore(self, message: InputMessage) -> None:
        pass

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        pass

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        self._into.append(message.event)
        self._news.set()

    def flush(self, models: Models, effects: Effects) -> None:
        pass

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        return iter(())


class NoModels:
    """Replaces a watcher of a topic on which no model was ever activated."""

    was_replaced = False

    async def caught_up(self) -> None:
        pass

    async def reached(self, metadata: CommitMetadata, beat: Callable[[], None]) -> CommitMetadata:
        return metadata

    def in_effect(self, *, follows_days: bool) -> ModelSnapshot:
        return NO_SNAPSHOT

    async def snapshots_of(
        self, metadata: CommitMetadata, *, follows_days: bool
    ) -> tuple[ModelSnapshot, ModelSnapshot]:
        return NO_SNAPSHOT, NO_SNAPSHOT


class Watched(TaskLoop):
    """The loop, which reports when it was assigned partitions and when it has committed."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        ports = kafka_ports(settings, stage.name, PARTITIONS)
        super().__init__(stage, settings, models=NoModels(), health=Health(), partitions=PARTITIONS, ports=ports)
        self.given = asyncio.Event()
        self.committed = asyncio.Event()

    async def _commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        await super()._commit(offsets)
        self.committed.set()

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        await super().on_assigned(partitions)
        self.given.set()

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """The member of the group."""
        reader = self._reader
        assert isinstance(reader, KafkaLogReader)
        assert reader.consumer is not None
        return reader.consumer


class Place:
    """A topic of two partitions, and one worker that processes it."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self._news = asyncio.Event()
        self.heard: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}
        topic = Topic(name, "delete", None, None, public=False, description="For a test.")
        stage = Stage(
            name=name,
            inputs={topic: decode},
            state=(topic, decode),
            make=lambda number, _: Heard(self.heard[number], self._news),
        )
        self.loop = Watched(stage, settings)
        self._sent = 0

    async def send(self, count: int) -> None:
        """Send so many messages to every partition."""
        async with started(clients.producer(self.settings)) as producer:
            for number in range(PARTITIONS):
                for value in range(self._sent, self._sent + count):
                    await producer.send_and_wait(
                        self.name, str(value).encode(), key=b"org/account/A-1", partition=number
                    )
        self._sent += count

    @asynccontextmanager
    async def second_member(self) -> AsyncIterator[AIOKafkaConsumer]:
        """Add another member to the group, which is assigned some partitions and processes nothing."""
        consumer = clients.group_consumer(self.settings, self.name)
        consumer.subscribe([self.name])
        async with started(consumer):
            yield consumer

    async def until_heard(self, numbers: set[int], count: int) -> None:
        """Wait until so many messages of each of these partitions are processed, repeats not counted."""
        async with asyncio.timeout(SECONDS_MAX):
            while any(len(set(self.heard[number])) < count for number in numbers):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def place(kafka: Kafka, unique: str) -> Place:
    """Give a topic of the test's own."""
    quick = {"kafka_session_timeout_seconds": 6.0}  # heartbeats follow from it, and by them a rebalance is heard of
    settings = settings_for(kafka.bootstrap_servers, PARTITIONS).model_copy(update=quick)
    with topic_admin(settings) as admin:
        admin.create_topics([NewTopic(unique, PARTITIONS, 1)])
    return Place(settings, unique)


def test_messages_fetched_after_a_rebalance_and_not_processed_are_fetched_again(place: Place) -> None:
    """A fetch that outlasts a rebalance brings messages of the new generation: not one is skipped (A9).

    The consumer has moved its position past them by then, and the loop does not take them, since
    it has yet to look at what it was given.
    """

    async def play() -> set[int]:
        await place.send(3)
        async with StageService(place.loop):
            await place.until_heard(set(range(PARTITIONS)), 3)
            consumer = place.loop.consumer  # the moment that matters can't be met from outside
            fetch = consumer.getmany
            outlasted = asyncio.Event()
            leave = asyncio.Event()

            async def join() -> None:
                async with place.second_member():
                    await leave.wait()

            joining: asyncio.Task[None] | None = None

            async def getmany(*partitions: TopicPartition, **options: Any) -> dict[TopicPartition, list[Any]]:
                nonlocal joining
                if joining is None and partitions:
                    place.loop.given.clear()
                    joining = asyncio.create_task(join())
                    await place.loop.given.wait()
                    await place.send(3)
                    mine = consumer.assignment()
                    found: dict[TopicPartition, list[Any]] = {}
                    while not found.keys() >= mine:
                        found |= await fetch(*mine, timeout_ms=200)
                    outlasted.set()
                    return found
                taken: dict[TopicPartition, list[Any]] = await fetch(*partitions, **options)
                return taken

            consumer.getmany = getmany
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    await outlasted.wait()
                kept = {partition.partition for partition in consumer.assignment()}
                await place.send(1)
                await place.until_heard(kept, 7)
            finally:
                leave.set()
                if joining is not None:
                    await joining
            return kept

    kept = asyncio.run(play())
    assert len(kept) == 1
    for number in kept:
        assert place.heard[number] == list(range(7))


def test_a_confirmation_within_a_batch_commits_nothing_of_it(place: Place) -> None:
    """A lease may be renewed when a sweep has ended in memory and none of its output is sent (A9)."""

    async def committed(number: int) -> tuple[int, str]:
        async with started(clients.group_admin(place.settings)) as admin:
            where = TopicPartition(place.name, number)
            found = await admin.list_consumer_group_offsets(place.name, partitions=[where])
            return found[where].offset, found[where].metadata

    async def play() -> None:
        await place.send(2)
        async with StageService(place.loop):
            await place.until_heard(set(range(PARTITIONS)), 2)
            async with place.loop._batch_lock:  # between turns, as in the middle of one
                part = place.loop._tasks[0]
                before = await committed(0)
                assert before == (2, str(part.metadata))
                part.applied = SnapshotId(99)
                await place.loop._confirm()
                assert await committed(0) == before
                part.applied = SnapshotId()

    asyncio.run(play())


def test_the_end_of_a_transaction_is_passed(place: Place) -> None:
    """An upstream's transactions end with a marker: the commit passes it, so that nobody waits for it (contracts)."""

    async def ends() -> int:
        async with started(clients.reader(place.settings)) as reader:
            where = TopicPartition(place.name, 0)
            found: int = (await reader.end_offsets([where]))[where]
            return found

    async def play() -> None:
        async with (
            started(clients.producer(place.settings, transactional_id=place.name)) as producer,
            producer.transaction(),
        ):
            await producer.send_and_wait(place.name, b"0", key=b"org/account/A-1", partition=0)
        async with StageService(place.loop):
            await place.until_heard({0}, 1)
            end = await ends()
            assert end == 2
            async with asyncio.timeout(SECONDS_MAX):
                while place.loop._tasks[0].committed_offsets[place.name] < end:
                    place.loop.committed.clear()
                    await place.loop.committed.wait()

    asyncio.run(play())


async def _no_lag() -> int:
    return 0


class Gate(SweepThrottle):
    """A throttle that a test opens."""

    def __init__(self) -> None:
        super().__init__(_no_lag)
        self.allowed = 0
        self.counts: list[int] = []

    @property
    def chunks(self) -> int:
        return self.allowed

    async def look(self) -> None:
        pass

    def observe(self, counts: Collection[int]) -> None:
        self.counts += counts


def test_a_sweep_that_has_to_wait_holds_back_no_message(place: Place) -> None:
    """While the downstream group is behind, messages are processed and no chunk is taken; then the sweep goes on (C7).

    The throttle observes how many messages come, by partition.
    """
    taken: list[int] = []
    swept = asyncio.Event()

    def slices() -> Iterator[Effects]:
        for number in range(3):
            taken.append(number)
            yield Effects()
        swept.set()

    async def play() -> None:
        await place.send(1)
        async with StageService(place.loop):
            await place.until_heard(set(range(PARTITIONS)), 1)
            gate = Gate()
            async with place.loop._batch_lock:
                place.loop._throttle = gate
                place.loop._tasks[0].sweeps["org"] = slices()
            await place.send(1)
            await place.until_heard(set(range(PARTITIONS)), 2)
            assert (taken, gate.counts) == ([], [1] * PARTITIONS)
            gate.allowed = 2
            async with asyncio.timeout(SECONDS_MAX):
                await swept.wait()

    asyncio.run(play())
    assert taken == [0, 1, 2]
