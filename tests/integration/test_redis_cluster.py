"""Stores on a real Redis Cluster: what a single Redis does not have to mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis.asyncio
import redis.exceptions

from access_indexer.core.changes import IndexChange, RecordState, SetChange
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
    """What a test acts with."""

    redis: Any
    stage: str
    users: list[str]
    """One of each node."""

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
        """Return the fence that is in use on each node."""
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
    """Also one that the write does not concern: so one count beside the offset is that of all nodes."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        assert await acting.fences() == ["1.0"] * 3
        for user in acting.users:
            await acting.write(worker, *acting.put("A-1", user))
        count = worker.fences.written(0)
        assert await acting.fences() == [f"1.{count}"] * 3
        assert [await acting.seen(user) for user in acting.users] == [{"A-1"}] * 3

    play(redis_cluster, unique, acts)


@pytest.mark.parametrize("number", range(3))
def test_one_node_that_lost_something_is_seen(redis_cluster: RedisCluster, unique: str, number: int) -> None:
    """At the next write, whichever node that concerns, and by whoever takes the partition over (A9)."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        written = worker.fences.written(0)
        node = (await Nodes(acting.redis).all())[number]
        await acting.redis.delete(fence_key(acting.stage, 0, node.tags[0]))
        with pytest.raises(SinkRolledBack):
            await acting.write(worker, *acting.put("A-2", acting.users[number]))
        assert await acting.seen(acting.users[number]) == {"A-1"}
        successor = acting.worker()
        assert await successor.fences.take(0, 2, written) == (2, False)
        assert await successor.fences.take(0, 3, 0) == (3, True)
        await acting.write(successor, *acting.put("A-2", *acting.users))  # the counts are one again
        assert len(set(await acting.fences())) == 1

    play(redis_cluster, unique, acts)


def test_removals_on_all_nodes_come_before_additions_on_any(redis_cluster: RedisCluster, unique: str) -> None:
    """Where a node could not remove, no other has added, and no record or progress is newer than the sets (V8)."""

    async def acts(acting: Acting) -> None:
        worker, (first, *others) = acting.worker(), acting.users
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", first))
        node = acting.redis.get_node_from_key(visible_key(acting.org, first, "account"))
        (broken,) = [one for one in await Nodes(acting.redis).all() if one.name == node.name]
        await acting.redis.set(fence_key(acting.stage, 0, broken.tags[0]), "99.0")
        stands = [RecordState(acting.org, "account", f"A-{number}", 1, "ann", (), 1) for number in range(20)]
        with pytest.raises(Fenced):
            await acting.write(worker, *acting.put("A-1", first, present=False), *acting.put("A-1", *others), *stands)
        assert [await acting.seen(user) for user in acting.users] == [{"A-1"}, set(), set()]
        with pytest.raises(Fenced):
            await acting.write(worker, *acting.put("A-2", first), *stands)
        pages = [page async for page in worker._look.entries({acting.org})]
        assert not [place for page in pages for place in page if place.word == "record"]

    play(redis_cluster, unique, acts)


def test_the_worker_before_can_write_on_no_node(redis_cluster: RedisCluster, unique: str) -> None:
    """Also one that knows the slots as they were, and takes another key for a node's fence (A9)."""

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
    """Have the slot of a key, with all keys in it, go to another node."""
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


async def waited_out(action: Callable[[], Awaitable[None]]) -> None:
    """Do something as a worker does it: what ends is waited for."""
    async with asyncio.timeout(START_SECONDS):
        await retry_while_unavailable("x", Health(), REDIS_AWAY, action, what="Redis")


def test_a_slot_that_has_moved(redis_cluster: RedisCluster, unique: str) -> None:
    """A worker that has not heard of it asks again who has what, and goes on where the data is now."""

    async def acts(acting: Acting) -> None:
        worker, user = acting.worker(), acting.users[0]
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        async with redis_client(redis_cluster.settings) as operator:
            await operator.initialize()
            await move(operator, visible_key(acting.org, user, "account"))
        with pytest.raises(redis.exceptions.ResponseError, match="non local key"):
            await acting.write(worker, *acting.put("A-2", user))
        await waited_out(lambda: acting.write(worker, *acting.put("A-2", user)))
        assert await acting.seen(user) == {"A-1", "A-2"}

    play(redis_cluster, unique, acts)


def test_the_slot_of_a_fence_has_moved(redis_cluster: RedisCluster, unique: str) -> None:
    """The node is refused another fence in its place: the partition is taken over anew, and filled again (A9)."""

    async def acts(acting: Acting) -> None:
        worker = acting.worker()
        await take(worker, 0)
        await acting.write(worker, *acting.put("A-1", *acting.users))
        node = (await Nodes(acting.redis).all())[0]
        async with redis_client(redis_cluster.settings) as operator:
            await operator.initialize()
            await move(operator, fence_key(acting.stage, 0, node.tags[0]))
        with pytest.raises(SinkRolledBack):
            await waited_out(lambda: acting.write(worker, *acting.put("A-2", *acting.users)))
        successor = acting.worker()
        await waited_out(lambda: take(successor, 0))
        await acting.write(successor, *acting.put("A-2", *acting.users))
        assert [await acting.seen(user) for user in acting.users] == [{"A-1", "A-2"}] * 3

    play(redis_cluster, unique, acts)


def test_a_node_that_was_away(tmp_path: Path, unique: str) -> None:
    """It is waited for; what it lost meanwhile is seen."""
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
                await waited_out(lambda: acting.write(worker, *acting.put("A-2", *acting.users)))
            cluster.kill()
            with pytest.raises(REDIS_AWAY):
                await acting.write(worker, *acting.put("A-2", *acting.users))
            with pytest.raises(REDIS_AWAY):
                await KeyWalk(Nodes(acting.redis)).page(10)

        play(cluster, unique, acts)


def test_a_walk_comes_by_all_keys(redis_cluster: RedisCluster, unique: str) -> None:
    """Of all nodes, and then from the beginning again."""

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


def test_it_is_said_at_the_start_what_redis_is(redis_cluster: RedisCluster, redis_url: str) -> None:
    """A setting that does not fit ends the start, with what to set; one that does is let by."""
    check_redis(read_settings(redis_cluster.settings))
    check_redis(read_settings({"TERRITORY_REDIS_URL": redis_url}))
    with pytest.raises(CannotStart, match="is a cluster; set TERRITORY_REDIS_CLUSTER=true"):
        check_redis(read_settings({"TERRITORY_REDIS_URL": redis_cluster.url}))
    with pytest.raises(CannotStart, match="is no cluster; set TERRITORY_REDIS_CLUSTER=false"):
        check_redis(read_settings({"TERRITORY_REDIS_URL": redis_url, "TERRITORY_REDIS_CLUSTER": "true"}))


@pytest.mark.embedded
def test_the_embedded_redis_is_no_cluster(embedded_redis_url: str) -> None:
    """It is let by as the single Redis that it is."""
    check_redis(read_settings({"TERRITORY_REDIS_URL": embedded_redis_url}))
