"""Messages in batches, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from territory.stage import Message
from territory.wire.codec import encode
from territory.wire.keys import partition_of
from territory.wire.topics import ASSIGNMENTS, FAMILIES, Topic
from territory_runtime.kafka.lease import Lease
from territory_runtime.kafka.producer import BatchProducer, FencedProducer, cloud_event
from territory_runtime.settings import Settings
from tests.integration.examples import messages_of, producer, provisioned, settings_for
from tests.support.servers import Kafka

pytestmark = pytest.mark.kafka

BATCH_BYTES = 256 * 1024


class Broker:
    """A broker with our topics, and an organisation of the test's own."""

    def __init__(self, settings: Settings, org_id: str) -> None:
        self.org_id = org_id
        self.partitions = provisioned(settings)
        self._settings = settings

    def key(self, record_id: str) -> str:
        return f"{self.org_id}/account/{record_id}"

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages in one go, and return when they are there."""

        async def play() -> None:
            async with producer(self._settings) as client:
                await BatchProducer(client, self.partitions).send(messages)

        asyncio.run(play())

    def found(self, topic: Topic) -> list[ConsumerRecord]:
        return messages_of(self._settings, topic, self.partitions, self.org_id)


@pytest.fixture
def place(kafka: Kafka, org: str) -> Broker:
    """Give a broker with our topics, and an organisation of the test's own."""
    return Broker(settings_for(kafka.bootstrap_servers), org)


def test_partition_is_that_of_the_route(place: Broker) -> None:
    """A text decides it by its digest, a number is the partition; the key does not matter (keys and partitions)."""
    texts = [Message(FAMILIES.name, place.key(f"A-{n}"), n, f"family {n}") for n in range(20)]
    numbers = [Message(FAMILIES.name, place.key(f"B-{n}"), n, n) for n in range(place.partitions)]
    place.send([*texts, *numbers])
    where = {message.key.decode(): message.partition for message in place.found(FAMILIES)}
    assert where == {
        message.key: message.route if isinstance(message.route, int) else partition_of(message.route, place.partitions)
        for message in (*texts, *numbers)
    }


def test_order_within_a_partition(place: Broker) -> None:
    """As they were given, through as many batches as it takes (A9)."""
    messages = [Message(FAMILIES.name, place.key(f"A-{n}"), "x" * 2_000, 0) for n in range(400)]
    place.send(messages)
    found = place.found(FAMILIES)
    assert [message.key.decode() for message in found] == [message.key for message in messages]
    assert {message.value for message in found} == {encode("x" * 2_000)}


@pytest.mark.parametrize("size", [BATCH_BYTES - 100, BATCH_BYTES, 3 * BATCH_BYTES, 1_000_000])
def test_message_larger_than_a_batch(place: Broker, size: int) -> None:
    """It goes alone, and between its neighbours; so large is a record at most (contracts: Refused)."""
    values = ["before", "x" * size, "y" * size, "after"]
    place.send([Message(ASSIGNMENTS.name, place.key(f"A-{n}"), value, 1) for n, value in enumerate(values)])
    assert [message.value for message in place.found(ASSIGNMENTS)] == [encode(value) for value in values]


def test_message_that_no_topic_takes(place: Broker) -> None:
    """It is an error: a stage promises never to emit one (conventions: errors)."""
    with pytest.raises(MessageSizeTooLargeError):
        place.send([Message(FAMILIES.name, place.key("A-1"), incompressible(1_600_000), 0)])
    assert place.found(FAMILIES) == []


def incompressible(size: int) -> str:
    """Return a text that a broker can't take for less than it is, the same every time."""
    state, letters = 1, []
    for _ in range(size):
        state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        letters.append(chr(33 + (state >> 16) % 90))
    return "".join(letters)


def test_public_topics_bear_cloud_events(place: Broker) -> None:
    """CloudEvents 1.0 attributes beside the message's own headers; none between our stages (contracts: Topics)."""
    own = (("territory-reason", "moved"),)
    place.send([Message(topic.name, place.key("A-1"), {"a": 1}, 0, own) for topic in (ASSIGNMENTS, FAMILIES)])
    [public], [internal] = place.found(ASSIGNMENTS), place.found(FAMILIES)
    plain = ("territory-reason", b"moved")
    assert list(public.headers) == [plain, *cloud_event(ASSIGNMENTS.name, place.key("A-1").encode(), b'{"a":1}')]
    assert list(internal.headers) == [plain]


def test_tombstones(place: Broker) -> None:
    """No value is a null, by which compaction removes the key; its headers are kept (contracts: Topics)."""
    place.send([Message(topic.name, place.key("A-1"), None, 0, (("why", "é"),)) for topic in (ASSIGNMENTS, FAMILIES)])
    for topic in (ASSIGNMENTS, FAMILIES):
        [message] = place.found(topic)
        assert (message.value, message.headers[0]) == (None, ("why", "é".encode()))


def test_nothing_to_send(place: Broker) -> None:
    """An empty batch sends nothing."""
    place.send([])
    assert place.found(FAMILIES) == []


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Gone(Exception):
    """Raised by a group that has given the partitions away."""


@pytest.mark.parametrize("is_ours", [True, False], ids=["still ours", "another's by now"])
def test_nothing_is_sent_after_the_lease(kafka: Kafka, place: Broker, is_ours: bool) -> None:
    """A worker that stood still asks the group first, and sends only while its partitions are its own (A9)."""
    clock = Clock()
    lease = Lease(10, clock)
    asked: list[float] = []

    async def confirm() -> None:
        asked.append(clock.seconds)
        if not is_ours:
            raise Gone
        lease.renew(lease.now())

    async def play() -> None:
        sender = FencedProducer(
            settings_for(kafka.bootstrap_servers), "assigner-intake", place.partitions, lease, confirm
        )
        await sender.start()
        lease.renew(lease.now())
        try:
            await sender.send([Message(ASSIGNMENTS.name, place.key("A-1"), 1, "one")], {})
            clock.seconds += 10
            late = [Message(ASSIGNMENTS.name, place.key(f"A-{number}"), 2, str(number)) for number in range(1, 9)]
            for _ in range(2):  # it may be tried again, and is refused again
                if is_ours:
                    await sender.send(late, {})
                else:
                    with pytest.raises(Gone):
                        await sender.send(late, {})
        finally:
            await sender.stop()

    asyncio.run(play())
    found = [message.value for message in place.found(ASSIGNMENTS)]
    assert sorted(found) == [b"1", *([b"2"] * 16 if is_ours else [])]
    assert asked == ([10.0] if is_ours else [10.0, 10.0])
