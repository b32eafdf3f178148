"""The contract of the access index on servers: a Redis, the embedded Redis, a Redis Cluster."""

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
from tests.contracts.index import Index, IndexContract
from tests.contracts.index_examples import STAGE, Entries, IndexSink
from tests.integration.examples import redis_client
from tests.support.servers import RedisCluster


class IndexOnRedis:
    """An index in a Redis, of one node or many."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    def worker(self, partitions: int = 1) -> IndexSink:
        return RedisIndexWriter(self._redis, STAGE, partitions)

    async def entries(self, org_id: str) -> Entries:
        reader, found = RedisIndexReader(self._redis), Entries()
        async for page in reader.entries({org_id}):
            for entry, fields in zip(page, await reader.read(page), strict=True):
                if isinstance(fields, Mapping):
                    found.records[entry.object, entry.record_id] = (
                        int(fields["version"]), fields["owner_id"] or None,
                        tuple(decode(fields["territories"].encode())), int(fields["model_revision"]),
                    )  # fmt: skip
                else:
                    sets = found.visible if entry.kind == "visible" else found.editable
                    sets.setdefault((entry.user_id, entry.object), set()).add(entry.record_id)
        found.admins = set(await reader.admins(org_id))
        revision = await self._redis.hget(index_key(org_id), "model_revision")
        found.revision = None if revision is None else int(revision)
        return found

    async def lose(self) -> None:
        for node in await Nodes(self._redis).all():
            await node.execute("FLUSHDB")


class OnServers(IndexContract):
    """The contract on servers that tests share."""

    at: ClassVar[Mapping[str, str]]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Index]:
        async with redis_client(self.at) as client:
            index = IndexOnRedis(client)
            await index.lose()
            yield index


class TestOnRedis(OnServers):
    """One Redis."""

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
    """A cluster of three masters."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def cluster(cls, redis_cluster: RedisCluster) -> None:
        cls.at = redis_cluster.settings
