"""Reads the messages of one organisation from topics, up to their ends at the time of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory_admin.log.topic_reader import read_on
from territory_runtime.loop.decoding import decode_message

REPORT_EVERY = 1_000

OnRead = Callable[[float, float], None]
"""Called with how many messages were read, and how many there are."""
ReadEvent = Callable[[bytes], Any]
"""Decodes the value of a message. Raises BadMessage."""


class OrganisationReader:
    """Reads marked partitions one after another and reports its progress over all of them."""

    def __init__(self, consumer: AIOKafkaConsumer, org_id: str, report: OnRead) -> None:
        self._consumer = consumer
        self._key_prefix = f"{org_id}/".encode()
        self._report = report
        self._read = 0
        self._total = 0
        self._ends: dict[TopicPartition, int] = {}

    async def mark(self, partitions: Sequence[TopicPartition]) -> None:
        """Fix the ends of some partitions: each is read up to where it ends now. Raises: KafkaError."""
        ends = await self._consumer.end_offsets(list(partitions))
        self._ends |= ends
        self._total += sum(ends.values())

    async def read(self, where: TopicPartition, read: ReadEvent, take: Callable[[str, Any], None]) -> None:
        """Pass the key and event of each message of a marked partition to `take`; None is a tombstone.

        Unreadable messages are ignored, as the services do. Raises: KafkaError.
        """
        await self.read_timed(where, read, lambda key, _, event: take(key, event))

    async def read_timed(self, where: TopicPartition, read: ReadEvent, take: Callable[[str, int, Any], None]) -> None:
        """Do the same with each message's timestamp, in ms of the epoch. Raises: KafkaError."""

        def take_message(message: ConsumerRecord) -> None:
            self._read += 1
            if self._read % REPORT_EVERY == 0:
                self._report(self._read, self._total)
            if message.key is None or not message.key.startswith(self._key_prefix):
                return
            try:
                decoded = decode_message(message, read)
            except BadMessage:
                return
            take(decoded.key, message.timestamp, decoded.event)

        await read_on(self._consumer, {where: 0}, take_message, {where: self._ends[where]})
        self._report(self._read, self._total)
