"""How every client reaches Kafka: one place for addresses, security and sizes."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context

from territory.wire.codec import MESSAGE_BYTES_MAX
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

CLIENT_ID = "territory"
# A record of 900 000 bytes, with its links, its envelope and its headers around it.
REQUEST_BYTES_MAX = MESSAGE_BYTES_MAX + 124_000
# How soon a topic that was created anew is read again.
METADATA_MS = 15_000
# A member hears by its heartbeats that others have come: however long a session is, they need not wait for it.
HEARTBEAT_MS_MAX = 3_000
# A dead letter is the refused message, which may be as large as its topic lets it be, and the reason.
LETTER_BYTES_MAX = 2 * 1024 * 1024


def ssl_context_of(settings: Settings) -> ssl.SSLContext | None:
    """Return how connections are encrypted; None for plain text."""
    if "SSL" not in settings.kafka_security_protocol:
        return None
    context: ssl.SSLContext = create_ssl_context(cafile=settings.kafka_ssl_cafile)
    return context


def sasl_options(settings: Settings) -> dict[str, Any]:
    """Return how a client authenticates; nothing without SASL."""
    if not settings.kafka_security_protocol.startswith("SASL"):
        return {}
    password = settings.kafka_sasl_password
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": None if password is None else password.get_secret_value(),
    }


def connection(settings: Settings) -> dict[str, Any]:
    """Return the options by which any aiokafka client connects."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "client_id": CLIENT_ID,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": ssl_context_of(settings),
        **sasl_options(settings),
    }


def group_consumer(settings: Settings, group: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that is a member of a group and commits by hand. Not started."""
    timeout_ms = int(settings.kafka_session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=timeout_ms,
        rebalance_timeout_ms=3 * timeout_ms,  # longer than any lease that was renewed before it began (fencing.py)
        heartbeat_interval_ms=heartbeat_ms(settings.kafka_session_timeout_seconds),
        # A worker without partitions, or in a turn that waits for Redis, asks for no messages: it must not be taken
        # for dead, since aiokafka's member never comes back then. /live sees whether the loop goes round.
        max_poll_interval_ms=2**31 - 1,
        max_partition_fetch_bytes=REQUEST_BYTES_MAX,
        metadata_max_age_ms=METADATA_MS,
        fetch_max_wait_ms=100,
        **options,
        **connection(settings),
    )


def heartbeat_ms(session_seconds: float) -> int:
    """Return how far apart heartbeats are: far less than a session, and never long."""
    return min(HEARTBEAT_MS_MAX, max(300, int(100 * session_seconds)))


def is_member(consumer: AIOKafkaConsumer) -> bool:
    """Whether a consumer has a place in its group, as far as it knows."""
    return int(consumer._coordinator.generation) >= 0  # noqa: SLF001 -- aiokafka tells it nowhere else


def reader(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that belongs to no group and reads what it is told to. Not started."""
    return AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * REQUEST_BYTES_MAX,
        fetch_max_wait_ms=100,
        **options,
        **connection(settings),
    )


def producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """Return a producer whose messages are acknowledged by all replicas, in order and once. Not started."""
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",  # lz4 at the level aiokafka takes costs eight times as much
        max_request_size=LETTER_BYTES_MAX,
        max_batch_size=256 * 1024,
        linger_ms=0,
        **options,
        **connection(settings),
    )


def group_admin(settings: Settings) -> AIOKafkaAdminClient:
    """Return a client that reads committed offsets with their metadata. Not started."""
    return AIOKafkaAdminClient(**connection(settings))


def topic_admin(settings: Settings) -> KafkaAdminClient:
    """Return a connected client for topics and their settings. Raises: kafka.errors.KafkaError."""
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
