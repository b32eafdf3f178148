"""The access index in a real Redis."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from access_indexer.core.changes import AdminsAre, IndexChange, RecordStands, SetChange, SetKind
from access_indexer.core.indexing import Indexing
from access_indexer.redis_index import RedisIndex
from territory.events import Assignment, Link
from territory.fold import Incoming, Models
from territory.keys import (
    admins_key,
    editable_key,
    index_key,
    partition_of,
    record_hash_key,
    record_key,
    visible_key,
)
from territory.model import Model, compile_model
from territory.topics import ASSIGNMENTS
from territory_runtime.redis_store import CHUNK_MEMBERS
from territory_runtime.stage import Progress
from tests.integration.examples import play, take

STAGE = "access-indexer"
NOTHING: frozenset[str] = frozenset()
KINDS: tuple[SetKind, SetKind] = ("visible", "editable")


def put(org: str, record_id: str, present: bool = True, kind: SetKind = "visible", user_id: str = "ann") -> SetChange:
    return SetChange(org, kind, user_id, "account", [record_id], present)


def progress(org: str, revision: int, partition: int = 0, offset: int = 10) -> Progress:
    return Progress(STAGE, partition, offset, {org: revision})


def model_of(org: str) -> Model:
    """Return a model where the owner is all who sees a record."""
    return compile_model({"org": org, "roles": [{"id": "rep"}], "users": [{"id": "ann", "role": "rep"}]}, 1)


def fold_of(org: str, *owned: str, partition: int = 0, partitions: int = 1) -> tuple[Indexing, Models]:
    """Return a partition whose memory has some accounts of Ann's, and the model."""
    fold, models = Indexing(partition, partitions), {org: model_of(org)}
    for record_id in owned:
        assignment = Assignment(org, "account", record_id, 1, 1, "ann", (Link("west", ("rule",), ()),))
        fold.restore(Incoming(ASSIGNMENTS.name, assignment.key, assignment, {}))
    fold.restored(models, NOTHING)
    return fold, models


# --- apply ------------------------------------------------------------------------------------


def test_sets_hashes_and_admins(redis_url: str, org: str) -> None:
    """As the contract writes them: `SISMEMBER visible:{acme:u7}:account A-1` is the whole check (contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await RedisIndex(client, STAGE, 1).apply(
            [
                AdminsAre(org, frozenset({"root", "cleo"})),
                put(org, "A-1"),
                put(org, "A-1", kind="editable"),
                put(org, "é:{/}"),
                RecordStands(org, "account", "A-1", 7, "ann", ("west", "é"), 4),
                RecordStands(org, "account", "é:{/}", 1, None, (), 4),
            ],
            [],
        )
        assert await client.sismember(f"visible:{{{org}:ann}}:account", "A-1")
        assert await client.smembers(visible_key(org, "ann", "account")) == {"A-1", "é:{/}"}
        assert await client.smembers(editable_key(org, "ann", "account")) == {"A-1"}
        assert await client.smembers(admins_key(org)) == {"root", "cleo"}
        assert await client.hgetall(record_hash_key(org, "account", "A-1")) == {
            "version": "7", "owner_id": "ann", "territories": '["west","é"]', "model_revision": "4",
        }  # fmt: skip
        assert (await client.hgetall(record_hash_key(org, "account", "é:{/}")))["owner_id"] == ""

    play(redis_url, acts)


def test_last_word_counts_and_repeats_are_harmless(redis_url: str, org: str) -> None:
    """Of several words on one record the last counts, and the same changes again change nothing (A9)."""
    changes: list[IndexChange] = [
        put(org, "A-1", present=False), put(org, "A-2"),
        AdminsAre(org, frozenset({"root"})), AdminsAre(org, frozenset()),
        RecordStands(org, "account", "A-1", 1, "ann", (), 1), RecordStands(org, "account", "A-1", None),
        RecordStands(org, "account", "A-2", None), RecordStands(org, "account", "A-2", 2, "ann", (), 1),
    ]  # fmt: skip

    async def acts(client: redis.asyncio.Redis) -> None:
        for _ in range(2):
            await RedisIndex(client, STAGE, 1).apply(changes, [])
            assert await client.smembers(visible_key(org, "ann", "account")) == {"A-2"}
            assert not await client.exists(admins_key(org), record_hash_key(org, "account", "A-1"))
            assert await client.hget(record_hash_key(org, "account", "A-2"), "version") == "2"

    play(redis_url, acts)


def test_deleted_record_leaves_nothing(redis_url: str, org: str) -> None:
    """Neither in a set nor as a hash; an emptied set is no key (V7)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        index = RedisIndex(client, STAGE, 1)
        await index.apply([put(org, "A-1"), RecordStands(org, "account", "A-1", 1, "ann", (), 1)], [])
        await index.apply([put(org, "A-1", present=False), RecordStands(org, "account", "A-1", None)], [])
        assert [key async for key in client.scan_iter(match=f"*{{{org}:*")] == []

    play(redis_url, acts)


def test_many_at_once(redis_url: str, org: str) -> None:
    """More than one command takes, all the same (contracts: Redis)."""
    ids = {f"A-{number}" for number in range(5 * CHUNK_MEMBERS + 1)}

    async def acts(client: redis.asyncio.Redis) -> None:
        index, users = RedisIndex(client, STAGE, 1), [f"u{number}" for number in range(500)]
        await index.apply([put(org, each) for each in ids], [])
        assert await client.smembers(visible_key(org, "ann", "account")) == ids
        await index.apply([put(org, "A-1", kind=kind, user_id=user) for user in users for kind in KINDS], [])
        assert [await client.scard(visible_key(org, user, "account")) for user in users] == [1] * len(users)
        await index.apply([RecordStands(org, "account", each, 1, None, (), 1) for each in ids], [])
        assert await client.exists(*(record_hash_key(org, "account", each) for each in ids)) == len(ids)
        await index.apply([put(org, each, present=False) for each in ids], [])
        assert not await client.exists(visible_key(org, "ann", "account"))

    play(redis_url, acts)


# --- progress ---------------------------------------------------------------------------------


def test_revision_is_what_all_partitions_are_under(redis_url: str, org: str) -> None:
    """Nothing before all have spoken, then the least of theirs (V8, contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        workers = [RedisIndex(client, STAGE, 2), RedisIndex(client, STAGE, 2)]

        async def after(partition: int, revision: int) -> str | None:
            await take(workers[partition], partition)
            await workers[partition].apply([], [progress(org, revision, partition)])
            found: Any = await client.hget(index_key(org), "model_revision")
            return None if found is None else str(found)

        assert [await after(0, 3), await after(1, 3), await after(0, 4), await after(1, 5)] == [None, "3", "3", "4"]
        assert [await after(0, 10), await after(1, 9)] == ["5", "9"]  # by number, not by text

    play(redis_url, acts)


def test_progress_is_written_where_something_changed(redis_url: str, org: str) -> None:
    """The offset with a change of the organisation's records or revision, else not (contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        index = RedisIndex(client, STAGE, 1)
        await take(index, 0)
        offsets = []
        for offset, changes in enumerate([[], [], [RecordStands(org, "account", "A-1", 1, None, (), 1)]]):
            await index.apply([*changes], [progress(org, 1, offset=offset)])
            offsets.append(await client.hget(index_key(org), f"{STAGE}:0:offset"))
        assert offsets == ["0", "0", "2"]

    play(redis_url, acts)


# --- reconcile --------------------------------------------------------------------------------


def test_strays_are_removed(redis_url: str, org: str) -> None:
    """What sets and hashes of an unknown organisation hold and must not; the rest stays (V7, V8)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        index = RedisIndex(client, STAGE, 1)
        await take(index, 0)
        ids = ["A-1", "A:{2}", "gone", "gone:{/}"]
        stands = [RecordStands(org, "account", each, 1, "ann", (), 1) for each in ids]
        sets = [put(org, each, kind=kind, user_id=user) for each in ids for kind in KINDS for user in ("ann", "bob")]
        await index.apply([*stands, *sets], [progress(org, 1)])
        fold, models = fold_of(org, "A-1", "A:{2}")
        await index.reconcile(0, fold, models, frozenset({org}))
        assert await client.smembers(visible_key(org, "ann", "account")) == {"A-1", "A:{2}"}
        assert await client.smembers(editable_key(org, "ann", "account")) == {"A-1", "A:{2}"}
        assert not await client.exists(visible_key(org, "bob", "account"), editable_key(org, "bob", "account"))
        there = [await client.exists(record_hash_key(org, "account", each)) for each in ids]
        assert there == [1, 1, 0, 0]

    play(redis_url, acts)


def test_known_organisation_is_left_alone(redis_url: str, org: str) -> None:
    """Nothing is searched, and nothing removed, where Redis holds what we said (V8)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        index = RedisIndex(client, STAGE, 1)
        await take(index, 0)
        await index.apply([put(org, "gone")], [progress(org, 1)])
        await index.reconcile(0, *fold_of(org), NOTHING)
        assert await client.smembers(visible_key(org, "ann", "account")) == {"gone"}

    play(redis_url, acts)


def test_other_partitions_and_organisations_are_left_alone(redis_url: str, org: str) -> None:
    """A partition takes out its own records' strays, of this organisation and none whose name begins alike (V8)."""
    ids = [f"A-{number}" for number in range(2_500)]  # more than one look into a set takes

    async def acts(client: redis.asyncio.Redis) -> None:
        index, alike = RedisIndex(client, STAGE, 2), f"{org}-2"
        await take(index, 1)
        await index.apply([put(each_org, each) for each_org in (org, alike) for each in ids], [])
        await index.apply([RecordStands(alike, "account", "A-1", 1, None, (), 1)], [])
        await index.reconcile(1, *fold_of(org, partition=1, partitions=2), frozenset({org}))
        others = {each for each in ids if partition_of(record_key(org, "account", each), 2) == 0}
        assert await client.smembers(visible_key(org, "ann", "account")) == others
        assert await client.scard(visible_key(alike, "ann", "account")) == len(ids)
        assert await client.exists(record_hash_key(alike, "account", "A-1"))

    play(redis_url, acts)
