"""The index port in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.contracts.index import Entries, Index, IndexContract, Place
from tests.support.memory_index import Kept, MemoryIndex


class InMemory:
    """An index that is a few dictionaries."""

    def __init__(self) -> None:
        self._kept = Kept()
        self._partitions = 1

    def worker(self, partitions: int = 1) -> Index:
        self._partitions = partitions
        return MemoryIndex(self._kept, partitions)

    async def entries(self, org_id: str) -> Entries:
        kept, revisions = self._kept.redis, self._kept.revisions.get(org_id, {})
        visible, editable = [
            {(user, about): set(ids) for (org, user, about), ids in access.items() if org == org_id}
            for access in (kept.visible, kept.editable)
        ]
        records = {
            (one.object, one.record_id): (one.version or 0, one.owner_id, one.territories, one.model_revision)
            for one in kept.records.values()
            if one.org_id == org_id
        }
        revision = min(revisions.values()) if len(revisions) == self._partitions else None
        return Entries(visible, editable, set(kept.admins.get(org_id, ())), records, revision)

    async def lose(self) -> None:
        self._kept.lose()


class TestInMemory(IndexContract):
    """The form that the tests of histories run on."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Place]:
        yield InMemory()
