"""Reading topics from a place to their end, as they are now, without belonging to a group."""

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
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import TOPICS, Topic
from territory_admin.errors import NotFound
from territory_runtime.kafka import clients
from territory_runtime.kafka.topic_admin import partition_counts_now, provision
from territory_runtime.settings import Settings

FETCHED_RECORDS_MAX = 5_000
COORDINATOR_SECONDS_MAX = 30.0
POLL_SECONDS = 0.1
NOT_COORDINATED = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError)

Answer = TypeVar("Answer")


@asynccontextmanager
async def started(client: Any) -> AsyncIterator[Any]:
    """Start an aiokafka client and see that it is closed, also when it could not start."""
    stop = client.stop if hasattr(client, "stop") else client.close
    try:
        await client.start()
        yield client
    finally:
        await stop()


async def existing_partitions(settings: Settings) -> int:
    """Return how many partitions the partitioned topics have.

    Raises: NotFound when topics are missing, since nothing ran there yet; KafkaError.
    """
    counts = await partition_counts_now(settings)
    missing = [topic.name for topic in TOPICS if topic.name not in counts]
    if missing:
        raise NotFound(
            f"{settings.kafka_bootstrap_servers} has no topic {missing[0]}: nothing ran there yet; "
            "start the services, or apply a model or publish records first"
        )
    return next(counts[topic.name] for topic in TOPICS if topic.partitions is None)


async def provisioned_partitions(settings: Settings) -> int:
    """Create the topics that are missing and return how many partitions the partitioned ones have.

    Raises: TopicsUnfit; KafkaError, at once when no broker answers.
    """
    await partition_counts_now(settings)  # the client that creates topics would look for a broker for 30 s
    return await asyncio.to_thread(_provision, settings)


def _provision(settings: Settings) -> int:
    admin = clients.topic_admin(settings)
    try:
        return provision(admin, settings).partitions
    finally:
        admin.close()


def partitions_of(topic: Topic, partitions: int) -> list[TopicPartition]:
    """Return all partitions of a topic, given how many the partitioned ones have."""
    return [TopicPartition(topic.name, number) for number in range(topic.partitions or partitions)]


async def committed_offsets(
    admin: AIOKafkaAdminClient, group: str, places: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """Return the offsets that a group has committed, with what stands beside them. Raises: KafkaError."""
    found = await when_coordinated(lambda: admin.list_consumer_group_offsets(group, partitions=list(places)))
    return {where: (place.offset, place.metadata or "") for where, place in found.items() if place.offset >= 0}


async def when_coordinated(asking: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return an answer about a consumer group; on a new cluster the first one has to be waited for.

    Raises: KafkaError, also when there is no coordinator for long.
    """
    deadline = time.monotonic() + COORDINATOR_SECONDS_MAX
    while True:
        try:
            return await asking()
        except NOT_COORDINATED:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def read_messages(
    settings: Settings,
    starts: Mapping[TopicPartition, int],
    take: Callable[[ConsumerRecord], None],
    ends: Mapping[TopicPartition, int] | None = None,
) -> None:
    """Hand over the messages of some partitions, each from an offset up to one, or to where it ends now.

    Raises: KafkaError.
    """
    if ends is not None and all(start >= ends[where] for where, start in starts.items()):
        return  # and start nothing: a consumer that is stopped at once fails to stop
    async with started(clients.reader(settings)) as consumer:
        await read_on(consumer, starts, take, ends)


async def read_on(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    take: Callable[[ConsumerRecord], None],
    ends: Mapping[TopicPartition, int] | None = None,
) -> None:
    """Do the same with a consumer that is started already. Raises: KafkaError."""
    stops = ends if ends is not None else await consumer.end_offsets(list(starts))
    waiting = {where for where, start in starts.items() if start < stops[where]}
    consumer.assign(list(waiting))
    for where in waiting:
        consumer.seek(where, starts[where])
    while waiting:
        found = await consumer.getmany(*waiting, timeout_ms=500, max_records=FETCHED_RECORDS_MAX)
        for where, messages in found.items():
            for message in messages:
                if message.offset < stops[where]:
                    take(message)
        # The position steps over what compaction or a transaction left no message of.
        waiting = {where for where in waiting if await consumer.position(where) < stops[where]}
