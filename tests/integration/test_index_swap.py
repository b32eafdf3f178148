"""Swapping a rebuilt index for the live one, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange
from access_indexer.redis.index_swap import (
    LOCK_SECONDS,
    PAUSE_SECONDS_MAX,
    PRUNE_RECORDS_MAX,
    IndexSwap,
    RebuildLockLost,
)
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import HELD_KEY, rebuild_prefix, rebuilding_key, visible_key
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import SinkPaused
from tests.integration.examples import redis_client

STAGE = "access-indexer"


@pytest.fixture
def org(unique: str) -> str:
    """Give an organisation of the test's own."""
    return unique[-80:].strip("-")


def play(redis_url: str, acts: Callable[[redis.asyncio.Redis], Awaitable[None]]) -> None:
    async def acted() -> None:
        async with redis_client(redis_url) as client:
            await client.delete(HELD_KEY)
            await acts(client)

    asyncio.run(acted())


def of(org: str, record_id: str, *users: str) -> list[IndexChange]:
    """Return the changes that make an account visible to some users."""
    return [
        *(SetChange(org, "visible", user_id, "account", [record_id], True) for user_id in users),
        SetChange(org, "editable", users[0], "account", [record_id], True),
        RecordState(org, "account", record_id, 1, users[0], ("west",), 1),
    ]


async def index_of(client: redis.asyncio.Redis, org: str) -> dict[str, object]:
    """Return all keys of an organisation's index with their values."""
    found: dict[str, object] = {}
    for word in ("visible", "editable", "record"):
        async for key in client.scan_iter(match=f"{word}:{{{org}:*"):
            found[key] = await (client.hgetall(key) if word == "record" else client.smembers(key))
    found["admins"] = await client.smembers(f"admins:{{{org}}}")
    return found


async def rebuild_keys(client: redis.asyncio.Redis, org: str) -> list[str]:
    return [key async for key in client.scan_iter(match=f"{rebuild_prefix(org)}*")]


def test_the_new_index_replaces_the_live_one(redis_url: str, org: str) -> None:
    """The switch moves all new keys, removes those that the new index lacks, and leaves no prefix behind (V7)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        live, other = RedisIndexWriter(client, STAGE, 1), f"{org}-2"
        await live.apply(
            [AdminsState(org, frozenset({"old"})), *of(org, "gone", "ann", "bob"), *of(other, "A-1", "ann")], []
        )
        before, others = await index_of(client, org), await index_of(client, other)
        swap = IndexSwap(client, STAGE, org, "one")
        assert await swap.begin()
        async with swap.lock_renewed():
            await swap.write([AdminsState(org, frozenset({"root"})), *of(org, "A-1", "ann"), *of(org, "é:{/}", "cy")])
            await swap.write([SetChange(org, "visible", "cy", "account", ["é:{/}"], False)])
            await swap.collect_live_keys()
            assert await index_of(client, org) == before
            assert await swap.pause_writers()
            assert await swap.switch() == 6
            assert await swap.switch() == 6  # a client repeats it if the answer was lost
            await swap.end()
        assert await index_of(client, org) == {
            f"visible:{{{org}:ann}}:account": {"A-1"},
            f"editable:{{{org}:ann}}:account": {"A-1"},
            f"editable:{{{org}:cy}}:account": {"é:{/}"},
            f"record:{{{org}:account:A-1}}": _hash("ann"),
            f"record:{{{org}:account:é:{{/}}}}": _hash("cy"),
            "admins": {"root"},
        }
        assert await index_of(client, other) == others
        assert await rebuild_keys(client, org) == []
        assert not await client.exists(HELD_KEY, rebuilding_key(org))

    play(redis_url, acts)


def test_equal_hashes_are_not_switched(redis_url: str, org: str) -> None:
    """Only hashes that differ are moved; one that is written again after the comparison is moved whole."""

    async def acts(client: redis.asyncio.Redis) -> None:
        ids = [f"A-{number}" for number in range(2 * PRUNE_RECORDS_MAX)]
        changes = [RecordState(org, "account", record_id, 1, "ann", ("west",), 1) for record_id in ids]
        await RedisIndexWriter(client, STAGE, 1).apply([*changes], [])
        wrong = {name: f"record:{{{org}:account:{name}}}" for name in ("A-1", "A-2", "A-3", "A-4", "A-5", "A-6")}
        await client.hset(wrong["A-1"], "owner_id", "bob")
        await client.hdel(wrong["A-2"], "version")
        await client.hset(wrong["A-3"], "more", "1")
        await client.delete(wrong["A-4"], wrong["A-5"])
        await client.set(wrong["A-5"], "no hash")
        swap = IndexSwap(client, STAGE, org, "one")
        assert await swap.begin()
        await swap.write([*changes])
        await swap.collect_live_keys()
        await swap.prune()
        await swap.write([RecordState(org, "account", "A-6", 2, "cy", (), 1)])
        assert await swap.pause_writers()
        assert await swap.switch() == len(wrong)
        await swap.end()
        for name, key in wrong.items():
            assert (await client.hgetall(key))["owner_id"] == ("cy" if name == "A-6" else "ann")
            assert len(await client.hgetall(key)) == 4
        assert len([key async for key in client.scan_iter(match=f"record:{{{org}:*")]) == len(ids)

    play(redis_url, acts)


def test_stages_pause_during_a_swap(redis_url: str, org: str) -> None:
    """The writes of stages are refused whole during the pause; the pause and the lock expire by themselves (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        stage = RedisIndexWriter(client, STAGE, 1)
        await stage.fences.take(0, 1, 0)
        swap = IndexSwap(client, STAGE, org, "one")
        assert await swap.begin()
        assert await swap.pause_writers()
        assert 0 < await client.ttl(HELD_KEY) <= PAUSE_SECONDS_MAX
        assert 0 < await client.ttl(rebuilding_key(org)) <= LOCK_SECONDS
        with pytest.raises(SinkPaused):
            await stage.apply(of(org, "A-1", "ann"), [Progress(STAGE, 0, 1, {})])
        assert await index_of(client, org) == {"admins": set()}
        assert not await IndexSwap(client, STAGE, f"{org}-2", "two").pause_writers()
        await IndexSwap(client, STAGE, f"{org}-2", "two").resume_writers()
        assert await client.exists(HELD_KEY)
        await swap.resume_writers()
        await stage.apply(of(org, "A-1", "ann"), [Progress(STAGE, 0, 1, {})])
        assert await client.sismember(visible_key(org, "ann", "account"), "A-1")
        await client.delete(f"fence:{STAGE}:0")
        await swap.end()

    play(redis_url, acts)


def test_nothing_is_switched_without_the_pause_and_the_lock(redis_url: str, org: str) -> None:
    """A rebuild that was suspended for too long leaves the live index as it is."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await RedisIndexWriter(client, STAGE, 1).apply(of(org, "old", "ann"), [])
        before = await index_of(client, org)
        swap = IndexSwap(client, STAGE, org, "one")
        assert await swap.begin()
        await swap.write(of(org, "A-1", "ann"))
        await swap.collect_live_keys()
        assert await swap.switch() is None
        assert await swap.pause_writers()
        await client.set(rebuilding_key(org), "another")
        assert await swap.switch() is None
        with pytest.raises(RebuildLockLost, match="start it again"):
            await swap.write(of(org, "A-2", "ann"))
        with pytest.raises(RebuildLockLost):
            await swap.restart()
        assert await index_of(client, org) == before
        await swap.end()
        assert await client.get(rebuilding_key(org)) == "another"
        await client.delete(rebuilding_key(org))

    play(redis_url, acts)


def test_keys_of_a_killed_rebuild_are_removed_by_the_next(redis_url: str, org: str) -> None:
    """The next rebuild can begin once the lock is free, and removes the keys of its organisation only."""

    async def acts(client: redis.asyncio.Redis) -> None:
        killed, following = (IndexSwap(client, STAGE, org, name) for name in ("one", "two"))
        other = IndexSwap(client, STAGE, f"{org}-2", "three")
        for each, of_org in ((killed, org), (other, f"{org}-2")):
            assert await each.begin()
            await each.write(of(of_org, "A-1", "ann"))
        assert not await following.begin()
        assert await rebuild_keys(client, org) != []
        await client.delete(rebuilding_key(org))  # as if its time to live had passed
        assert await following.begin()
        await following.clear()
        assert await rebuild_keys(client, org) == []
        assert await rebuild_keys(client, f"{org}-2") != []
        for each in (following, other):
            await each.end()

    play(redis_url, acts)


def test_a_rebuild_without_the_lock_removes_nothing(redis_url: str, org: str) -> None:
    """A rebuild that was suspended before it removed the keys it found must not remove a running rebuild's."""

    async def acts(client: redis.asyncio.Redis) -> None:
        late, present = (IndexSwap(client, STAGE, org, name) for name in ("one", "two"))
        assert await late.begin()
        await client.delete(rebuilding_key(org))  # as if its time to live had passed
        assert await present.begin()
        await present.write(of(org, "A-1", "ann"))
        written = await rebuild_keys(client, org)
        with pytest.raises(RebuildLockLost):
            await late.clear()
        assert await rebuild_keys(client, org) == written != []
        await present.end()

    play(redis_url, acts)


def test_a_rebuild_under_another_model_starts_again(redis_url: str, org: str) -> None:
    """After a restart the new index has nothing of what was written before."""

    async def acts(client: redis.asyncio.Redis) -> None:
        swap = IndexSwap(client, STAGE, org, "one")
        assert await swap.begin()
        await swap.write([*of(org, "A-1", "ann", "bob"), *of(org, "A-2", "ann")])
        await swap.restart()
        await swap.write(of(org, "A-1", "ann"))
        await swap.collect_live_keys()
        assert await swap.pause_writers()
        assert await swap.switch() == 3
        await swap.end()
        assert await client.smembers(visible_key(org, "ann", "account")) == {"A-1"}
        assert not await client.exists(visible_key(org, "bob", "account"))

    play(redis_url, acts)


def _hash(owner_id: str) -> dict[str, str]:
    return {"version": "1", "owner_id": owner_id, "territories": '["west"]', "model_revision": "1"}
