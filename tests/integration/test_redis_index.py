"""Which keys of Redis hold the access index. What the index means is in its contract, `test_index.py`."""

from __future__ import annotations

from collections.abc import Mapping

import redis.asyncio

from access_indexer.core.changes import AdminsState, RecordState
from access_indexer.core.stage import AccessFold
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import (
    admins_key,
    editable_key,
    index_key,
    record_hash_key,
    visible_key,
)
from territory_runtime.loop.stage import Progress, ReconcileRequest
from tests.contracts.index_examples import STAGE, put, take
from tests.integration.examples import play


def test_sets_hashes_and_admins(redis_at: Mapping[str, str], org: str) -> None:
    """As documented: `SISMEMBER visible:{acme:u7}:account A-1` is the whole check (contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await RedisIndexWriter(client, STAGE, 1).apply(
            [
                AdminsState(org, frozenset({"root", "cleo"})),
                put(org, "A-1"),
                put(org, "A-1", kind="editable"),
                put(org, "é:{/}"),
                RecordState(org, "account", "A-1", 7, "ann", ("west", "é"), 4),
                RecordState(org, "account", "é:{/}", 1, None, (), 4),
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

    play(redis_at, acts)


def test_offset_is_written_with_a_change(redis_at: Mapping[str, str], org: str) -> None:
    """The offset is written when the organisation's records or its revision change, else not (contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        index = RedisIndexWriter(client, STAGE, 1)
        await take(index, 0)
        offsets = []
        for offset, changes in enumerate([[], [], [RecordState(org, "account", "A-1", 1, None, (), 1)]]):
            await index.apply([*changes], [Progress(STAGE, 0, offset, {org: 1})])
            offsets.append(await client.hget(index_key(org), f"{STAGE}:0:offset"))
        assert offsets == ["0", "0", "2"]

    play(redis_at, acts)


def test_keys_of_other_applications_are_ignored(redis_at: Mapping[str, str], org: str) -> None:
    """A key that begins like ours and can't be parsed is neither an error nor removed."""
    foreign = [f"visible:{{{org}:ann", f"record:{{{org}:x}}", f"other:{{{org}:ann}}:account", f"editable:{{{org}:}}"]

    async def acts(client: redis.asyncio.Redis) -> None:
        for key in foreign:
            await client.set(key, "x")
        index, fold = RedisIndexWriter(client, STAGE, 1), AccessFold(0, 1)
        await take(index, 0)
        fold.restored({}, frozenset())
        await index.reconcile([ReconcileRequest(0, fold, {}, frozenset({org}))])
        assert [await client.exists(key) for key in foreign] == [1] * len(foreign)

    play(redis_at, acts)
