"""The Kafka connections of one use case: each client is connected once, when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from territory.wire.topics import TOPICS
from territory_admin.errors import NotFound
from territory_admin.log.topic_reader import (
    COORDINATOR_UNAVAILABLE,
    offsets_of,
    started,
    when_coordinated,
)
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.structs import OffsetAndMetadata


class KafkaSession:
    """Connects clients on demand and shares them between the steps of a use case.

    The consumer is shared, too: only one step at a time may read with it.
    """

    def __init__(self, settings: Settings, cleanup: AsyncExitStack) -> None:
        """Use the settings' brokers; `cleanup` closes what was connected."""
        self.settings = settings
        self._cleanup = cleanup
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._partitions: int | None = None
        self._coordinators: dict[str, int] = {}

    async def consumer(self) -> AIOKafkaConsumer:
        """Return the session's consumer: no group, committed messages only. Raises: KafkaError."""
        if self._consumer is None:
            self._consumer = await self._cleanup.enter_async_context(started(clients.reader(self.settings)))
        return self._consumer

    async def admin(self) -> AIOKafkaAdminClient:
        """Return the session's client for consumer groups. Raises: KafkaError."""
        if self._admin is None:
            self._admin = await self._cleanup.enter_async_context(started(clients.group_admin(self.settings)))
        return self._admin

    async def committed_offsets(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str]]:
        """Return a group's committed offsets with their commit metadata. Raises: KafkaError.

        The group's coordinator is looked up once, and again when another broker has become it.
        """
        admin = await self.admin()

        async def ask() -> Mapping[TopicPartition, OffsetAndMetadata]:
            if group not in self._coordinators:
                self._coordinators[group] = await admin.find_coordinator(group)
            coordinator = self._coordinators[group]
            try:
                found: Mapping[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
                    group, coordinator, partitions=list(partitions)
                )
            except COORDINATOR_UNAVAILABLE:
                del self._coordinators[group]
                raise
            return found

        return offsets_of(await when_coordinated(ask))

    async def has_members(self, group: str) -> bool:
        """Whether a consumer group has a member. Raises: KafkaError."""
        # One request a group: the embedded broker closes the connection when it is asked about several.
        admin = await self.admin()
        described = await when_coordinated(lambda: admin.describe_consumer_groups([group]))
        return any(members for response in described for _, _, _, _, _, members, *_ in response.groups)

    async def existing_partitions(self) -> int:
        """Return the partition count that the partitioned topics share.

        Raises: NotFound when a topic is missing, that is, before the services first ran; KafkaError.
        """
        if self._partitions is not None:
            return self._partitions
        counts = await self._partition_counts()
        missing = [topic.name for topic in TOPICS if topic.name not in counts]
        if missing:
            raise NotFound(
                f"{self.settings.kafka_bootstrap_servers} has no topic {missing[0]}: nothing ran there yet; "
                "start the services, or apply a model or publish records first"
            )
        self._partitions = next(counts[topic.name] for topic in TOPICS if topic.partitions is None)
        return self._partitions

    async def provisioned_partitions(self) -> int:
        """Create the topics that are missing; return the partition count that the partitioned topics share.

        Raises: TopicsUnfit when existing topics have other partition counts than they need; KafkaError.
        """
        counts = await self._partition_counts()
        if is_complete(counts):
            return next(counts[topic.name] for topic in TOPICS if topic.partitions is None)
        return await asyncio.to_thread(_provision, self.settings)

    async def _partition_counts(self) -> dict[str, int]:
        """Return the partition count of each of our topics that exists."""
        consumer = await self.consumer()
        # All topics are asked for: some brokers create a topic that a client asks for by name.
        metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001 -- topics() drops the partitions
        found = {topic.name: metadata.partitions_for_topic(topic.name) for topic in TOPICS}
        return {name: len(numbers) for name, numbers in found.items() if numbers}


def is_complete(counts: Mapping[str, int]) -> bool:
    """Whether every topic exists with the partitions that the services need."""
    shared = {counts.get(topic.name) for topic in TOPICS if topic.partitions is None}
    single = all(counts.get(topic.name) == topic.partitions for topic in TOPICS if topic.partitions is not None)
    return single and len(shared) == 1 and None not in shared


def _provision(settings: Settings) -> int:
    # The client for topics takes long to import and to connect, and is rarely needed.
    from territory_runtime.kafka.topic_admin import provision  # noqa: PLC0415 -- see above

    admin = clients.topic_admin(settings)
    try:
        return provision(admin, settings).partitions
    finally:
        admin.close()


@asynccontextmanager
async def kafka_session(settings: Settings) -> AsyncIterator[KafkaSession]:
    """Open a session; all its clients are closed at the end of the block."""
    async with AsyncExitStack() as cleanup:
        yield KafkaSession(settings, cleanup)


async def existing_partitions(settings: Settings) -> int:
    """Return `KafkaSession.existing_partitions` over a connection of its own. Raises: NotFound, KafkaError."""
    async with kafka_session(settings) as kafka:
        return await kafka.existing_partitions()


async def provisioned_partitions(settings: Settings) -> int:
    """Return `KafkaSession.provisioned_partitions` over a connection of its own. Raises: TopicsUnfit, KafkaError."""
    async with kafka_session(settings) as kafka:
        return await kafka.provisioned_partitions()
