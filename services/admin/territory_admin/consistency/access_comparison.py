"""Compares the access indexer's keys in Redis: the sets of visible records, and the states of records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from access_indexer.core.drift import EntryValue, IndexEntry, drift_kind, entries_of, expected_at, repair_of
from access_indexer.core.stage import AccessFold
from access_indexer.core.viewers import AccessAttributes, paths_of
from access_indexer.redis.reader import RedisIndexReader
from access_indexer.redis.writer import RedisIndexWriter
from territory.model.compiled import Model
from territory.wire.events import read_assignment
from territory_admin.consistency.comparison import INDEXER, Drift, StoreComparison, figures_text
from territory_runtime.redis.nodes import Client


class AccessComparison(StoreComparison[IndexEntry]):
    """Compares `visible:`, `editable:` and `record:` keys. An entry is a record's hash, or a member of a set."""

    stage = INDEXER

    def __init__(self, client: Client, model: Model) -> None:
        self._model = model
        self._reader = RedisIndexReader(client)
        self._writer = RedisIndexWriter(client, INDEXER.name, 0)

    def make_fold(self, partition: int, partitions: int) -> AccessFold:
        """Return the access indexer's fold, empty."""
        return AccessFold(partition, partitions)

    def read_event(self, value: bytes) -> Any:
        """Decode an assignment. Raises: BadMessage."""
        return read_assignment(value)

    def subject(self, entry: IndexEntry) -> str:
        """Return the record's key."""
        return entry.key

    def implied_entries(self, fold: AccessFold) -> Iterator[list[IndexEntry]]:
        """Yield the hash and the set members of each record."""
        for key in fold.keys(self._model.org_id):
            access = fold.indexed_access(key)
            if access is not None:
                yield list(entries_of(access))

    def stored_entries(self) -> AsyncIterator[list[IndexEntry]]:
        """Yield all members of sets, and all hashes."""
        return self._reader.entries({self._model.org_id})

    async def read_entries(self, entries: Sequence[IndexEntry]) -> list[EntryValue]:
        """Return the hashes, and whether the sets have the members."""
        return await self._reader.read(entries)

    def expected(self, fold: AccessFold, entry: IndexEntry) -> EntryValue:
        """Return the hash or membership that the fold implies."""
        return expected_at(entry, fold.indexed_access(entry.key))

    def drift(self, fold: AccessFold, entry: IndexEntry, expected: EntryValue, stored: EntryValue) -> Drift:
        """Name the record, and for a set member the paths by which the user sees it (V9)."""
        kind = drift_kind(expected, stored)
        record = f"{entry.object}/{entry.record_id}"
        if entry.kind == "record":
            return Drift(
                str(kind), f"record {record}", f"expected {figures_text(expected)}, found {figures_text(stored)}"
            )
        where = f"{entry.kind} {entry.user_id} {record}"
        access = fold.indexed_access(entry.key)
        if access is None:
            return Drift(str(kind), where, "the set has it, but the record was removed")
        found = access.record
        attributes = AccessAttributes(found.object, found.owner_id, found.territories, access.shared)
        paths = paths_of(self._model, entry.user_id, attributes)
        by = "; ".join(map(str, paths)) if paths else "none"
        has = "the set lacks it" if expected else "the set has it"
        return Drift(str(kind), where, f"{has}; paths by which the user sees it: {by}")

    async def repair(self, entries: Sequence[tuple[AccessFold, IndexEntry]]) -> None:
        """Write the hashes and members that the folds imply."""
        await self._writer.apply([repair_of(entry, fold.indexed_access(entry.key)) for fold, entry in entries], [])
