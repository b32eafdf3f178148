"""What the tests of one adapter each share: settings, our topics on a real broker, and what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from kafka import KafkaAdminClient

from territory.wire.topics import Topic
from territory_admin.log.topic_reader import partitions_of, read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.kafka.topic_admin import provision
from territory_runtime.loop.stage import Sink
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings, read_settings

PARTITIONS = 3


def settings_for(bootstrap_servers: str, partitions: int = PARTITIONS) -> Settings:
    """Return the settings of a worker on a broker."""
    return read_settings(
        {"TERRITORY_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "TERRITORY_KAFKA_PARTITIONS": str(partitions)}
    )


@contextmanager
def topic_admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Give a client for topics."""
    admin = clients.topic_admin(settings)
    try:
        yield admin
    finally:
        admin.close()


def provisioned(settings: Settings) -> int:
    """Create our topics where they are missing; return how many partitions the partitioned ones have."""
    with topic_admin(settings) as admin:
        return provision(admin, settings).partitions


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Give the producer that services use."""
    async with started(clients.producer(settings)) as client:
        yield client


def messages_of(settings: Settings, topic: Topic, partitions: int, org_id: str) -> list[ConsumerRecord]:
    """Return one organisation's messages on a topic, in order within each partition."""
    found: list[ConsumerRecord] = []
    starts: dict[TopicPartition, int] = dict.fromkeys(partitions_of(topic, partitions), 0)
    asyncio.run(read_messages(settings, starts, found.append))
    return [message for message in found if (message.key or b"").startswith(f"{org_id}/".encode())]


async def take(store: Sink, *partitions: int) -> None:
    """Have a store begin a term of partitions, later than any that other tests began."""
    for partition in partitions:
        term, found = 1, 0
        while found != term:
            term = found + 1
            found, _ = await store.fences.take(partition, term, 0)


@asynccontextmanager
async def redis_client(redis_at: str | Mapping[str, str]) -> AsyncIterator[Any]:
    """Give the client that stores use, by an address or by what the fixture `redis_at` gives."""
    at = {"TERRITORY_REDIS_URL": redis_at} if isinstance(redis_at, str) else redis_at
    client = connect(read_settings(at))
    try:
        yield client
    finally:
        await client.aclose()


def play(redis_at: str | Mapping[str, str], acts: Callable[[Any], Awaitable[None]]) -> None:
    """Let a test act on Redis."""

    async def acted() -> None:
        async with redis_client(redis_at) as client:
            await acts(client)

    asyncio.run(acted())
