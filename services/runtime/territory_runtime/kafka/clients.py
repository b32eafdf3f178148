"""Kafka clients: the one place for addresses, security, timeouts and sizes."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context

from territory.wire.codec import MESSAGE_BYTES_MAX
from territory_runtime.kafka.assignor import CopartitionedAssignor
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

CLIENT_ID = "territory"
REQUEST_BYTES_MAX = MESSAGE_BYTES_MAX + 124_000
"""Room for the largest record with its links, its envelope and its headers."""
METADATA_MS = 15_000
"""How long until a topic that was deleted and created again is read again."""
HEARTBEAT_MS_MAX = 3_000
"""A member learns of a rebalance from a heartbeat's answer, so a joining worker waits at most this long."""
READ_COMMITTED = "read_committed"
"""Isolation level: an upstream may write in transactions (A13). The end of a partition is its last stable offset."""
LETTER_BYTES_MAX = 2 * 1024 * 1024
"""Room for a refused message, which may be as large as its topic allows, and the reason."""


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context that the settings ask for; None without TLS."""
    if "SSL" not in settings.kafka_security_protocol:
        return None
    context: ssl.SSLContext = create_ssl_context(cafile=settings.kafka_ssl_cafile)
    return context


def sasl_options(settings: Settings) -> dict[str, Any]:
    """Return a client's SASL options; empty without SASL."""
    if not settings.kafka_security_protocol.startswith("SASL"):
        return {}
    password = settings.kafka_sasl_password
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": None if password is None else password.get_secret_value(),
    }


def connection(settings: Settings) -> dict[str, Any]:
    """Return the connection options of any aiokafka client."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "client_id": CLIENT_ID,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": ssl_context(settings),
        **sasl_options(settings),
    }


def group_consumer(
    settings: Settings, group: str, assignor: CopartitionedAssignor | None = None, **options: Any
) -> AIOKafkaConsumer:
    """Return a member of a consumer group that commits by hand and reads committed messages only. Not started.

    Args:
        settings: How to reach Kafka, and whether members are static.
        group: The group's id, which is the stage's name.
        assignor: Distributes the partitions, and knows afterwards who owns which; each consumer needs its own.
        options: Further options of aiokafka's consumer.
    """
    timeout_ms = int(settings.kafka_session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        **membership(settings, group, assignor or CopartitionedAssignor()),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=READ_COMMITTED,
        session_timeout_ms=timeout_ms,
        rebalance_timeout_ms=3 * timeout_ms,  # longer than any lease that was renewed before it began (lease.py)
        heartbeat_interval_ms=heartbeat_ms(settings.kafka_session_timeout_seconds),
        # A worker without partitions, or one that waits for Redis, does not poll. aiokafka would make it leave the
        # group for good; /live sees whether the loop still runs.
        max_poll_interval_ms=2**31 - 1,
        max_partition_fetch_bytes=REQUEST_BYTES_MAX,
        metadata_max_age_ms=METADATA_MS,
        fetch_max_wait_ms=100,
        **options,
        **connection(settings),
    )


def membership(settings: Settings, group: str, assignor: CopartitionedAssignor) -> dict[str, Any]:
    """Return the options that make a consumer a member of a group, static where the settings ask for it.

    A process has a member in several groups, so the group's id is part of each static id.
    """
    instance = settings.kafka_group_instance_id
    return {
        "group_id": group,
        "group_instance_id": None if instance is None else f"{instance}-{group}",
        "partition_assignment_strategy": (assignor,),
    }


def heartbeat_ms(session_seconds: float) -> int:
    """Return the heartbeat interval: a tenth of the session, from 300 ms to 3 s."""
    return min(HEARTBEAT_MS_MAX, max(300, int(100 * session_seconds)))


def reader(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer without a group, to be assigned partitions by hand. Not started.

    It reads committed messages only, unless the options say otherwise.
    """
    return AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * REQUEST_BYTES_MAX,
        fetch_max_wait_ms=100,
        **{"isolation_level": READ_COMMITTED, **options},
        **connection(settings),
    )


def producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """Return an idempotent producer that waits for all replicas. Not started."""
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",  # aiokafka runs lz4 at a level that costs eight times as much
        max_request_size=LETTER_BYTES_MAX,
        max_batch_size=256 * 1024,
        linger_ms=0,
        **options,
        **connection(settings),
    )


def group_admin(settings: Settings) -> AIOKafkaAdminClient:
    """Return an asynchronous admin client, for committed offsets with their metadata. Not started."""
    return AIOKafkaAdminClient(**connection(settings))


def topic_admin(settings: Settings) -> KafkaAdminClient:
    """Return a connected, blocking admin client, for topics and their configuration.

    Raises: kafka.errors.KafkaError.
    """
    from kafka import KafkaAdminClient  # noqa: PLC0415 -- takes 0.3 s to import; only creating topics needs it

    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "client_id": CLIENT_ID,
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": 15_000,
        "bootstrap_timeout_ms": 10_000,
        **sasl_options(settings),
    }
    if settings.kafka_ssl_cafile is not None:
        options["ssl_cafile"] = settings.kafka_ssl_cafile
    return KafkaAdminClient(**options)
