"""Everything here relies on parts of aiokafka that it does not promise to keep.

No other module of the product touches them. `pyproject.toml` bounds aiokafka's version, and
`tests/unit/territory_runtime/kafka/test_aiokafka_internals.py` fails when an installed version
changes one of them. Read that test before raising the bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

FetchRequest = Callable[..., Awaitable[bool]]
"""Sends one fetch request for a consumer; true if the answer had messages."""


def is_member(consumer: AIOKafkaConsumer) -> bool:
    """Return whether a consumer belongs to a generation of its group, as far as it knows.

    A consumer that left, or was removed, has generation -1. No public attribute shows it.
    """
    return int(consumer._coordinator.generation) >= 0  # noqa: SLF001 -- the only place that knows


def before_each_produce(producer: AIOKafkaProducer, check: Callable[[], None]) -> None:
    """Call `check` right before each produce request is written to a connection; what it raises prevents that.

    aiokafka queues batches, and a process can be suspended between queueing and sending.
    So the check wraps the client's `send`, after which nothing but the socket follows.
    """
    client: Any = producer.client
    send = client.send

    async def checked(node_id: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            check()
        return await send(node_id, request, **options)

    client.send = checked


def wrap_fetches(wrap: Callable[[FetchRequest], FetchRequest]) -> None:
    """Replace the method by which every consumer of this process sends a fetch request."""
    Fetcher._proc_fetch_request = wrap(Fetcher._proc_fetch_request)  # noqa: SLF001 -- has no public counterpart


async def describe_topics_without_creating(admin: AIOKafkaAdminClient, topics: list[str]) -> list[dict[str, Any]]:
    """Return the broker's metadata of topics by name; a missing one has an error code, and is not created.

    `AIOKafkaAdminClient.describe_topics` lets a broker with auto.create.topics.enable create what it is asked for.

    Raises: aiokafka.errors.KafkaError.
    """
    client: Any = admin._client  # noqa: SLF001 -- the public method has no such option
    request = MetadataRequest(topics, allow_auto_topic_creation=False)
    answer = await client.send(client.get_random_node(), request)
    described: list[dict[str, Any]] = answer.to_object()["topics"]
    return described


async def connect_to_broker(host: str, port: int, **options: Any) -> Any:
    """Return a connection to one broker, authenticated; raise what went wrong unchanged.

    Clients try every broker again and again, and report only that none answers.

    Raises: aiokafka.errors.KafkaError, ssl.SSLError, OSError, TimeoutError.
    """
    return await create_conn(host, port, **options)


def hosts_of(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Return the addresses of a list of brokers, in random order as clients try them."""
    return [(host, port) for host, port, _ in collect_hosts(bootstrap_servers)]


__all__ = [
    "FetchRequest",
    "before_each_produce",
    "connect_to_broker",
    "describe_topics_without_creating",
    "hosts_of",
    "is_member",
    "wrap_fetches",
]
