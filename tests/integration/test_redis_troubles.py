"""Faults of a real Redis: one log line, /ready, a metric, and retries until the fault is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from territory_control.local.child_process import until
from territory_control.local.embedded_broker import free_ports
from territory_runtime.health import Health
from territory_runtime.redis.fencing import Fences
from territory_runtime.redis.pipe import FencedPipeline
from territory_runtime.retry import REDIS_AWAY, retry_while_unavailable
from tests.integration.examples import redis_client
from tests.support.servers import RedisServer, program

Act = Callable[[Any], None]
SECONDS_MAX = 60.0
PASSWORD = "another"  # noqa: S105


def out_of_memory(client: Any) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")


def enough_memory(client: Any) -> None:
    client.config_set("maxmemory", "0")


def become_replica(client: Any) -> None:
    [nowhere] = free_ports(1)
    client.execute_command("REPLICAOF", "127.0.0.1", nowhere)


def become_master(client: Any) -> None:
    client.execute_command("REPLICAOF", "NO", "ONE")


def another_password(client: Any) -> None:
    client.config_set("requirepass", PASSWORD)
    client.execute_command("AUTH", PASSWORD)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def no_password(client: Any) -> None:
    client.config_set("requirepass", "")


def full_disk(client: Any) -> None:
    # On a full disk the snapshot can't be written. Here a folder is in its place.
    _copy(client).mkdir()
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.config_set("save", "3600 1")
    client.bgsave()
    assert until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", SECONDS_MAX)


def _copy(client: Any) -> Path:
    return Path(client.config_get("dir")["dir"], "dump.rdb")


def free_disk(client: Any) -> None:
    _copy(client).rmdir()
    assert until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], SECONDS_MAX)
    client.bgsave()


def too_few_replicas(client: Any) -> None:
    client.config_set("min-replicas-to-write", "1")


def replicas_enough(client: Any) -> None:
    client.config_set("min-replicas-to-write", "0")


def no_scripts(operator: Any) -> None:
    operator.execute_command("ACL", "SETUSER", "default", "-evalsha")


def no_sets(operator: Any) -> None:
    operator.execute_command("ACL", "SETUSER", "default", "-sadd")


def all_commands(operator: Any) -> None:
    operator.execute_command("ACL", "SETUSER", "default", "+@all")


def pause_writes(client: Any) -> None:
    client.execute_command("CLIENT", "PAUSE", "600000", "WRITE")


def unpause(client: Any) -> None:
    client.execute_command("CLIENT", "UNPAUSE")


class ObservedHealth(Health):
    """Health that sets an event when a reason has an expected text."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason
        self.reported = asyncio.Event()

    def hinder(self, part: str, why: str, cause: str = "") -> None:
        super().hinder(part, why, cause)
        if self._reason in why:
            self.reported.set()


@contextmanager
def operating(server: RedisServer) -> Iterator[Any]:
    """Give a client with one connection, which stays logged in while others are refused."""
    with redis.Redis.from_url(server.url, single_connection_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """Give a Redis whose settings the tests may change."""
    return RedisServer(tmp_path_factory.mktemp("redis"), program("redis", "redis-server"))


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        (out_of_memory, enough_memory, "OutOfMemoryError"),
        (become_replica, become_master, "ReadOnlyError"),
        (another_password, no_password, "AuthenticationError"),
        (full_disk, free_disk, "MISCONF"),
        (too_few_replicas, replicas_enough, "NOREPLICAS"),
        (no_scripts, all_commands, "NoPermissionError"),
        (no_sets, all_commands, "executing the script"),
        (pause_writes, unpause, "no answer within 0.1 s"),
    ],
    ids=[
        "out of memory",
        "a replica",
        "another password",
        "disk full",
        "too few replicas",
        "no scripts",
        "no sets",
        "silence",
    ],
)
def test_a_write_waits_for_the_end_of_a_fault(
    server: RedisServer, unique: str, begin: Act, end: Act, reason: str
) -> None:
    """The write is retried until the fault is over, and nobody has to restart the worker."""
    health = ObservedHealth(reason)

    async def acts(operator: Any) -> None:
        async with asyncio.timeout(SECONDS_MAX), redis_client(server.url) as client:
            fences = Fences(client, unique)
            await fences.take(0, 1, 0)
            begin(operator)

            async def write() -> None:
                pipe = FencedPipeline(fences, [0])
                pipe.sadd(unique, "member")
                await pipe.execute()

            writing = asyncio.create_task(
                retry_while_unavailable(unique, health, REDIS_AWAY, write, what="Redis", answer_seconds=0.1)
            )
            await health.reported.wait()
            assert not writing.done()
            end(operator)
            await writing
            assert await client.smembers(unique) == {"member"}

    with server, operating(server) as operator, capture_logs() as lines:
        asyncio.run(acts(operator))
    assert [line["event"] for line in lines] == ["waiting", "recovered"]
    assert health.hindrances == {}
    assert (REGISTRY.get_sample_value("territory_waiting_total", {"part": unique, "away": "Redis"}) or 0) >= 1


def test_a_wrong_command_is_not_retried(server: RedisServer, unique: str) -> None:
    """An error that no operator can end is a bug, and is raised."""

    async def acts() -> None:
        async with redis_client(server.url) as client:
            await client.set(unique, "text")

            async def write() -> None:
                await client.sadd(unique, "member")

            with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
                await retry_while_unavailable(unique, Health(), REDIS_AWAY, write, what="Redis")

    with server:
        asyncio.run(acts())
