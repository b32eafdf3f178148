"""One organisation's messages on the log, as they are now, beside live traffic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory_admin.log.topic_reader import read_on
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.stage import Reader

REPORT_EVERY = 1_000

Progress = Callable[[float, float], None]
"""Called with how many messages were read, and how many there are."""


class Reading:
    """An organisation's messages on some partitions, up to where they ended at one moment."""

    def __init__(self, consumer: AIOKafkaConsumer, org_id: str, progress: Progress) -> None:
        self._consumer = consumer
        self._ours = f"{org_id}/".encode()
        self._progress = progress
        self._read = 0
        self._total = 0
        self._ends: dict[TopicPartition, int] = {}

    async def mark(self, places: Sequence[TopicPartition]) -> None:
        """Note where some partitions end now: they are read up to there. Raises: KafkaError."""
        ends = await self._consumer.end_offsets(list(places))
        self._ends |= ends
        self._total += sum(ends.values())

    async def read(self, where: TopicPartition, reader: Reader, take: Callable[[str, Any], None]) -> None:
        """Hand over the keys and events of a partition; what can't be read is passed over. Raises: KafkaError."""
        await self.read_timed(where, reader, lambda key, _, event: take(key, event))

    async def read_timed(self, where: TopicPartition, reader: Reader, take: Callable[[str, int, Any], None]) -> None:
        """Do the same, with when each was said: ms of the epoch. Raises: KafkaError."""

        def taken(message: ConsumerRecord) -> None:
            self._read += 1
            if self._read % REPORT_EVERY == 0:
                self._progress(self._read, self._total)
            if message.key is None or not message.key.startswith(self._ours):
                return
            try:
                incoming = decode_message(message, reader)
            except BadMessage:
                return  # the services pass it over as well
            take(incoming.key, message.timestamp, incoming.event)

        if self._ends[where]:  # else the consumer would be given nothing to read
            await read_on(self._consumer, {where: 0}, taken, {where: self._ends[where]})
        self._progress(self._read, self._total)
