"""Outages of a real broker under the real loop: logged once, shown on /ready, waited for, and over by themselves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from kafka import KafkaProducer, errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from structlog.testing import capture_logs

from territory.stage import Effects, InputMessage, Message, Models
from territory.wire.codec import decode
from territory.wire.topics import DEAD_LETTERS, RECORDS, Topic
from territory_admin.dead_letters.letters import LetterFilter
from territory_admin.dead_letters.redrive import Redriven, redrive
from territory_admin.log.topic_reader import committed_offsets, started
from territory_control.local.child_process import until
from territory_runtime.health import Health
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.kafka.lease import Lease
from territory_runtime.kafka.ports import kafka_ports
from territory_runtime.kafka.producer import BatchProducer, FencedProducer
from territory_runtime.kafka.topic_health import PART, TopicHealth
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.stage_service import StageService
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.settings import Settings
from tests.integration.examples import provisioned, settings_for, topic_admin
from tests.integration.test_task_loop import Heard, NoModels
from tests.support import broken_service
from tests.support.servers import Kafka, find_kafka, serving

pytestmark = pytest.mark.kafka

PARTITIONS = 1
SECONDS_MAX = 60.0
KEY = b"org/account/A-1"
NOT_JSON = b"{"
SMALL = 2_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Give a Kafka of these tests' own: they take things away from it."""
    with serving("kafka", find_kafka(), tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def settings(broker: Kafka) -> Settings:
    """Give the settings of a worker whose session is short."""
    return settings_for(broker.bootstrap_servers, PARTITIONS).model_copy(update={"kafka_session_timeout_seconds": 6.0})


class ObservedHealth(Health):
    """Health that a test can wait on."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()
        self.reasons: list[str] = []
        """Every reason that any part reported, in order."""

    def hinder(self, part: str, why: str, cause: str = "") -> None:
        super().hinder(part, why, cause)
        self.reasons.append(why)
        self._news.set()

    def clear(self, part: str, cause: str | None = None) -> None:
        super().clear(part, cause)
        self._news.set()

    async def until(self, so: Callable[[dict[str, str]], bool]) -> None:
        """Wait until the parts' reasons satisfy a condition."""
        async with asyncio.timeout(SECONDS_MAX):
            while not so(self.hindrances):
                self._news.clear()
                await self._news.wait()


class Passing(Heard):
    """A fold that forwards each message."""

    def __init__(self, into: list[int], news: asyncio.Event, out: str) -> None:
        super().__init__(into, news)
        self._out = out

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        effects.messages.append(Message(self._out, message.key, message.event, 0))
        super().apply(message, models, effects)


class Worker:
    """A stage on topics of its own: it reads `<name>` and writes `<name>-out`."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name, self.out = name[-90:], f"{name[-90:]}-out"
        self.heard: list[int] = []
        self.news = asyncio.Event()
        self.health = ObservedHealth()
        topic = Topic(self.name, "delete", None, None, public=False, description="For a test.")
        stage = Stage(
            name=self.name,
            inputs={topic: decode},
            state=(topic, decode),
            make=lambda *_: Passing(self.heard, self.news, self.out),
        )
        ports = kafka_ports(settings, self.name, PARTITIONS)
        self.loop = TaskLoop(stage, settings, models=NoModels(), health=self.health, partitions=PARTITIONS, ports=ports)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it in the block."""
        async with StageService(self.loop):
            yield

    async def send(self, *values: bytes) -> None:
        """Publish what it reads."""
        async with started(clients.producer(self.settings)) as producer:
            for value in values:
                await producer.send_and_wait(self.name, value, key=KEY, partition=0)

    async def until_heard(self, value: object) -> None:
        """Wait until it has processed a value."""
        async with asyncio.timeout(SECONDS_MAX):
            while value not in self.heard:
                self.news.clear()
                await self.news.wait()

    async def committed(self) -> int:
        """Return the next offset that a successor would take."""
        async with started(clients.group_admin(self.settings)) as admin:
            where = TopicPartition(self.name, 0)
            return (await committed_offsets(admin, self.name, [where])).get(where, (0, ""))[0]

    async def until_committed(self, offset: int) -> None:
        """Wait until it has committed so many messages."""
        async with asyncio.timeout(SECONDS_MAX):
            while await self.committed() < offset:  # noqa: ASYNC110 -- only the broker knows
                await asyncio.sleep(0.1)


@pytest.fixture
def worker(settings: Settings, unique: str) -> Worker:
    """Give a worker with its topics, and our own."""
    provisioned(settings)
    made = Worker(settings, unique)
    with topic_admin(settings) as admin:
        admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (made.name, made.out)])
    return made


def set_limit(settings: Settings, topic: str, limit: int) -> None:
    """Set how large a topic's messages may be, and wait until the broker goes by it: that is later than its answer."""
    with topic_admin(settings) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(limit)})
        admin.alter_configs([resource])
    # not retried, or a refused one would be sent again until its time is over
    probe = KafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_idempotence=False,
        retries=0,
        max_request_size=2 * limit,
    )
    with closing(probe):
        assert until(lambda: not is_too_large(probe, topic, limit // 2), SECONDS_MAX)
        assert until(lambda: is_too_large(probe, topic, limit + 1), SECONDS_MAX)


def is_too_large(probe: KafkaProducer, topic: str, size: int) -> bool:
    """Ask whether a topic refuses so large a message, with one of the year 2100: it refuses that in any case."""
    asked = probe.send(topic, bytes(size), partition=0, timestamp_ms=4_102_444_800_000)
    with pytest.raises((errors.MessageSizeTooLargeError, errors.InvalidTimestampError)) as refused:
        asked.get(SECONDS_MAX)
    return refused.type is errors.MessageSizeTooLargeError


def remove(settings: Settings, topic: str) -> None:
    with topic_admin(settings) as admin:
        admin.delete_topics([topic])
        assert until(lambda: admin.describe_topics([topic])[0]["error_code"] != 0, SECONDS_MAX)


def noise(size: int) -> bytes:
    """Return a text that no compression makes small."""
    return json.dumps(random.Random(1).randbytes(size).hex()).encode()  # noqa: S311


def test_a_worker_is_not_ready_while_partitions_change_hands(worker: Worker) -> None:
    """Until its partitions are restored, and from the moment that another worker joins until the group has settled."""
    other = Worker(worker.settings, worker.name)
    assert worker.health.hindrances == {worker.name: "starting"}

    async def play() -> None:
        async with worker.running():
            await worker.health.until(lambda why: not why)
            assert any("restoring partition" in why for why in worker.health.reasons)
            worker.health.reasons.clear()
            async with other.running():
                await other.health.until(lambda why: not why)
            assert worker.health.reasons[0] == "rebalancing"
            await worker.health.until(lambda why: not why)

    asyncio.run(play())


def test_no_dead_letter_topic_stops_the_partition(worker: Worker) -> None:
    """A letter that cannot be written is waited for: nothing after it is committed, and nothing is lost."""

    async def play() -> None:
        async with worker.running():
            await worker.send(b"1")
            await worker.until_committed(1)
            await asyncio.to_thread(remove, worker.settings, DEAD_LETTERS.name)
            await worker.send(NOT_JSON, b"2")
            await worker.health.until(lambda why: "Kafka is away" in why.get(worker.name, ""))
            assert await worker.committed() == 1
            assert 2 not in worker.heard
            await asyncio.to_thread(provisioned, worker.settings)
            await worker.until_committed(3)
            await worker.health.until(lambda why: not why)
            assert 2 in worker.heard
        async with started(clients.reader(worker.settings)) as reader:
            where = TopicPartition(DEAD_LETTERS.name, 0)
            assert (await reader.end_offsets([where]))[where] == 1

    with capture_logs() as lines:
        asyncio.run(play())
    assert [line["event"] for line in lines if line["event"] in ("waiting", "recovered")] == ["waiting", "recovered"]


def test_a_topic_that_takes_only_small_messages_is_waited_for(worker: Worker) -> None:
    """It was created with a lower limit than ours; once that is raised, the same message goes through."""

    async def play() -> None:
        async with worker.running():
            await worker.send(b"1")
            await worker.until_committed(1)
            await asyncio.to_thread(set_limit, worker.settings, worker.out, SMALL)
            await worker.send(noise(SMALL))
            await worker.health.until(lambda why: "MessageSizeTooLargeError" in why.get(worker.name, ""))
            assert await worker.committed() == 1
            await asyncio.to_thread(set_limit, worker.settings, worker.out, clients.REQUEST_BYTES_MAX)
            await worker.until_committed(2)
            await worker.send(b"2")
            await worker.until_committed(3)
            await worker.health.until(lambda why: not why)

    asyncio.run(play())


def test_a_refused_batch_does_not_spoil_those_after_it(worker: Worker) -> None:
    """It has used sequence numbers, and the broker accepts none after a gap: a new producer counts from 0."""
    large = json.loads(noise(SMALL))

    async def confirm() -> None:
        pass

    async def play() -> None:
        lease = Lease(3600)
        lease.renew(lease.now())
        sender = FencedProducer(worker.settings, "assigner-intake", PARTITIONS, lease, confirm)
        await sender.start()
        try:
            await sender.send([Message(worker.out, "k", 1, 0)], {})
            await asyncio.to_thread(set_limit, worker.settings, worker.out, SMALL)
            with pytest.raises(MessageSizeTooLargeError):
                await sender.send([Message(worker.out, "k", large, 0)], {})
            await asyncio.to_thread(set_limit, worker.settings, worker.out, clients.REQUEST_BYTES_MAX)
            await sender.send([Message(worker.out, "k", large, 0)], {})
        finally:
            await sender.stop()

    asyncio.run(play())


def test_dead_letters_that_take_only_small_messages(worker: Worker) -> None:
    """A letter is cut until it fits, and the stream goes on: letters after it, too (contracts: Refused)."""

    async def play() -> None:
        await asyncio.to_thread(set_limit, worker.settings, DEAD_LETTERS.name, SMALL)
        try:
            async with worker.running():
                await worker.send(NOT_JSON, b"{" + noise(SMALL), NOT_JSON, b"1")
                await worker.until_committed(4)
        finally:
            await asyncio.to_thread(set_limit, worker.settings, DEAD_LETTERS.name, clients.LETTER_BYTES_MAX)

    asyncio.run(play())


def test_a_letter_that_is_too_large_by_now_does_not_spoil_those_after_it(settings: Settings) -> None:
    """Its topic takes only smaller messages by now: that letter is skipped, those after it are sent again."""
    provisioned(settings)
    values = [b"1", noise(SMALL), b"2"]

    async def play() -> Redriven:
        async with started(clients.producer(settings)) as producer:
            letters = [
                DeadLetter(RECORDS.name, 0, offset, KEY, value, (), "s", "no_record", "found it so")
                for offset, value in enumerate(values)
            ]
            await BatchProducer(producer, PARTITIONS).send_dead_letters(letters)
        wanted = LetterFilter(key=KEY.decode(), code="no_record")
        return await redrive(settings, wanted, lambda *_: None, again=False)

    set_limit(settings, RECORDS.name, SMALL)
    try:
        done = asyncio.run(play())
    finally:
        set_limit(settings, RECORDS.name, clients.LETTER_BYTES_MAX)
    assert len(done.sent) == 2
    assert ["does not take so large a message" in skipped.why for skipped in done.skipped] == [True]


def test_a_bug_stops_the_worker_before_the_commit(settings: Settings) -> None:
    """With TERRITORY_ON_PROCESSING_ERROR=stop an exception ends the process; a successor gets the same message."""
    provisioned(settings)

    async def publish() -> None:
        async with started(clients.producer(settings)) as producer:
            await producer.send_and_wait(RECORDS.name, b"{}", key=KEY, partition=0)

    async def committed() -> tuple[int, str]:
        async with started(clients.group_admin(settings)) as admin:
            where = TopicPartition(RECORDS.name, 0)
            return (await committed_offsets(admin, broken_service.GROUP, [where]))[where]

    asyncio.run(publish())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TERRITORY_")} | {
        "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TERRITORY_METRICS_PORT": "0",
        "TERRITORY_ON_PROCESSING_ERROR": "stop",
    }
    ended = subprocess.run(
        (sys.executable, "-m", broken_service.__name__),
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert ended.returncode != 0
    said = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    [stopped] = [line for line in said if line["event"] == "stage stopped"]
    assert (stopped["level"], stopped["stage"]) == ("error", broken_service.GROUP)
    assert "ZeroDivisionError: a bug" in stopped["exception"]
    assert asyncio.run(committed())[0] == 0


def test_a_topic_that_was_deleted_is_waited_for(worker: Worker) -> None:
    """A worker without its input is not ready; a topic that is created again is read from its beginning."""

    async def play() -> None:
        async with worker.running():
            await worker.send(b"1", b"2")
            await worker.until_committed(2)
            await asyncio.to_thread(remove, worker.settings, worker.name)
            async with asyncio.timeout(SECONDS_MAX):
                while worker.loop._assigned:  # noqa: ASYNC110 -- no way to see from outside that it has heard of it
                    await asyncio.sleep(0.1)
            with topic_admin(worker.settings) as admin:
                admin.create_topics([NewTopic(worker.name, PARTITIONS, 1)])
            await worker.send(b"3")
            await worker.until_heard(3)
            await worker.health.until(lambda why: not why)

    asyncio.run(play())


def test_a_topic_that_was_replaced_is_read_from_its_beginning(worker: Worker) -> None:
    """Unnoticed: messages of the new topic are processed although their offsets are below the committed one (A9)."""

    async def play() -> None:
        async with worker.running():
            await worker.send(b"1", b"2")
            await worker.until_committed(2)
            remove(worker.settings, worker.name)  # not aside: the worker stands still meanwhile
            with topic_admin(worker.settings) as admin:
                admin.create_topics([NewTopic(worker.name, PARTITIONS, 1)])
            await worker.send(b"3")
            await worker.until_heard(3)

    asyncio.run(play())


@asynccontextmanager
async def checking(settings: Settings, health: Health) -> AsyncIterator[None]:
    """Check the topics all the time in the block, as a service's timer does every few seconds."""
    topics = TopicHealth(settings, health, PARTITIONS)

    async def check_forever() -> None:
        while True:
            await topics.check()
            await asyncio.sleep(0.2)

    checks = asyncio.create_task(check_forever())
    try:
        yield
    finally:
        checks.cancel()
        await asyncio.wait([checks])
        await topics.close()


@pytest.mark.parametrize("topic", [RECORDS, DEAD_LETTERS], ids=lambda topic: topic.name)
def test_a_topic_that_is_away_is_reported(settings: Settings, topic: Topic) -> None:
    """Even where nothing reads or writes it: one line, not ready, and ready again with the topic."""
    provisioned(settings)
    health = ObservedHealth()

    async def play() -> None:
        async with checking(settings, health):
            await asyncio.to_thread(remove, settings, topic.name)
            await health.until(lambda why: f"{topic.name} is missing" in why.get(PART, ""))
            with topic_admin(settings) as admin:
                admin.create_topics([NewTopic(topic.name, PARTITIONS + 1, 1)])
            await health.until(lambda why: "has 2 partitions, it had 1" in why.get(PART, ""))
            await asyncio.to_thread(remove, settings, topic.name)
            await asyncio.to_thread(provisioned, settings)
            await health.until(lambda why: not why)

    with capture_logs() as lines:
        asyncio.run(play())
    assert [line["event"] for line in lines] == ["waiting", "recovered"]


def test_an_idle_service_reports_that_the_broker_is_away(broker: Kafka, settings: Settings) -> None:
    """/ready fails although there is nothing to do; with the broker back it succeeds again."""
    provisioned(settings)
    health = ObservedHealth()

    async def play() -> None:
        async with checking(settings, health):
            await asyncio.to_thread(broker.stop)
            await health.until(lambda why: "Kafka is away" in why.get(PART, ""))
            assert health.stuck() == []
            await asyncio.to_thread(broker.start)
            await health.until(lambda why: not why)

    with capture_logs() as lines:
        asyncio.run(play())
    assert [line["event"] for line in lines] == ["waiting", "recovered"]
