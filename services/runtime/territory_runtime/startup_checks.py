"""What a service checks before it starts: the broker, its topics, and Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import kafka.errors
import redis
import redis.exceptions

from territory_runtime.kafka.clients import topic_admin
from territory_runtime.kafka.connection_diagnosis import diagnose_connection
from territory_runtime.kafka.topic_admin import Provisioned, TopicsUnfit, provision
from territory_runtime.settings import Settings


class CannotStart(Exception):
    """Raised when a service cannot start; the text names what is missing and what to do."""


def check_surroundings(settings: Settings, *, with_redis: bool) -> Provisioned:
    """Create missing topics and check that Redis answers; return the topics' partitions.

    Raises: CannotStart.
    """
    try:
        admin = topic_admin(settings)
    except kafka.errors.KafkaError as fault:
        raise CannotStart(
            asyncio.run(diagnose_connection(settings))
            or f"no Kafka broker answers at {settings.kafka_bootstrap_servers} "
            f"({type(fault).__name__}); start one or set TERRITORY_KAFKA_BOOTSTRAP_SERVERS"
        ) from fault
    try:
        provisioned = provision(admin, settings)
    except TopicsUnfit as unfit:
        raise CannotStart(str(unfit)) from unfit
    except kafka.errors.KafkaError as fault:
        raise CannotStart(
            f"the topics can't be listed or created: {type(fault).__name__}: {fault}; "
            "check the broker's log and this user's permissions"
        ) from fault
    finally:
        admin.close()
    if with_redis:
        check_redis(settings)
    return provisioned


def check_redis(settings: Settings) -> None:
    """Check that Redis answers, and is a cluster if and only if the settings name one. Raises: CannotStart."""
    address = settings.redis_url.get_secret_value()
    try:
        client = redis.Redis.from_url(address, socket_connect_timeout=5, decode_responses=True)
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as fault:  # not an address, or an option that its scheme does not have
        raise CannotStart(f"TERRITORY_REDIS_URL can't be used: {fault}") from fault
    try:
        client.ping()
        is_cluster = _is_cluster(client)
    except redis.exceptions.RedisError as fault:
        raise CannotStart(
            f"Redis does not answer at TERRITORY_REDIS_URL ({type(fault).__name__}: {fault}); "
            "start it or correct the address and password"
        ) from fault
    finally:
        client.close()
    if is_cluster != settings.redis_cluster:
        found, wanted = ("a cluster", "true") if is_cluster else ("no cluster", "false")
        raise CannotStart(f"Redis at TERRITORY_REDIS_URL is {found}; set TERRITORY_REDIS_CLUSTER={wanted}")


def _is_cluster(client: Any) -> bool:
    """Return whether a Redis is a node of a cluster. HELLO needs no permission, unlike CLUSTER INFO."""
    try:
        answer = client.execute_command("HELLO")
    except redis.exceptions.ResponseError:  # a server without the command
        return False
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    return pairs.get("mode") == "cluster"
