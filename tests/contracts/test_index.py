"""The contract of the access index, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.contracts.index import Index, IndexContract
from tests.contracts.index_examples import Entries, IndexSink
from tests.support.memory_index import MemoryIndex, StoredIndex


class IndexInMemory:
    """An index that is a few dictionaries."""

    def __init__(self) -> None:
        self._stored = StoredIndex()
        self._partitions = 1

    def worker(self, partitions: int = 1) -> IndexSink:
        self._partitions = partitions
        return MemoryIndex(self._stored)

    async def entries(self, org_id: str) -> Entries:
        stored, revisions = self._stored.redis, self._stored.revisions.get(org_id, {})
        visible, editable = [
            {(user, object_type): set(ids) for (org, user, object_type), ids in access.items() if org == org_id}
            for access in (stored.visible, stored.editable)
        ]
        records = {
            (one.object, one.record_id): (one.version or 0, one.owner_id, one.territories, one.model_revision)
            for one in stored.records.values()
            if one.org_id == org_id
        }
        revision = min(revisions.values()) if len(revisions) == self._partitions else None
        return Entries(visible, editable, set(stored.admins.get(org_id, ())), records, revision)

    async def lose(self) -> None:
        self._stored.lose()


class TestInMemory(IndexContract):
    """The sink that the offline tests use."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Index]:
        yield IndexInMemory()
