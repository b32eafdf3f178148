"""Fenced pipelines and fences, on the product's own scripts, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from territory.wire.keys import HELD_KEY, fence_key
from territory_runtime.redis.fencing import Fenced, Fences, SinkPaused, SinkRolledBack
from territory_runtime.redis.pipe import CHUNK_ARGUMENTS, FencedPipeline
from tests.support.script_redis import ScriptRedis

STAGE = "sink"


class Worker:
    """A worker that adds members to one set."""

    def __init__(self, client: ScriptRedis) -> None:
        given: Any = client
        self.fences = Fences(given, STAGE)

    async def write(self, member: str, *partitions: int) -> None:
        """Add a member under the fences of partitions, of 0 unless given."""
        pipeline = FencedPipeline(self.fences, partitions or [0])
        pipeline.sadd("set", member)
        await pipeline.execute()


def play(acts: Callable[[ScriptRedis, Worker, Worker], Awaitable[None]]) -> ScriptRedis:
    """Run a test with two workers; return the Redis."""
    client = ScriptRedis()

    async def acted() -> None:
        await acts(client, Worker(client), Worker(client))

    asyncio.run(acted())
    return client


def test_older_epoch_is_refused() -> None:
    """Once a later epoch has begun, a script of an older one executes nothing, not even in part (A9)."""

    async def acts(client: ScriptRedis, before: Worker, after: Worker) -> None:
        assert await before.fences.take(0, 1, 0) == (1, False)
        assert await before.fences.take(1, 1, 0) == (1, False)
        await before.write("a", 0, 1)
        assert await after.fences.take(0, 2, 1) == (2, True)
        for partitions in ((0,), (1, 0), (0, 1)):
            with pytest.raises(Fenced, match="epoch 2"):
                await before.write("b", *partitions)
        await before.write("c", 1)
        await after.write("d")

    client = play(acts)
    assert client.sets == {"set": {"a", "c", "d"}}
    assert client.texts[fence_key(STAGE, 0)] == "2.2"


def test_older_epoch_does_not_begin() -> None:
    """A worker that was suspended before it began its epoch finds the later one, and has no fence to write under."""

    async def acts(client: ScriptRedis, late: Worker, present: Worker) -> None:
        assert await present.fences.take(0, 7, 0) == (7, False)
        assert await late.fences.take(0, 6, 0) == (7, False)
        assert client.texts[fence_key(STAGE, 0)] == "7.0"
        with pytest.raises(KeyError):
            await late.write("a")
        await present.write("b")
        assert late.fences.write_sequence(0) == 0

    assert play(acts).sets == {"set": {"b"}}


@pytest.mark.parametrize("found", [None, "1.1", "nonsense"], ids=["emptied", "older copy", "other text"])
def test_lost_writes_are_detected(found: str | None) -> None:
    """The next script is refused, and so are later epochs until one asks for fewer writes (A9, V8)."""

    async def acts(client: ScriptRedis, worker: Worker, successor: Worker) -> None:
        await worker.fences.take(0, 1, 0)
        await worker.write("a")
        await worker.write("b")
        client.texts.clear()
        if found is not None:
            client.texts[fence_key(STAGE, 0)] = found
        with pytest.raises(SinkRolledBack):
            await worker.write("c")
        for epoch in (2, 3):  # if the first successor ends at once, the second must detect the loss, too
            assert await successor.fences.take(0, epoch, 2) == (epoch, False)
        assert await successor.fences.take(0, 4, 0) == (4, True)
        await successor.write("d")

    assert play(acts).sets == {"set": {"a", "b", "d"}}


def test_a_write_without_an_answer_is_no_loss() -> None:
    """A script that was executed or not, and had no answer, is sent again and executed (A9)."""

    async def acts(client: ScriptRedis, worker: Worker, _: Worker) -> None:
        await worker.fences.take(0, 1, 0)
        worker.fences.begin_write([0])  # sent and not executed
        await worker.write("a")
        epoch, _least, sequence = worker.fences.begin_write([0])  # executed, and the answer was lost
        client.texts[fence_key(STAGE, 0)] = f"{epoch}.{sequence}"
        await worker.write("b")
        assert worker.fences.write_sequence(0) == 4

    assert play(acts).sets == {"set": {"a", "b"}}


def test_a_script_that_arrives_late_is_refused() -> None:
    """A script that was given up and arrives after its repeat executes nothing, whatever its other fences (A9)."""

    async def acts(client: ScriptRedis, worker: Worker, late: Worker) -> None:
        for each in (worker, late):  # one worker, on two connections
            await each.fences.take(0, 1, 0)
            await each.fences.take(1, 1, 0)
        await worker.write("a", 0)
        for partitions in ((0,), (0, 1), (1, 0)):
            with pytest.raises(SinkRolledBack, match="same epoch"):
                await late.write("b", *partitions)
            late.fences._by_partition[0].attempted = late.fences._by_partition[1].attempted = 0
        assert client.texts == {fence_key(STAGE, 0): "1.1", fence_key(STAGE, 1): "1.0"}

    assert play(acts).sets == {"set": {"a"}}


def test_all_writers_pause() -> None:
    """While the pause key exists every fenced script is refused; the rebuild itself writes without a fence."""

    async def acts(client: ScriptRedis, worker: Worker, _: Worker) -> None:
        await worker.fences.take(0, 1, 0)
        client.texts[HELD_KEY] = "rebuild"
        with pytest.raises(SinkPaused):
            await worker.write("a")
        unfenced = FencedPipeline(worker.fences, [], "rebuild:")
        unfenced.sadd("set", "b")
        await unfenced.execute()
        del client.texts[HELD_KEY]
        await worker.write("c")

    assert play(acts).sets == {"set": {"c"}, "rebuild:set": {"b"}}


def test_write_sequences_beyond_small_integers() -> None:
    """A write sequence keeps all its digits, above what Lua prints of a number by default."""
    sequence = 10**15

    async def acts(client: ScriptRedis, worker: Worker, successor: Worker) -> None:
        client.texts[fence_key(STAGE, 0)] = f"1.{sequence}"
        assert await worker.fences.take(0, 1, sequence) == (1, True)
        await worker.write("a")
        assert client.texts[fence_key(STAGE, 0)] == f"1.{sequence + 1}"
        assert await successor.fences.take(0, 2, sequence + 1) == (2, True)

    play(acts)


def test_commands_are_executed_in_their_order() -> None:
    """A script executes its commands in the order in which they were collected, with numbers as text."""

    async def acts(client: ScriptRedis, worker: Worker, _: Worker) -> None:
        pipeline = FencedPipeline(worker.fences, [])
        await pipeline.execute()
        assert client.commands == []
        pipeline.sadd("set", "a", "b")
        pipeline.srem("set", "a")
        pipeline.hset("hash", "version", 2**63 - 1, "gone", "x")
        pipeline.hdel("hash", "gone")
        pipeline.hset("other", "a", "b")
        pipeline.delete("other")
        await pipeline.execute()

    client = play(acts)
    assert [name for name, *_ in client.commands] == ["SADD", "SREM", "HSET", "HDEL", "HSET", "DEL"]
    assert (client.sets, client.hashes) == ({"set": {"b"}}, {"hash": {"version": str(2**63 - 1)}})


def test_a_pipeline_is_full_at_its_bound() -> None:
    """Keys, names, values and members count against the bound; an execute empties the pipeline."""

    async def acts(client: ScriptRedis, worker: Worker, _: Worker) -> None:
        pipeline = FencedPipeline(worker.fences, [])
        for number in range(CHUNK_ARGUMENTS // 3):
            assert not _is_full(pipeline)
            pipeline.sadd("set", str(number))
        pipeline.sadd("set", "last")
        assert _is_full(pipeline)
        await pipeline.execute()
        assert not _is_full(pipeline)

    assert len(play(acts).sets["set"]) == CHUNK_ARGUMENTS // 3 + 1


def _is_full(pipeline: FencedPipeline) -> bool:
    return pipeline.is_full
