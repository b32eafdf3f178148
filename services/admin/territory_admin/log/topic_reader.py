"""Reads topics from given offsets to their present end, without a consumer group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from territory.wire.topics import Topic
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings

FETCHED_RECORDS_MAX = 5_000
COORDINATOR_SECONDS_MAX = 30.0
POLL_SECONDS = 0.1
COORDINATOR_UNAVAILABLE = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError)

Answer = TypeVar("Answer")


@asynccontextmanager
async def started(client: Any) -> AsyncIterator[Any]:
    """Start an aiokafka client, and close it at the end of the block or when it can't start."""
    stop = client.stop if hasattr(client, "stop") else client.close
    try:
        await client.start()
        yield client
    finally:
        await stop()


def partitions_of(topic: Topic, partitions: int) -> list[TopicPartition]:
    """Return all partitions of a topic; `partitions` is the count of the partitioned topics."""
    return [TopicPartition(topic.name, number) for number in range(topic.partitions or partitions)]


async def committed_offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """Return a group's committed offsets with their commit metadata; uncommitted partitions are left out.

    Raises: KafkaError.
    """
    return offsets_of(
        await when_coordinated(lambda: admin.list_consumer_group_offsets(group, partitions=list(partitions)))
    )


def offsets_of(commits: Mapping[TopicPartition, OffsetAndMetadata]) -> dict[TopicPartition, tuple[int, str]]:
    """Return the offsets and metadata of those partitions that have a commit."""
    return {where: (commit.offset, commit.metadata or "") for where, commit in commits.items() if commit.offset >= 0}


async def when_coordinated(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return an answer about a consumer group; repeat while the cluster has no group coordinator yet.

    Raises: KafkaError, also when there is no coordinator after `COORDINATOR_SECONDS_MAX`.
    """
    deadline = time.monotonic() + COORDINATOR_SECONDS_MAX
    while True:
        try:
            return await ask()
        except COORDINATOR_UNAVAILABLE:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def read_messages(
    settings: Settings,
    starts: Mapping[TopicPartition, int],
    take: Callable[[ConsumerRecord], None],
    ends: Mapping[TopicPartition, int] | None = None,
) -> None:
    """Read partitions with a consumer of its own, as `read_on` does. Raises: KafkaError."""
    if ends is not None and all(start >= ends[where] for where, start in starts.items()):
        return  # aiokafka fails to stop a consumer that has done nothing
    async with started(clients.reader(settings)) as consumer:
        await read_on(consumer, starts, take, ends)


async def read_on(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    take: Callable[[ConsumerRecord], None],
    ends: Mapping[TopicPartition, int] | None = None,
) -> None:
    """Pass the messages of partitions to `take`, each partition in order from its start offset up to its end offset.

    Args:
        consumer: Connected; its assignment is replaced, and empty in the end.
        starts: The offset to begin at, by partition.
        take: Called with every message.
        ends: The offset to stop before, by partition; by default where each partition ends now.

    Raises: KafkaError.
    """
    stops = ends if ends is not None else await consumer.end_offsets(list(starts))
    unread = {where for where, start in starts.items() if start < stops[where]}
    if not unread:
        return
    consumer.assign(list(unread))
    for where in unread:
        consumer.seek(where, starts[where])
    while unread:
        found = await consumer.getmany(*unread, timeout_ms=500, max_records=FETCHED_RECORDS_MAX)
        for where, messages in found.items():
            for message in messages:
                if message.offset < stops[where]:
                    take(message)
        # The position also passes offsets that hold no message: compacted ones and transaction markers.
        unread = {where for where in unread if await consumer.position(where) < stops[where]}
    consumer.unsubscribe()  # else it keeps fetching in the background
