"""Producers: many messages in batches of our own, each awaited; and one that a lease guards."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from territory.stage import Message
from territory.wire.codec import encode
from territory.wire.keys import partition_of
from territory.wire.topics import DEAD_LETTERS, TOPICS
from territory_runtime import metrics
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import DeadLetter, pack, shrink
from territory_runtime.kafka.lease import Lease, LeaseEnded, guard
from territory_runtime.settings import Settings

PUBLIC = frozenset(topic.name for topic in TOPICS if topic.public)
SOURCE = b"/territory"
CLOUD_EVENTS_VERSION = b"1.0"

Sent = TypeVar("Sent")
Headers = list[tuple[str, bytes]]
Entry = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one message, as bytes."""


def cloud_event(topic: str, key: bytes, value: bytes | None) -> Headers:
    """Return the CloudEvents 1.0 attributes of a message on a public topic.

    The id is a digest of topic, key and value, so a repeat of the same state has the same id.
    """
    digest = hashlib.blake2b(topic.encode() + b"\0" + key + b"\0" + (value or b""), digest_size=16)
    return [
        ("ce_specversion", CLOUD_EVENTS_VERSION),
        ("ce_id", digest.hexdigest().encode()),
        ("ce_source", SOURCE),
        ("ce_type", topic.encode()),
        ("ce_subject", key),
        ("content-type", b"application/json"),
    ]


class BatchProducer:
    """Writes messages to their partitions in whole batches, for an eighth of what aiokafka's `send` costs a message."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        """Take a started producer, and how many partitions our partitioned topics have."""
        self._producer = producer
        self._partitions = partitions

    async def send(self, messages: Iterable[Message], encoded: dict[int, bytes] | None = None) -> None:
        """Send messages and wait until all replicas have them, or have refused them.

        Nothing is in flight when this returns or raises, so a repeat is never overtaken by its predecessor.

        Args:
            messages: What to send, in order within each partition.
            encoded: By `id`, the bytes of values that are sent more than once; the caller keeps the
                values alive as long as it is used.

        Raises: the first fault: KafkaError, ConnectionError.
        """
        encoded = {} if encoded is None else encoded
        by_partition: dict[tuple[str, int], list[Message]] = {}
        for message in messages:
            route = message.route
            partition = route if isinstance(route, int) else partition_of(route, self._partitions)
            by_partition.setdefault((message.topic, partition), []).append(message)
        faults = await asyncio.gather(
            *(
                self._send_in_order(topic, partition, _entries(topic, group, encoded))
                for (topic, partition), group in by_partition.items()
            ),
        )
        for (topic, _), group, fault in zip(by_partition, by_partition.values(), faults, strict=True):
            if fault is None:
                metrics.MESSAGES_SENT.labels(topic=topic).inc(len(group))
        raise_first(faults)

    async def send_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Send letters in batches; those that their topic refuses as too large are cut until they fit.

        Raises: KafkaError when they can't be written: the stream then waits, and nothing is lost.
        """
        groups = pack(letters)
        while groups:
            groups = await self.send_letter_groups(groups)

    async def send_letter_groups(self, groups: Sequence[Sequence[DeadLetter]]) -> list[tuple[DeadLetter, ...]]:
        """Send each group as one batch; return those to send again after some were refused as too large, made smaller.

        Raises: MessageSizeTooLargeError for a letter that cannot be made smaller; KafkaError when nothing can be sent.
        """
        by_partition: dict[int, list[Sequence[DeadLetter]]] = {}
        for group in groups:
            by_partition.setdefault(group[0].partition, []).append(group)
        faults_of = await asyncio.gather(
            *(self._send_letters(partition, queue) for partition, queue in by_partition.items())
        )
        outcomes = [
            (group, fault)
            for queue, faults in zip(by_partition.values(), faults_of, strict=True)
            for group, fault in zip(queue, faults, strict=True)
        ]
        again: list[tuple[DeadLetter, ...]] = []
        for group, fault in outcomes:
            if fault is None:
                for letter in group:
                    metrics.DEAD_LETTERS.labels(topic=letter.topic, code=letter.code).inc()
            elif isinstance(fault, MessageSizeTooLargeError):
                smaller = shrink(group)
                if not smaller:
                    raise fault
                again += smaller
            else:
                again.append(tuple(group))
        if not any(isinstance(fault, MessageSizeTooLargeError) for _, fault in outcomes):
            raise_first([fault for _, fault in outcomes])
        return again

    async def _send_letters(self, partition: int, queue: Sequence[Sequence[DeadLetter]]) -> list[Exception | None]:
        """Send one partition's groups in order; return for each the fault, None where it was acknowledged."""
        submitted = []
        for group in queue:
            entries = [(letter.sent_key, letter.value, letter.sent_headers()) for letter in group]
            submitted.append(await self._submit(DEAD_LETTERS.name, partition, entries))
        return [await _first_fault(in_flight) or fault for in_flight, fault in submitted]

    async def _send_in_order(self, topic: str, partition: int, entries: Iterable[Entry]) -> Exception | None:
        """Send one partition's messages in order; return the first fault once nothing is in flight any more."""
        in_flight, fault = await self._submit(topic, partition, entries)
        return await _first_fault(in_flight) or fault

    async def _submit(
        self, topic: str, partition: int, entries: Iterable[Entry]
    ) -> tuple[list[Awaitable[object]], Exception | None]:
        """Hand messages to the producer in batches; return those in flight, and the fault that kept back the rest."""
        in_flight: list[Awaitable[object]] = []
        batch = self._producer.create_batch()
        try:
            for key, value, headers in entries:
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    in_flight.append(await self._producer.send_batch(batch, topic, partition=partition))
                    batch = self._producer.create_batch()
                    # An empty batch accepts a message of any size; the broker decides whether the topic does.
                    batch.append(key=key, value=value, timestamp=None, headers=headers)
            if batch.record_count():
                in_flight.append(await self._producer.send_batch(batch, topic, partition=partition))
        except (KafkaError, OSError) as fault:
            return in_flight, fault
        return in_flight, None


def _entries(topic: str, messages: Iterable[Message], encoded: dict[int, bytes]) -> Iterable[Entry]:
    is_public = topic in PUBLIC
    for message in messages:
        key = message.key.encode()
        value = encoded.get(id(message.value))
        if value is None and message.value is not None:
            value = encoded[id(message.value)] = encode(message.value)
        headers = [(name, text.encode(errors="surrogateescape")) for name, text in message.headers]
        if is_public:
            headers += cloud_event(topic, key, value)
        yield key, value, headers


async def _first_fault(in_flight: Iterable[Awaitable[object]]) -> Exception | None:
    """Wait for everything in flight; return the first fault, None where all was acknowledged."""
    first = None
    for outcome in await asyncio.gather(*in_flight, return_exceptions=True):
        if isinstance(outcome, Exception):
            first = first or outcome
        elif isinstance(outcome, BaseException):
            raise outcome  # a cancellation
    return first


def raise_first(faults: Iterable[Exception | None]) -> None:
    """Raise the first fault, if there is one."""
    for fault in faults:
        if fault is not None:
            raise fault


class FencedProducer:
    """Sends for a stage as long as a lease runs, and asks the group to renew it after it has ended."""

    def __init__(
        self,
        settings: Settings,
        stage: str,
        partitions: int,
        lease: Lease,
        confirm: Callable[[], Awaitable[None]],
        *,
        connect: Callable[[Settings], AIOKafkaProducer] = clients.producer,
    ) -> None:
        """Take what the producer is made of.

        Args:
            settings: How to reach Kafka.
            stage: The label of its metrics.
            partitions: How many partitions our partitioned topics have.
            lease: Renewed by the stage's commits.
            confirm: Makes the group confirm that the partitions are still ours, or raises.
            connect: Makes the client; not started.
        """
        self._settings = settings
        self._seconds = metrics.PRODUCER.labels(stage=stage)
        self._partitions = partitions
        self._lease = lease
        self._confirm = confirm
        self._connect = connect
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises: KafkaError."""
        producer = self._connect(self._settings)
        guard(producer, self._lease)
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        """Send what is queued, if the lease still runs, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, messages: Sequence[Message], encoded: dict[int, bytes]) -> None:
        """Send messages as `BatchProducer.send` does; a lease that has ended is renewed first, or raises.

        Raises: as that, LeaseEnded, and what `confirm` does.
        """
        started = time.monotonic()
        await self._under_lease(lambda producer: producer.send(messages, encoded))
        self._seconds.observe(time.monotonic() - started)

    async def send_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Send letters in batches; those that their topic refuses as too large are cut until they fit.

        Raises: KafkaError when they can't be written, and what `confirm` does.
        """
        groups = pack(letters)
        while groups:
            groups = await self._under_lease(partial(BatchProducer.send_letter_groups, groups=groups))
            if groups:
                await self.stop()  # what was refused has used sequence numbers: a new producer counts from 0

    async def _under_lease(self, send: Callable[[BatchProducer], Awaitable[Sent]]) -> Sent:
        if self._producer is not None:
            try:
                return await send(BatchProducer(self._producer, self._partitions))
            except LeaseEnded:
                await self.stop()  # some of its numbered batches will never be sent
            except KafkaError:
                await self.stop()  # the broker accepts nothing after a gap in an idempotent producer's numbers
                raise
        # The lease has ended: Kafka was away for long, or this process was suspended. If the group confirms that the
        # partitions are still this worker's, they have been all the time, and the messages may be sent again.
        await self._confirm()
        await self.start()
        return await send(BatchProducer(self._producer, self._partitions))
