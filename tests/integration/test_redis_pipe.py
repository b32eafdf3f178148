"""Fenced pipelines on a real Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions

from territory_runtime.redis.fencing import Fences
from territory_runtime.redis.pipe import CHUNK_ARGUMENTS, FencedPipeline
from tests.integration.examples import redis_client
from tests.support.servers import find_redis, serving


def pipe_on(client: redis.asyncio.Redis) -> FencedPipeline:
    """Return a pipeline for no partition: no fence can refuse it."""
    return FencedPipeline(Fences(client, "none"), [])


def full(pipe: FencedPipeline) -> bool:
    return pipe.is_full


def test_all_commands_are_executed_in_order(redis_url: str, unique: str) -> None:
    """Commands of any number, text and integer are executed in order; an empty pipeline sends nothing."""

    async def acts() -> None:
        async with redis_client(redis_url) as client:
            pipe = pipe_on(client)
            await pipe.execute()
            for number in range(CHUNK_ARGUMENTS // 3 + 1):
                assert not full(pipe)
                pipe.sadd(f"{unique}:set", f"é {number}")
            assert full(pipe)
            pipe.srem(f"{unique}:set", "é 1", "é 2")
            pipe.hset(f"{unique}:hash", "version", 2**63 - 1, "owner_id", "")
            pipe.hset(f"{unique}:hash", "gone", "x")
            pipe.hdel(f"{unique}:hash", "gone")
            pipe.hset(f"{unique}:other", "a", "b")
            pipe.delete(f"{unique}:other")
            await pipe.execute()
            assert not full(pipe)
            assert await client.scard(f"{unique}:set") == CHUNK_ARGUMENTS // 3 - 1
            assert await client.hgetall(f"{unique}:hash") == {"version": str(2**63 - 1), "owner_id": ""}
            assert not await client.exists(f"{unique}:other")

    asyncio.run(acts())


def test_refused_command_is_an_error(redis_url: str, unique: str) -> None:
    """The commands before a refused one are executed, and the connection can be used again."""

    async def acts() -> None:
        async with redis_client(redis_url) as client:
            await client.set(unique, "text")
            pipe = pipe_on(client)
            pipe.hset(f"{unique}:hash", "a", "b")
            pipe.sadd(unique, "member")
            with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
                await pipe.execute()
            pipe.hset(f"{unique}:hash", "c", "d")
            await pipe.execute()
            assert await client.hgetall(f"{unique}:hash") == {"a": "b", "c": "d"}

    asyncio.run(acts())


def test_redis_that_is_unavailable(tmp_path: Path) -> None:
    """The error can be retried, and the same client works again when Redis is back."""

    async def acts() -> None:
        with serving("redis", find_redis(), tmp_path) as server:
            async with redis_client(server.url) as client:
                pipe = pipe_on(client)
                pipe.hset("hash", "a", "b")
                await pipe.execute()
                server.kill()
                pipe.hset("hash", "a", "c")
                with pytest.raises(redis.exceptions.ConnectionError):
                    await pipe.execute()
                server.start()
                pipe.hset("hash", "a", "d")
                await pipe.execute()
                assert await client.hget("hash", "a") == "d"

    asyncio.run(acts())
