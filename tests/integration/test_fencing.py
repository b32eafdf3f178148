"""Only one worker writes a partition in a real Redis, and a Redis that has lost something is seen."""

from __future__ import annotations

import pytest
import redis.asyncio

from territory.wire.keys import HELD_KEY, fence_key
from territory_runtime.redis.fencing import Fenced, Fences, SinkPaused, SinkRolledBack
from territory_runtime.redis.pipe import FencedPipeline
from tests.integration.examples import play


class Worker:
    """One that writes to its own key of the test."""

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


def test_the_worker_before_can_write_no_more(redis_url: str, unique: str) -> None:
    """From the moment that another term has begun nothing of the old one is done, not even in part (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        before, after = Worker(client, unique), Worker(client, unique)
        assert await before.fences.take(0, 1, 0) == (1, False)
        assert await before.fences.take(1, 1, 0) == (1, False)
        await before.write("a", 0, 1)
        assert before.fences.write_sequence(0) == before.fences.write_sequence(1) == 1
        assert await after.fences.take(0, 2, 1) == (2, True)
        with pytest.raises(Fenced, match="term 2"):
            await before.write("b", 1, 0)
        await before.write("c", 1)  # nobody has begun a term of that
        await after.write("d")
        assert await after.written() == {"a", "c", "d"}
        assert after.fences.write_sequence(0) == 2

    play(redis_url, acts)


def test_a_late_term_does_not_begin(redis_url: str, unique: str) -> None:
    """Whoever stood still between the group's word and Redis' finds a later term there, and takes nothing."""

    async def acts(client: redis.asyncio.Redis) -> None:
        late, present = Worker(client, unique), Worker(client, unique)
        assert await present.fences.take(0, 7, 0) == (7, False)
        assert await late.fences.take(0, 6, 0) == (7, False)
        await present.write("a")
        assert late.fences.write_sequence(0) == 0

    play(redis_url, acts)


@pytest.mark.parametrize("found", [None, "1.1", "nonsense"], ids=["emptied", "an older copy", "something else"])
def test_a_redis_that_lost_something_is_seen(redis_url: str, unique: str, found: str | None) -> None:
    """At the next write, which is not done; and by whoever takes the partition over."""

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
        for term in (2, 3):  # the second is who takes over after the first ended at once: it must see it, too
            successor = Worker(client, unique)
            assert await successor.fences.take(0, term, 2) == (term, False)
            assert successor.fences.write_sequence(0) == left
        # Once it is noted that nothing is known, so that nothing is wanted of Redis:
        assert await successor.fences.take(0, 4, 0) == (4, True)
        await successor.write("d")
        assert await Worker(client, unique).fences.take(0, 5, left + 1) == (5, True)

    play(redis_url, acts)


def test_a_write_without_an_answer_is_no_loss(redis_url: str, unique: str) -> None:
    """It was done or not, and may be repeated in both cases (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        await worker.fences.take(0, 1, 0)
        worker.fences.begin_write([0])  # sent, and not done
        await worker.write("a")
        term, _, count = worker.fences.begin_write([0])  # sent, and done, but the answer is lost
        await client.set(fence_key(unique, 0), f"{term}.{count}")
        await worker.write("b")
        assert await worker.written() == {"a", "b"}
        assert worker.fences.write_sequence(0) == 4

    play(redis_url, acts)


def test_a_script_that_comes_late_is_not_done(redis_url: str, unique: str) -> None:
    """One that was given up with its connection, and comes after it was sent again: nothing goes back (A9)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker, late = Worker(client, unique), Worker(client, unique)
        for each in (worker, late):  # the same worker, on another connection
            await each.fences.take(0, 1, 0)
        await worker.write("a")
        await worker.write("b")
        with pytest.raises(SinkRolledBack):
            await late.write("c")
        assert await worker.written() == {"a", "b"}
        assert await client.get(fence_key(unique, 0)) == "1.2"

    play(redis_url, acts)


def test_what_is_worse_is_said_of_several_partitions(redis_url: str, unique: str) -> None:
    """Of a late script that another term refuses, too, that is said; and a late partition keeps all from being done."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker, late = Worker(client, unique), Worker(client, unique)
        for each in (worker, late):
            await each.fences.take(0, 1, 0)
            await each.fences.take(1, 1, 0)
        await worker.write("a", 0)
        with pytest.raises(SinkRolledBack, match="same term"):
            await late.write("b", 1, 0)
        assert await client.get(fence_key(unique, 1)) == "1.0"
        assert await Worker(client, unique).fences.take(1, 2, 0) == (2, True)
        for order in ((0, 1), (1, 0)):
            with pytest.raises(Fenced, match="term 2"):
                await late.write("b", *order)
        assert await worker.written() == {"a"}

    play(redis_url, acts)


def test_nobody_writes_while_the_index_is_exchanged(redis_url: str, unique: str) -> None:
    """The same write is done afterwards."""

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


def test_fences_are_kept_however_often_is_written(redis_url: str, unique: str) -> None:
    """Also beyond what a script can hold as a small number."""

    async def acts(client: redis.asyncio.Redis) -> None:
        worker = Worker(client, unique)
        count = 10**15
        await client.set(fence_key(unique, 0), f"1.{count}")
        assert await worker.fences.take(0, 1, count) == (1, True)
        await worker.write("a")
        assert await client.get(fence_key(unique, 0)) == f"1.{count + 1}"
        assert await Worker(client, unique).fences.take(0, 2, count + 1) == (2, True)

    play(redis_url, acts)
