"""The committed offsets of consumer groups."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownMemberIdError

from territory_runtime.kafka import clients
from territory_runtime.kafka.aiokafka_internals import is_member
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.loop.ports import Committed, TopicPartition
from territory_runtime.settings import Settings


class KafkaGroupOffsets:
    """The port `GroupOffsets` on aiokafka: reads through an admin client, commits through the group's member."""

    def __init__(self, settings: Settings, reader: KafkaLogReader) -> None:
        """Take the reader whose membership commits depend on."""
        self._settings = settings
        self._reader = reader
        self._admin: AIOKafkaAdminClient | None = None

    async def start(self) -> None:
        """Connect. Raises: KafkaError."""
        admin = clients.group_admin(self._settings)
        await admin.start()
        self._admin = admin

    async def stop(self) -> None:
        """Disconnect."""
        if self._admin is not None:
            await self._admin.close()

    async def committed(self, group: str) -> Mapping[TopicPartition, Committed]:
        """Return all that a group has committed. Raises: KafkaError."""
        if self._admin is None:
            raise RuntimeError("the offsets are not connected")
        found = await self._admin.list_consumer_group_offsets(group)
        return {
            TopicPartition(*where): Committed(at.offset, at.metadata) for where, at in found.items() if at.offset >= 0
        }

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit for this member's group. Raises: KafkaError, UnknownMemberIdError when it is no member."""
        consumer = self._reader.consumer
        # Kafka takes a commit from anybody while a group is empty.
        if consumer is None or not is_member(consumer):
            raise UnknownMemberIdError("this worker has left the group")
        await consumer.commit({KafkaPartition(*where): tuple(committed) for where, committed in offsets.items()})
