"""The index port on servers: a Redis, the embedded Redis, a Redis Cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from access_indexer.redis.reader import RedisIndexReader
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire.codec import decode
from territory.wire.keys import index_key
from territory_runtime.redis.nodes import Client, Nodes
from tests.contracts.index import STAGE, Entries, Index, IndexContract, Place
from tests.integration.examples import redis_client
from tests.support.servers import RedisCluster


class OnRedis:
    """An index in keys of Redis, of one or of many nodes."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    def worker(self, partitions: int = 1) -> Index:
        return RedisIndexWriter(self._redis, STAGE, partitions)

    async def entries(self, org_id: str) -> Entries:
        look, found = RedisIndexReader(self._redis), Entries()
        async for page in look.entries({org_id}):
            for place, fields in zip(page, await look.at(page), strict=True):
                if isinstance(fields, Mapping):
                    found.records[place.object, place.record_id] = (
                        int(fields["version"]), fields["owner_id"] or None,
                        tuple(decode(fields["territories"].encode())), int(fields["model_revision"]),
                    )  # fmt: skip
                else:
                    sets = found.visible if place.word == "visible" else found.editable
                    sets.setdefault((place.user_id, place.object), set()).add(place.record_id)
        found.admins = set(await look.admins(org_id))
        revision = await self._redis.hget(index_key(org_id), "model_revision")
        found.revision = None if revision is None else int(revision)
        return found

    async def lose(self) -> None:
        for node in await Nodes(self._redis).all():
            await node.do("FLUSHDB")


class OnServers(IndexContract):
    """The suite on servers that tests share."""

    at: ClassVar[Mapping[str, str]]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Place]:
        async with redis_client(self.at) as client:
            place = OnRedis(client)
            await place.lose()
            yield place


class TestOnRedis(OnServers):
    """Redis 7, or what there is."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def redis(cls, redis_url: str) -> None:
        cls.at = {"TERRITORY_REDIS_URL": redis_url}


@pytest.mark.embedded
class TestOnEmbeddedRedis(OnServers):
    """The Redis of the embedded broker."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def embedded(cls, embedded_redis_url: str) -> None:
        cls.at = {"TERRITORY_REDIS_URL": embedded_redis_url}


class TestOnRedisCluster(OnServers):
    """Three masters."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def cluster(cls, redis_cluster: RedisCluster) -> None:
        cls.at = redis_cluster.settings
