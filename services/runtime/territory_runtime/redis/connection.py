"""How every client reaches Redis: one server, or a cluster."""

from __future__ import annotations

import redis.asyncio

from territory_runtime.settings import Settings


def connect(settings: Settings) -> redis.asyncio.Redis | redis.asyncio.RedisCluster:
    """Return a client that connects when it is first used. It takes and returns text.

    Raises: ValueError for an invalid address; RedisClusterException for one that no cluster can have.
    """
    kind = redis.asyncio.RedisCluster if settings.redis_cluster else redis.asyncio.Redis
    client: redis.asyncio.Redis | redis.asyncio.RedisCluster = kind.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=15,
        socket_connect_timeout=5,
        health_check_interval=30,
    )
    return client
