"""Sending many messages at once: batches of our own making, each awaited."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from territory.stage import Message
from territory.wire.codec import encode
from territory.wire.keys import partition_of
from territory.wire.topics import TOPICS
from territory_runtime import metrics
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import bury
from territory_runtime.redis.fencing import Lease, LeaseEnded, guard
from territory_runtime.settings import Settings

PUBLIC = frozenset(topic.name for topic in TOPICS if topic.public)
SOURCE = b"/territory"
CLOUD_EVENTS_VERSION = b"1.0"


def cloud_event(topic: str, key: bytes, value: bytes | None) -> list[tuple[str, bytes]]:
    """Return the CloudEvents 1.0 attributes of a message on a public topic.

    The id is a digest of topic, key and value: a repeat of the same state bears the same id,
    and the value names the event that it follows from.
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
    """Writes messages to their partitions. `send_batch` costs an eighth of `send` a message."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer = producer
        self._partitions = partitions

    async def send(self, messages: Iterable[Message], encoded: dict[int, bytes] | None = None) -> None:
        """Send messages and await that all replicas have them.

        Args:
            messages: What to send.
            encoded: By `id`, the bytes of values that are sent more than once; whoever gives it keeps
                the values alive as long as it is used.

        Raises: KafkaError, ConnectionError.
        """
        encoded = {} if encoded is None else encoded
        by_partition: dict[tuple[str, int], list[Message]] = {}
        for message in messages:
            route = message.route
            partition = route if isinstance(route, int) else partition_of(route, self._partitions)
            by_partition.setdefault((message.topic, partition), []).append(message)
        # All are awaited before the first error is raised: a repeat must not overtake what is on its way.
        sent = await asyncio.gather(
            *(self._send(topic, partition, group, encoded) for (topic, partition), group in by_partition.items()),
            return_exceptions=True,
        )
        for (topic, _), group, fault in zip(by_partition, by_partition.values(), sent, strict=True):
            if fault is None:
                metrics.MESSAGES_SENT.labels(topic=topic).inc(len(group))
        for fault in sent:
            if fault is not None:
                raise fault

    async def _send(self, topic: str, partition: int, messages: list[Message], encoded: dict[int, bytes]) -> None:
        batch: BatchBuilder = self._producer.create_batch()
        acknowledged = []
        for message in messages:
            key = message.key.encode()
            value = encoded.get(id(message.value))
            if value is None and message.value is not None:
                value = encoded[id(message.value)] = encode(message.value)
            headers = [(name, text.encode()) for name, text in message.headers]
            if topic in PUBLIC:
                headers += cloud_event(topic, key, value)
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                acknowledged.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    await self._producer.send_and_wait(
                        topic, value, key=key, partition=partition, headers=headers
                    )  # larger than a batch: alone
        if batch.record_count():
            acknowledged.append(await self._producer.send_batch(batch, topic, partition=partition))
        for future in acknowledged:
            await future


async def _bury(letter: Any, producer: AIOKafkaProducer) -> None:
    await bury(producer, letter, letter.stage, code=letter.code, reason=letter.reason)


class FencedProducer:
    """Sends for a stage under a lease that has not ended, or one that the group renews."""

    def __init__(
        self, settings: Settings, stage: str, partitions: int, lease: Lease, confirm: Callable[[], Awaitable[None]]
    ) -> None:
        """Take what makes a stage's producer, and what has the group confirm that its partitions are ours, or raise."""
        self._settings = settings
        self._seconds = metrics.PRODUCER.labels(stage=stage)
        self._partitions = partitions
        self._lease = lease
        self._confirm = confirm
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises: KafkaError."""
        producer = clients.producer(self._settings)
        guard(producer, self._lease)
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        """Send what is on its way, if the lease still runs, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, messages: Sequence[Message], encoded: dict[int, bytes]) -> None:
        """Send messages, once more where that has to be, as a `Sender` does.

        Raises: as that, LeaseEnded, and what `confirm` does.
        """
        started = time.monotonic()
        await self._under_lease(lambda producer: BatchProducer(producer, self._partitions).send(messages, encoded))
        self._seconds.observe(time.monotonic() - started)

    async def bury(self, message: ConsumerRecord, stage: str, *, code: str, reason: str) -> None:
        """Write a refused message to the dead letters. Raises: KafkaError, and what `confirm` does."""
        await self._under_lease(lambda producer: bury(producer, message, stage, code=code, reason=reason))

    async def send_dead_letters(self, letters: Sequence[Any]) -> None:
        """Write refused messages to the dead letters. Raises: KafkaError, and what `confirm` does."""
        for letter in letters:
            await self._under_lease(partial(_bury, letter))

    async def _under_lease(self, send: Callable[[AIOKafkaProducer], Awaitable[None]]) -> None:
        if self._producer is not None:
            try:
                await send(self._producer)
            except LeaseEnded:
                await self.stop()  # some of its numbered batches will never be sent
            except KafkaError:
                await self.stop()  # what was refused has a number, and the broker takes none after a gap
                raise
            else:
                return
        # Kafka was away for long, or this worker stood still. If the group says that the partitions
        # are ours all the same, they have been all the time, and what was sent may be sent again.
        await self._confirm()
        await self.start()
        await send(self._producer)
