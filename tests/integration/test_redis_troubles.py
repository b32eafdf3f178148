"""Bad days of a real Redis: told in one line, seen on /ready, counted, waited for, and over by themselves."""

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
from territory_runtime.redis.pipe import Pipe
from territory_runtime.retry import REDIS_AWAY, retry_while_unavailable
from tests.integration.examples import redis_client
from tests.support.servers import RedisServer, program

Act = Callable[[Any], None]
SECONDS_MAX = 60.0
PASSWORD = "another"  # noqa: S105


def out_of_memory(client: Any) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")


def with_memory(client: Any) -> None:
    client.config_set("maxmemory", "0")


def a_replica(client: Any) -> None:
    [nowhere] = free_ports(1)
    client.execute_command("REPLICAOF", "127.0.0.1", nowhere)


def the_first(client: Any) -> None:
    client.execute_command("REPLICAOF", "NO", "ONE")


def another_password(client: Any) -> None:
    client.config_set("requirepass", PASSWORD)
    client.execute_command("AUTH", PASSWORD)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def no_password(client: Any) -> None:
    client.config_set("requirepass", "")


def a_disk_that_takes_nothing(client: Any) -> None:
    # What a full disk does: the copy can't be written. Here its place is taken by a folder.
    _copy(client).mkdir()
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.config_set("save", "3600 1")
    client.bgsave()
    assert until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", SECONDS_MAX)


def _copy(client: Any) -> Path:
    return Path(client.config_get("dir")["dir"], "dump.rdb")


def a_disk_with_room(client: Any) -> None:
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


def everything(operator: Any) -> None:
    operator.execute_command("ACL", "SETUSER", "default", "+@all")


def a_silence(client: Any) -> None:
    client.execute_command("CLIENT", "PAUSE", "600000", "WRITE")


def an_answer(client: Any) -> None:
    client.execute_command("CLIENT", "UNPAUSE")


class Watched(Health):
    """What is said of a part, and when it is another thing than before."""

    def __init__(self, says: str) -> None:
        super().__init__()
        self._says = says
        self.said = asyncio.Event()

    def hinder(self, part: str, why: str, cause: str = "") -> None:
        super().hinder(part, why, cause)
        if self._says in why:
            self.said.set()


@contextmanager
def operating(server: RedisServer) -> Iterator[Any]:
    """Give a client with one connection, which stays allowed in while others are not."""
    with redis.Redis.from_url(server.url, single_connection_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> RedisServer:
    """Give a Redis whose settings a test may change."""
    return RedisServer(tmp_path_factory.mktemp("redis"), program("redis", "redis-server"))


@pytest.mark.parametrize(
    ("comes", "goes", "says"),
    [
        (out_of_memory, with_memory, "OutOfMemoryError"),
        (a_replica, the_first, "ReadOnlyError"),
        (another_password, no_password, "AuthenticationError"),
        (a_disk_that_takes_nothing, a_disk_with_room, "MISCONF"),
        (too_few_replicas, replicas_enough, "NOREPLICAS"),
        (no_scripts, everything, "NoPermissionError"),
        (no_sets, everything, "executing the script"),
        (a_silence, an_answer, "no answer within 0.1 s"),
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
def test_a_write_waits_for_the_end_of_trouble(
    server: RedisServer, unique: str, comes: Act, goes: Act, says: str
) -> None:
    """Nothing is lost and nobody has to do anything to the worker (runtime: while something is away)."""
    health = Watched(says)

    async def acts(operator: Any) -> None:
        async with asyncio.timeout(SECONDS_MAX), redis_client(server.url) as client:
            fences = Fences(client, unique)
            await fences.take(0, 1, 0)
            comes(operator)

            async def write() -> None:
                pipe = Pipe(fences, [0])
                pipe.sadd(unique, "member")
                await pipe.execute()

            writing = asyncio.create_task(
                retry_while_unavailable(unique, health, REDIS_AWAY, write, what="Redis", answer_seconds=0.1)
            )
            await health.said.wait()
            assert not writing.done()
            goes(operator)
            await writing
            assert await client.smembers(unique) == {"member"}

    with server, operating(server) as operator, capture_logs() as lines:
        asyncio.run(acts(operator))
    assert [line["event"] for line in lines] == ["waiting", "recovered"]
    assert health.hindrances == {}
    assert (REGISTRY.get_sample_value("territory_waiting_total", {"part": unique, "away": "Redis"}) or 0) >= 1


def test_a_command_that_makes_no_sense_is_no_trouble(server: RedisServer, unique: str) -> None:
    """What no operator can end is a bug, and stops the worker (runtime: while something is away)."""

    async def acts() -> None:
        async with redis_client(server.url) as client:
            await client.set(unique, "text")

            async def write() -> None:
                await client.sadd(unique, "member")

            with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
                await retry_while_unavailable(unique, Health(), REDIS_AWAY, write, what="Redis")

    with server:
        asyncio.run(acts())
