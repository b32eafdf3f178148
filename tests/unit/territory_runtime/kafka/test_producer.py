"""Batches to the broker, one partition at a time in order; a lease in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, NotEnoughReplicasError, OutOfOrderSequenceNumber
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from territory.stage import Message
from territory.wire.topics import ASSIGNMENTS, DEAD_LETTERS, FAMILIES
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.kafka.lease import Lease
from territory_runtime.kafka.producer import PUBLIC, BatchProducer, FencedProducer, cloud_event
from territory_runtime.settings import Settings, read_settings
from tests.unit.territory_runtime.kafka.fakes import FakeProducer

PARTITIONS = 3


def messages(partition: int, *numbers: int) -> list[Message]:
    return [Message(FAMILIES.name, f"acme/deal/{number}", number, partition) for number in numbers]


def acknowledged() -> float:
    return REGISTRY.get_sample_value("territory_messages_sent_total", {"topic": FAMILIES.name}) or 0.0


def test_required_attributes_are_there() -> None:
    """CloudEvents 1.0 asks for specversion, id, source and type; the subject is the key."""
    headers = dict(cloud_event(ASSIGNMENTS.name, b"acme/account/A-1", b"{}"))
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == ASSIGNMENTS.name.encode()
    assert headers["ce_subject"] == b"acme/account/A-1"
    assert headers["ce_id"]
    assert headers["ce_source"]


@given(st.binary(), st.binary(), st.binary())
def test_same_state_same_id(key: bytes, one: bytes, other: bytes) -> None:
    """A repeat has the same id; another state has another."""
    first = dict(cloud_event("t", key, one))["ce_id"]
    assert first == dict(cloud_event("t", key, one))["ce_id"]
    assert (first == dict(cloud_event("t", key, other))["ce_id"]) == (one == other)


def test_only_public_topics_have_them() -> None:
    """Topics between our own stages have none: they cost a tenth of the throughput."""
    assert ASSIGNMENTS.name in PUBLIC
    assert FAMILIES.name not in PUBLIC


def test_a_partition_gets_its_messages_in_order_through_several_batches() -> None:
    """As they were given, none lost where a batch is full, and a message larger than a batch among them (A9)."""
    producer, large = FakeProducer(batch_bytes_max=200), "x" * 1_000
    sent = [Message(FAMILIES.name, f"k{n}", large if n == 7 else n, n % 2) for n in range(40)]
    asyncio.run(BatchProducer(producer, PARTITIONS).send(sent))
    for partition in (0, 1):
        keys = [key for _, at, entries in producer.sent if at == partition for key, _, _ in entries]
        assert keys == [message.key.encode() for message in sent if message.route == partition]
    assert len(producer.sent) >= 4


@pytest.mark.parametrize("fault", [KafkaTimeoutError(), NotEnoughReplicasError()])
def test_a_batch_that_is_not_acknowledged_is_an_error(fault: KafkaError) -> None:
    """The caller must not commit what is not on the log; the other partitions' messages count as sent."""
    producer, before = FakeProducer(), acknowledged()
    producer.faults[0] = fault
    with pytest.raises(type(fault)):
        asyncio.run(BatchProducer(producer, PARTITIONS).send([*messages(0, 1), *messages(1, 2, 3)]))
    assert acknowledged() == before + 2


def test_no_batch_is_in_flight_when_an_error_is_raised() -> None:
    """Else a repeat could be overtaken by its predecessor, and an older state would come last (A9)."""
    producer = FakeProducer(batch_bytes_max=1)
    producer.holds_back = True
    producer.faults = {0: NotEnoughReplicasError(), 1: OutOfOrderSequenceNumber()}

    async def play() -> None:
        sending = asyncio.ensure_future(BatchProducer(producer, PARTITIONS).send(messages(0, 1, 2, 3)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(producer.sent) == 3
        for place in range(3):
            producer.answer(place)
            for _ in range(10):
                await asyncio.sleep(0)
            assert sending.done() is (place == 2)
        with pytest.raises(NotEnoughReplicasError):  # the first fault, which is the cause of the second
            await sending

    asyncio.run(play())


def test_a_batch_that_cannot_be_handed_over_does_not_hide_those_in_flight() -> None:
    """A full queue is reported only once what was queued before has its answer (A9)."""
    producer = FakeProducer(batch_bytes_max=1)
    producer.holds_back = True
    producer.refused[1] = KafkaTimeoutError()

    async def play() -> None:
        sending = asyncio.ensure_future(BatchProducer(producer, PARTITIONS).send(messages(0, 1, 2)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not sending.done()
        producer.answer(0)
        with pytest.raises(KafkaTimeoutError):
            await sending

    asyncio.run(play())


# --- under a lease ---------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Gone(Exception):
    """Raised by a group that has given the partitions away."""


class Stage:
    """A fenced producer with the clients that it made, and a group that confirms or not."""

    def __init__(self, *, value_bytes_max: int | None = None) -> None:
        self.clock = Clock()
        self.lease = Lease(10, self.clock)
        self.clients: list[FakeProducer] = []
        self.is_ours = True
        self.confirmed = 0
        self._value_bytes_max = value_bytes_max
        self.producer = FencedProducer(
            read_settings({}), "assigner-intake", PARTITIONS, self.lease, self._confirm, connect=self._connect
        )

    def _connect(self, settings: Settings) -> FakeProducer:
        self.clients.append(FakeProducer(value_bytes_max=self._value_bytes_max))
        return self.clients[-1]

    async def _confirm(self) -> None:
        self.confirmed += 1
        if not self.is_ours:
            raise Gone
        self.lease.renew(self.lease.now())

    def play(self, acts: Callable[[], Awaitable[None]]) -> None:
        """Let a test act with a started producer whose lease runs."""

        async def acted() -> None:
            await self.producer.start()
            self.lease.renew(self.lease.now())
            await acts()

        asyncio.run(acted())


def test_after_its_lease_a_worker_asks_the_group_before_it_sends() -> None:
    """It sends again, with a new producer, what is still its own to send (A9)."""
    stage = Stage()

    async def acts() -> None:
        await stage.producer.send(messages(0, 1), {})
        stage.clock.seconds += 10
        await stage.producer.send(messages(0, 2), {})

    stage.play(acts)
    assert [client.values for client in stage.clients] == [[b"1"], [b"2"]]
    assert (stage.confirmed, stage.clients[0].is_started) == (1, False)


def test_a_worker_whose_partitions_are_gone_sends_nothing() -> None:
    """However often it tries: nothing of it is written to a connection after its lease (A9)."""
    stage = Stage()
    stage.is_ours = False

    async def acts() -> None:
        stage.clock.seconds += 10
        for _ in range(2):
            with pytest.raises(Gone):
                await stage.producer.send(messages(0, 1), {})

    stage.play(acts)
    assert [client.client.written for client in stage.clients] == [[]]


def test_a_producer_that_had_a_batch_refused_is_replaced() -> None:
    """The batch has used sequence numbers, and the broker accepts none after a gap."""
    stage = Stage()

    async def acts() -> None:
        stage.clients[0].faults[0] = NotEnoughReplicasError()
        with pytest.raises(NotEnoughReplicasError):
            await stage.producer.send(messages(0, 1), {})
        await stage.producer.send(messages(0, 1), {})

    stage.play(acts)
    assert [client.values for client in stage.clients] == [[b"1"], [b"1"]]


def test_letters_that_their_topic_refuses_are_cut_by_new_producers() -> None:
    """Each refusal leaves a gap in a producer's numbers; in the end every letter is there once, cut where it must."""
    stage = Stage(value_bytes_max=2_000)
    sizes = [10, 1_500, 5_000, 10, 1_900]
    letters = [
        DeadLetter("t", 1, offset, b"k", b"x" * size, (), "s", "not_json", "because")
        for offset, size in enumerate(sizes)
    ]

    async def acts() -> None:
        await stage.producer.send_dead_letters(letters)

    stage.play(acts)
    accepted: dict[int, int] = {}
    for client in stage.clients:
        for place, (topic, partition, entries) in enumerate(client.sent):
            assert (topic, partition) == (DEAD_LETTERS.name, 1)
            if client.in_flight[place].exception() is None:
                for _, value, headers in entries:
                    offset = int(dict(headers)["territory.error.offset"])
                    assert offset not in accepted
                    accepted[offset] = len(value or b"")
    assert accepted == {0: 10, 1: 1_500, 2: 1_250, 3: 10, 4: 1_900}
    assert all(not client.is_started for client in stage.clients[:-1])
