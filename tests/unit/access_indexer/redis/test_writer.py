"""The commands that the index writer sends, in their order, and the fences that they go out under."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange
from access_indexer.redis.reader import PAGE
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.keys import HELD_KEY, fence_key, index_key, visible_key
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fenced, SinkPaused
from territory_runtime.redis.pipe import CHUNK_ARGUMENTS
from tests.contracts.index import Index, IndexContract
from tests.contracts.index_examples import STAGE, Entries, IndexSink, progress, put, request, state, take
from tests.support.script_redis import Command, ScriptRedis

WRITES = ("SADD", "SREM", "HSET", "HDEL", "DEL")


def writer_on(client: ScriptRedis, partitions: int = 1) -> RedisIndexWriter:
    """Return the sink of one worker."""
    given: Any = client
    return RedisIndexWriter(given, STAGE, partitions)


def writes(client: ScriptRedis) -> list[Command]:
    """Return the commands that changed sets and hashes, in order."""
    return [command for command in client.commands if command[0] in WRITES]


def kinds(client: ScriptRedis) -> list[str]:
    """Return the same as the command's name and the kind of key, without repeats in a row."""
    found: list[str] = []
    for name, key, *_ in writes(client):
        each = f"{name} {key.split(':')[0]}"
        if found[-1:] != [each]:
            found.append(each)
    return found


class IndexInScriptRedis:
    """The index that the product's own writer and scripts keep."""

    def __init__(self) -> None:
        self._redis = ScriptRedis()

    def worker(self, partitions: int = 1) -> IndexSink:
        return writer_on(self._redis, partitions)

    async def entries(self, org_id: str) -> Entries:
        return entries_of(self._redis, org_id)

    async def lose(self) -> None:
        for kind in (self._redis.texts, self._redis.sets, self._redis.hashes):
            kind.clear()


def entries_of(client: ScriptRedis, org_id: str) -> Entries:
    """Return all entries of an organisation."""
    found = Entries()
    for key, members in client.sets.items():
        word, _, rest = key.partition(":{")
        if word == "admins" and rest == f"{org_id}}}":
            found.admins = set(members)
        elif rest.startswith(f"{org_id}:"):
            user, _, object_type = rest.removeprefix(f"{org_id}:").rpartition("}:")
            (found.visible if word == "visible" else found.editable)[user, object_type] = set(members)
    for key, fields in client.hashes.items():
        if key.startswith(f"record:{{{org_id}:"):
            object_type, _, record_id = key.removeprefix(f"record:{{{org_id}:").removesuffix("}").partition(":")
            territories = tuple(part for part in fields["territories"].strip('[]"').split('","') if part)
            found.records[object_type, record_id] = (
                int(fields["version"]), fields["owner_id"] or None, territories, int(fields["model_revision"]),
            )  # fmt: skip
    revision = client.hashes.get(index_key(org_id), {}).get("model_revision")
    found.revision = None if revision is None else int(revision)
    return found


class TestOnScripts(IndexContract):
    """The contract of the index, on the writer and its scripts, without a server."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Index]:
        yield IndexInScriptRedis()


def test_revocations_precede_grants() -> None:
    """Administrators go out first, then every revocation, every grant, the hashes, and last the progress (V8)."""
    client = ScriptRedis()

    async def acts() -> None:
        writer = writer_on(client)
        await take(writer, 0)
        changes: list[IndexChange] = [
            state("acme", "A-1"),
            put("acme", "A-1", user_id="bob"),
            put("acme", "A-1", kind="editable", user_id="bob"),
            put("acme", "A-2", present=False),
            put("acme", "A-2", present=False, kind="editable"),
            AdminsState("acme", frozenset({"root"})),
            state("acme", "A-2", None),
        ]
        await writer.apply(changes, [progress("acme", 1)])

    asyncio.run(acts())
    assert kinds(client) == [
        "DEL admins", "SADD admins", "SREM visible", "SREM editable", "SADD visible", "SADD editable",
        "HSET record", "DEL record", "HSET index",
    ]  # fmt: skip


def test_revocations_precede_grants_over_several_scripts() -> None:
    """A batch that is split into many scripts sends every revocation before the first grant (V8)."""
    client, ids = ScriptRedis(), [f"A-{number}" for number in range(2 * CHUNK_ARGUMENTS)]

    async def acts() -> None:
        writer = writer_on(client)
        await take(writer, 0)
        granted = SetChange("acme", "visible", "bob", "account", ids, True)
        await writer.apply([granted, granted._replace(user_id="ann", present=False)], [progress("acme", 1)])

    asyncio.run(acts())
    assert kinds(client) == ["SREM visible", "SADD visible", "HSET index"]
    assert len(client.scripts_run) > 4


def test_older_epoch_is_refused() -> None:
    """A worker whose partition has a later epoch writes nothing, whichever of its partitions that is (A9)."""
    client = ScriptRedis()

    async def acts() -> None:
        before, after = writer_on(client, 2), writer_on(client, 2)
        await take(before, 0, 1)
        await take(after, 1)
        for numbers in ((1,), (0, 1), (1, 0)):
            with pytest.raises(Fenced, match="epoch 2"):
                await before.apply([put("acme", "A-1")], [progress("acme", 1, number) for number in numbers])
        assert writes(client) == []
        await before.apply([put("acme", "A-1")], [Progress(STAGE, 0, 1, {})])
        await after.apply([put("acme", "A-2")], [Progress(STAGE, 1, 1, {})])

    asyncio.run(acts())
    assert client.sets == {visible_key("acme", "ann", "account"): {"A-1", "A-2"}}


def test_writers_are_paused_during_a_swap() -> None:
    """Nothing is written while a rebuilt index is swapped in; the same batch is written afterwards (A9)."""
    client = ScriptRedis()

    async def acts() -> None:
        writer = writer_on(client)
        await take(writer, 0)
        client.texts[HELD_KEY] = "rebuild"
        with pytest.raises(SinkPaused):
            await writer.apply([put("acme", "A-1")], [progress("acme", 1)])
        assert writes(client) == []
        del client.texts[HELD_KEY]
        await writer.apply([put("acme", "A-1")], [progress("acme", 1)])

    asyncio.run(acts())
    assert client.sets == {visible_key("acme", "ann", "account"): {"A-1"}}


@pytest.mark.parametrize("partitions", [1, 8])
def test_reconcile_walks_over_redis_once(partitions: int) -> None:
    """One SCAN over the keys and one SSCAN of each set, for one partition as for eight."""
    client = ScriptRedis()
    ids = [f"A-{number}" for number in range(2 * PAGE)]
    for user in ("ann", "bob"):
        client.sets[visible_key("acme", user, "account")] = set(ids)

    async def acts() -> None:
        writer = writer_on(client, partitions)
        await take(writer, *range(partitions))
        client.commands.clear()
        await writer.reconcile(
            [
                request("acme", orgs=["acme"], owned=ids[:3], partition=number, partitions=partitions)
                for number in range(partitions)
            ]
        )

    asyncio.run(acts())
    names = [name for name, *_ in client.commands]
    assert (names.count("SCAN"), names.count("SSCAN")) == (1, 4)  # two sets of two pages each
    assert client.sets == {visible_key("acme", "ann", "account"): set(ids[:3])}


def test_reconcile_without_organisations_reads_and_writes_nothing() -> None:
    """Partitions whose organisations are all known cost no walk."""
    client = ScriptRedis()

    async def acts() -> None:
        writer = writer_on(client, 2)
        await take(writer, 0, 1)
        client.commands.clear()
        await writer.reconcile([request("acme", partition=number, partitions=2) for number in (0, 1)])

    asyncio.run(acts())
    assert client.commands == []


def test_removals_of_a_reconcile_name_the_fence_of_their_partition() -> None:
    """Every script has the fence of one partition, and removes that partition's records only (A9)."""
    client = ScriptRedis()
    for number in range(20):
        client.hashes[f"record:{{acme:account:A-{number}}}"] = {"version": "1"}

    async def acts() -> list[ReconcileRequest]:
        writer = writer_on(client, 3)
        await take(writer, 0, 1, 2)
        client.commands.clear()
        requests = [request("acme", orgs=["acme"], partition=number, partitions=3) for number in range(3)]
        await writer.reconcile(requests)
        return requests

    requests = asyncio.run(acts())
    fences = [keys[1:] for keys in client.scripts_run[-3:]]
    assert fences == [[fence_key(STAGE, number)] for number in range(3)]
    assert client.hashes == {}
    deleted: list[list[str]] = [[]]
    for name, key, *_ in client.commands:
        if name == "DEL":
            deleted[-1].append(key.removeprefix("record:{acme:account:").removesuffix("}"))
        elif name == "SET":
            deleted.append([])
    for number, ids in enumerate(deleted[:3]):
        assert ids
        assert all(requests[number].fold.is_orphan("acme", "account", each) for each in ids)


def test_hash_fields_are_text() -> None:
    """A hash has the fields of the contract, with an empty owner for none (contracts: Redis)."""
    client = ScriptRedis()
    asyncio.run(writer_on(client).apply([RecordState("acme", "deal", "D-1", 2**62, None, ("west",), 4)], []))
    assert client.hashes["record:{acme:deal:D-1}"] == {
        "version": str(2**62), "owner_id": "", "territories": '["west"]', "model_revision": "4",
    }  # fmt: skip
