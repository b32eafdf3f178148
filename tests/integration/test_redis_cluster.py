"""Sinks on a real Redis Cluster: what differs from a single Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis.asyncio
import redis.exceptions

from access_indexer.core.changes import IndexChange, RecordState, SetChange
from access_indexer.redis.reader import RedisIndexReader
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import fence_key, visible_key
from territory_runtime.health import Health
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import Fenced, SinkRolledBack
from territory_runtime.redis.nodes import TAGS, KeyWalk, Nodes
from territory_runtime.retry import REDIS_AWAY, retry_while_unavailable
from territory_runtime.settings import read_settings
from territory_runtime.startup_checks import CannotStart, check_redis
from tests.integration.examples import redis_client, take
from tests.support.servers import START_SECONDS, RedisCluster, find_redis_cluster, serving


class Acting(NamedTuple):
    """The cluster, and users whose sets are on different nodes."""

    redis: Any
    stage: str
    users: list[str]
    """One per node."""

    @property
    def org(self) -> str:
        return self.stage[-90:].strip("-")

    def worker(self) -> RedisIndexWriter:
        return RedisIndexWriter(self.redis, self.stage, 1)

    def put(self, record_id: str, *users: str, present: bool = True) -> list[IndexChange]:
        return [SetChange(self.org, "visible", user, "account", [record_id], present) for user in users]

    async def write(self, worker: RedisIndexWriter, *changes: IndexChange) -> None:
        await worker.apply([*changes], [Progress(self.stage, 0, 5, {})])

    async def seen(self, user: str) -> set[str]:
        return {str(one) for one in await self.redis.smembers(visible_key(self.org, user, "account"))}

    async def fences(self) -> list[str]:
        """Return the value of the fence that each node uses."""
        nodes = await Nodes(self.redis).all()
        return [str(await self.redis.get(fence_key(self.stage, 0, node.tags[0]))) for node in nodes]


def play(cluster: RedisCluster, unique: str, acts: Callable[[Acting], Awaitable[None]]) -> None:
    async def acted() -> None:
        async with redis_client(cluster.settings) as client:
            await client.initialize()
            org, users = unique[-90:].strip("-"), dict[str, str]()
            for number in range(100):
                node = client.get_node_from_key(visible_key(org, f"u{number}", "account"))
                users.setdefault(node.name, f"u{number}")
            await acts(Acting(client, unique, [users[node.name] for node in client.get_primaries()]))

    asyncio.run(acted())


def test_every_node_counts_every_write(redis_cluster: RedisCluster, unique: str) -> None:
    """Also a node that a write does not concern counts it: one write sequence holds for all nodes (A9)."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        assert await acting.fences() == ["1.0"] * 3
        for user in acting.users:
            await acting.write(worker, *acting.put("A-1", user))
        sequence = worker.fences.write_sequence(0)
        assert await acting.fences() == [f"1.{sequence}"] * 3
        assert [await acting.seen(user) for user in acting.users] == [{"A-1"}] * 3

    play(redis_cluster, unique, acts)


@pytest.mark.parametrize("number", range(3))
def test_lost_writes_of_one_node_are_detected(redis_cluster: RedisCluster, unique: str, number: int) -> None:
    """The next write fails, whichever node it concerns, and so does the next assignment (A9)."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        written = worker.fences.write_sequence(0)
        node = (await Nodes(acting.redis).all())[number]
        await acting.redis.delete(fence_key(acting.stage, 0, node.tags[0]))
        with pytest.raises(SinkRolledBack):
            await acting.write(worker, *acting.put("A-2", acting.users[number]))
        assert await acting.seen(acting.users[number]) == {"A-1"}
        successor = acting.worker()
        assert await successor.fences.take(0, 2, written) == (2, False)
        assert await successor.fences.take(0, 3, 0) == (3, True)
        await acting.write(successor, *acting.put("A-2", *acting.users))  # all nodes have the same write sequence again
        assert len(set(await acting.fences())) == 1

    play(redis_cluster, unique, acts)


def test_removals_on_all_nodes_come_before_additions_on_any(redis_cluster: RedisCluster, unique: str) -> None:
    """If one node refuses a removal, no other node has executed an addition, a hash or the progress (V8)."""

    async def acts(acting: Acting) -> None:
        worker, (first, *others) = acting.worker(), acting.users
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", first))
        node = acting.redis.get_node_from_key(visible_key(acting.org, first, "account"))
        (broken,) = [one for one in await Nodes(acting.redis).all() if one.name == node.name]
        await acting.redis.set(fence_key(acting.stage, 0, broken.tags[0]), "99.0")
        states = [RecordState(acting.org, "account", f"A-{number}", 1, "ann", (), 1) for number in range(20)]
        with pytest.raises(Fenced):
            await acting.write(worker, *acting.put("A-1", first, present=False), *acting.put("A-1", *others), *states)
        assert [await acting.seen(user) for user in acting.users] == [{"A-1"}, set(), set()]
        with pytest.raises(Fenced):
            await acting.write(worker, *acting.put("A-2", first), *states)
        pages = [page async for page in RedisIndexReader(acting.redis).entries({acting.org})]
        assert not [entry for page in pages for entry in page if entry.kind == "record"]

    play(redis_cluster, unique, acts)


def test_older_epoch_is_refused_by_every_node(redis_cluster: RedisCluster, unique: str) -> None:
    """Also a worker with an outdated slot map, which uses another key for a node's fence, is refused (A9)."""

    async def acts(acting: Acting) -> None:
        before, after = acting.worker(), acting.worker()
        await take(before, 0)
        nodes = await Nodes(acting.redis).all()
        assert sum(len(node.tags) for node in nodes) == TAGS
        assert await after.fences.take(0, 2, 0) == (2, True)
        taken = {str(await acting.redis.get(fence_key(acting.stage, 0, tag))) for node in nodes for tag in node.tags}
        assert taken == {"2.0"}
        for user in acting.users:
            with pytest.raises(Fenced):
                await acting.write(before, *acting.put("A-1", user))
            assert await acting.seen(user) == set()

    play(redis_cluster, unique, acts)


async def move(client: redis.asyncio.RedisCluster, key: str) -> None:
    """Move the slot of a key, with all its keys, to another node."""
    slot = client.keyslot(key)
    source: Any = client.get_node_from_key(key)
    target: Any = next(node for node in client.get_primaries() if node.name != source.name)
    ids = {node.name: str(await node.execute_command("CLUSTER MYID")) for node in (source, target)}
    await target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.name])
    await source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target.name])
    keys = await source.execute_command("CLUSTER GETKEYSINSLOT", slot, 10_000)
    if keys:
        await source.execute_command("MIGRATE", target.host, target.port, "", 0, 10_000, "KEYS", *keys)
    for node in (target, source):
        await node.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target.name])


async def retried(action: Callable[[], Awaitable[None]]) -> None:
    """Do something as a worker does it, and retry while the cluster is unavailable."""
    async with asyncio.timeout(START_SECONDS):
        await retry_while_unavailable("x", Health(), REDIS_AWAY, action, what="Redis")


def test_a_moved_slot(redis_cluster: RedisCluster, unique: str) -> None:
    """A worker with an outdated slot map fails once, reads the map again, and writes to the new node."""

    async def acts(acting: Acting) -> None:
        worker, user = acting.worker(), acting.users[0]
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        async with redis_client(redis_cluster.settings) as operator:
            await operator.initialize()
            await move(operator, visible_key(acting.org, user, "account"))
        with pytest.raises(redis.exceptions.ResponseError, match="non local key"):
            await acting.write(worker, *acting.put("A-2", user))
        await retried(lambda: acting.write(worker, *acting.put("A-2", user)))
        assert await acting.seen(user) == {"A-1", "A-2"}

    play(redis_cluster, unique, acts)


def test_a_moved_slot_of_a_fence(redis_cluster: RedisCluster, unique: str) -> None:
    """The node's other fence is not taken for the moved one: the partition is restored and written again (A9)."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        node = (await Nodes(acting.redis).all())[0]
        async with redis_client(redis_cluster.settings) as operator:
            await operator.initialize()
            await move(operator, fence_key(acting.stage, 0, node.tags[0]))
        with pytest.raises(SinkRolledBack):
            await retried(lambda: acting.write(worker, *acting.put("A-2", *acting.users)))
        successor = acting.worker()
        await retried(lambda: take(successor, 0))
        await acting.write(successor, *acting.put("A-2", *acting.users))
        assert [await acting.seen(user) for user in acting.users] == [{"A-1", "A-2"}] * 3

    play(redis_cluster, unique, acts)


def test_a_node_that_was_unavailable(tmp_path: Path, unique: str) -> None:
    """A write waits for the node, and what the node lost meanwhile is detected."""
    with serving("redis", find_redis_cluster(), tmp_path) as cluster:

        async def acts(acting: Acting) -> None:
            worker = acting.worker()
            await take(worker, 0)
            await acting.write(worker, *acting.put("A-1", *acting.users))
            cluster.nodes[1].kill()
            with pytest.raises(REDIS_AWAY):
                await acting.write(worker, *acting.put("A-2", *acting.users))
            cluster.nodes[1].start()
            with pytest.raises(SinkRolledBack):
                await retried(lambda: acting.write(worker, *acting.put("A-2", *acting.users)))
            cluster.kill()
            with pytest.raises(REDIS_AWAY):
                await acting.write(worker, *acting.put("A-2", *acting.users))
            with pytest.raises(REDIS_AWAY):
                await KeyWalk(Nodes(acting.redis)).page(10)

        play(cluster, unique, acts)


def test_a_walk_returns_all_keys(redis_cluster: RedisCluster, unique: str) -> None:
    """A walk returns the keys of all nodes, and then starts again."""

    async def acts(acting: Acting) -> None:
        keys = {f"{unique}:{number}" for number in range(300)}
        for key in keys:
            await acting.redis.set(key, "x")
        walk = KeyWalk(Nodes(acting.redis), f"{unique}:*")
        for _ in range(2):
            found = await walk.page(50)
            while not walk.is_over:
                found += await walk.page(50)
            assert set(found) == keys

    play(redis_cluster, unique, acts)


def test_startup_checks_the_kind_of_redis(redis_cluster: RedisCluster, redis_url: str) -> None:
    """A wrong setting ends the start with a message that says what to set; the right one passes."""
    check_redis(read_settings(redis_cluster.settings))
    check_redis(read_settings({"TERRITORY_REDIS_URL": redis_url}))
    with pytest.raises(CannotStart, match="is a cluster; set TERRITORY_REDIS_CLUSTER=true"):
        check_redis(read_settings({"TERRITORY_REDIS_URL": redis_cluster.url}))
    with pytest.raises(CannotStart, match="is no cluster; set TERRITORY_REDIS_CLUSTER=false"):
        check_redis(read_settings({"TERRITORY_REDIS_URL": redis_url, "TERRITORY_REDIS_CLUSTER": "true"}))


@pytest.mark.embedded
def test_the_embedded_redis_is_a_single_one(embedded_redis_url: str) -> None:
    """The embedded Redis passes the check without the cluster setting."""
    check_redis(read_settings({"TERRITORY_REDIS_URL": embedded_redis_url}))
