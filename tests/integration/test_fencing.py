"""Fencing on a real Redis: one worker writes a partition at a time, and lost writes are detected."""

from __future__ import annotations

import pytest
import redis.asyncio

from territory.wire.keys import HELD_KEY, fence_key
from territory_runtime.redis.fencing import Fenced, Fences, SinkPaused, SinkRolledBack
from territory_runtime.redis.pipe import FencedPipeline
from tests.integration.examples import play


class Worker:
    """A worker that adds members to the set of a test."""

    def __init__(self, client: redis.asyncio.Redis, stage: str) -> None:
        self._client = client
        self._key = f"{stage}:set"
        self.fences = Fences(client, stage)

    async def write(self, member: str, *partitions: int) -> None:
        pipe = FencedPipeline(self.fences, partitions or [0])
        pipe.sadd(self._key, member)
        await pipe.execute()

    async def written(self) -> set[str]:
        return {str(member) for member in await self._client.smembers(self._key)}


def test_older_epoch_is_refused(redis_url: str, unique: str) -> None:
    """Once a later epoch has begun, a script of an older one executes nothing, not even in part (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        before, after = Worker(client, unique), Worker(client, unique)
        assert await before.fences.take(0, 1, 0) == (1, False)
        assert await before.fences.take(1, 1, 0) == (1, False)
        await before.write("a", 0, 1)
        assert before.fences.write_sequence(0) == before.fences.write_sequence(1) == 1
        assert await after.fences.take(0, 2, 1) == (2, True)
        with pytest.raises(Fenced, match="epoch 2"):
            await before.write("b", 1, 0)
        await before.write("c", 1)  # partition 1 has no later epoch
        await after.write("d")
        assert await after.written() == {"a", "c", "d"}
        assert after.fences.write_sequence(0) == 2

    play(redis_url, acts)


def test_older_epoch_does_not_begin(redis_url: str, unique: str) -> None:
    """A worker that was suspended before it began its epoch finds the later one, and begins none."""

    async def acts(client: redis.asyncio.Redis) -> None:
        late, present = Worker(client, unique), Worker(client, unique)
        assert await present.fences.take(0, 7, 0) == (7, False)
        assert await late.fences.take(0, 6, 0) == (7, False)
        await present.write("a")
        assert late.fences.write_sequence(0) == 0

    play(redis_url, acts)


@pytest.mark.parametrize("found", [None, "1.1", "nonsense"], ids=["emptied", "older copy", "other text"])
def test_lost_writes_are_detected(redis_url: str, unique: str, found: str | None) -> None:
    """The next script is refused, and so are later epochs until one asks for fewer writes (A9, V8)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        await worker.fences.take(0, 1, 0)
        await worker.write("a")
        await worker.write("b")
        if found is None:
            await client.delete(fence_key(unique, 0))
        else:
            await client.set(fence_key(unique, 0), found)
        with pytest.raises(SinkRolledBack):
            await worker.write("c")
        assert await worker.written() == {"a", "b"}
        left = 1 if found == "1.1" else 0
        for epoch in (2, 3):  # if the first successor ends at once, the second must detect the loss, too
            successor = Worker(client, unique)
            assert await successor.fences.take(0, epoch, 2) == (epoch, False)
            assert successor.fences.write_sequence(0) == left
        # Once the commit metadata marks everything as unknown, no writes are asked for:
        assert await successor.fences.take(0, 4, 0) == (4, True)
        await successor.write("d")
        assert await Worker(client, unique).fences.take(0, 5, left + 1) == (5, True)

    play(redis_url, acts)


def test_a_write_without_an_answer_is_no_loss(redis_url: str, unique: str) -> None:
    """A script that was executed or not, and had no answer, is sent again and executed (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        await worker.fences.take(0, 1, 0)
        worker.fences.begin_write([0])  # sent and not executed
        await worker.write("a")
        epoch, _, sequence = worker.fences.begin_write([0])  # executed, and the answer was lost
        await client.set(fence_key(unique, 0), f"{epoch}.{sequence}")
        await worker.write("b")
        assert await worker.written() == {"a", "b"}
        assert worker.fences.write_sequence(0) == 4

    play(redis_url, acts)


def test_a_script_that_arrives_late_is_refused(redis_url: str, unique: str) -> None:
    """A script that was given up with its connection and arrives after its repeat executes nothing (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker, late = Worker(client, unique), Worker(client, unique)
        for each in (worker, late):  # one worker, on two connections
            await each.fences.take(0, 1, 0)
        await worker.write("a")
        await worker.write("b")
        with pytest.raises(SinkRolledBack):
            await late.write("c")
        assert await worker.written() == {"a", "b"}
        assert await client.get(fence_key(unique, 0)) == "1.2"

    play(redis_url, acts)


def test_a_later_epoch_outweighs_a_late_script(redis_url: str, unique: str) -> None:
    """A script that is late and fenced raises Fenced; one late partition keeps the whole script from executing."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker, late = Worker(client, unique), Worker(client, unique)
        for each in (worker, late):
            await each.fences.take(0, 1, 0)
            await each.fences.take(1, 1, 0)
        await worker.write("a", 0)
        with pytest.raises(SinkRolledBack, match="same epoch"):
            await late.write("b", 1, 0)
        assert await client.get(fence_key(unique, 1)) == "1.0"
        assert await Worker(client, unique).fences.take(1, 2, 0) == (2, True)
        for order in ((0, 1), (1, 0)):
            with pytest.raises(Fenced, match="epoch 2"):
                await late.write("b", *order)
        assert await worker.written() == {"a"}

    play(redis_url, acts)


def test_all_writers_pause_during_a_swap(redis_url: str, unique: str) -> None:
    """A write is refused while the pause key exists, and executed afterwards."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        await worker.fences.take(0, 1, 0)
        await client.set(HELD_KEY, "1", px=60_000)
        try:
            with pytest.raises(SinkPaused):
                await worker.write("a")
            assert await worker.written() == set()
        finally:
            await client.delete(HELD_KEY)
        await worker.write("a")
        assert await worker.written() == {"a"}

    play(redis_url, acts)


def test_write_sequences_beyond_small_integers(redis_url: str, unique: str) -> None:
    """A write sequence keeps all its digits, above what Lua prints of a number by default."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        count = 10**15
        await client.set(fence_key(unique, 0), f"1.{count}")
        assert await worker.fences.take(0, 1, count) == (1, True)
        await worker.write("a")
        assert await client.get(fence_key(unique, 0)) == f"1.{count + 1}"
        assert await Worker(client, unique).fences.take(0, 2, count + 1) == (2, True)

    play(redis_url, acts)
