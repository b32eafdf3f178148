"""Continuous verification: compares a few entries of Redis per second with the folds of this worker.

Two walks never end. One goes over the records in memory, and looks for their hashes and memberships in Redis. The
other goes over Redis, and looks for entries that no record in memory gives. An entry that differs is compared once
more some seconds later: `territory verify --repair` and `rebuild` may be ahead of this worker. If it still differs,
it is counted.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress

import redis.exceptions
import structlog

from access_indexer.core.drift import DriftKind, IndexEntry, drift_kind, entries_of, expected_at
from access_indexer.core.stage import AccessFold
from access_indexer.redis.reader import RedisIndexReader
from territory.wire.keys import parse_record_hash_key, parse_set_key, partition_of
from territory_runtime import metrics
from territory_runtime.background_task import BackgroundTask
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.redis.nodes import Client, KeyWalk, Nodes

log = structlog.get_logger("territory")

STEP_SECONDS = 0.2
RECHECK_SECONDS = 10.0
"""How long after the first comparison an entry that differed is compared again."""
STEP_ENTRIES_MAX = 500
"""Entries compared in one step: it keeps the next batch waiting for some milliseconds."""
SUSPECTS_MAX = 2_000

Folds = Mapping[int, AccessFold]
"""The folds of this worker, by partition."""


class IndexComparer:
    """The positions of the two walks, and the entries that differed once."""

    def __init__(self, client: Client, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._walk = KeyWalk(Nodes(client))
        self._reader = RedisIndexReader(client)
        self._partitions = partitions
        self._clock = clock
        self._orgs: deque[tuple[int, str]] = deque()
        self._keys: list[str] = []
        self._expected: deque[IndexEntry] = deque()
        """Entries of records in memory that are still to be compared."""
        self._sets: deque[tuple[str, int]] = deque()
        """Keys of sets that are still to be read, with the cursor of each."""
        self._suspects: deque[tuple[float, IndexEntry]] = deque()

    async def next_entries(self, count: int) -> list[IndexEntry]:
        """Return about `count` entries from the walk over Redis. Raises: redis.exceptions.RedisError."""
        if self._sets:
            key, cursor = self._sets.popleft()
            cursor, entries = await self._reader.members(key, cursor, count)
            if cursor:
                self._sets.appendleft((key, cursor))
            return entries
        entries = []
        for key in await self._walk.page(count):
            with suppress(ValueError):  # the key of another application that begins like ours
                if key.startswith("record:{"):
                    entries.append(IndexEntry("record", *parse_record_hash_key(key)))
                elif key.startswith(("visible:{", "editable:{")):
                    parse_set_key(key)
                    self._sets.append((key, 0))
        return entries

    async def compare(self, folds: Folds, found: list[IndexEntry], count: int) -> Counter[DriftKind]:
        """Compare `count` records, the entries found, and again those that differed; return the drift by kind.

        Call it between two batches. Raises: redis.exceptions.RedisError.
        """
        self._expect_records(folds, count)
        now = self._clock()
        again: list[IndexEntry] = []
        while self._suspects and now - self._suspects[0][0] >= RECHECK_SECONDS and len(again) < STEP_ENTRIES_MAX:
            again.append(self._suspects.popleft()[1])
        expected = [self._expected.popleft() for _ in range(min(STEP_ENTRIES_MAX, len(self._expected)))]
        metrics.INDEX_COMPARED.inc(len(found) + len(expected))
        for entry, _ in await self._differing(folds, [*found, *expected]):
            if len(self._suspects) < SUSPECTS_MAX:
                self._suspects.append((now, entry))
        return self._report(await self._differing(folds, again))

    def _report(self, differing: list[tuple[IndexEntry, DriftKind]]) -> Counter[DriftKind]:
        counts = Counter(kind for _, kind in differing)
        for kind, count in counts.items():
            metrics.INDEX_DRIFT.labels(kind=kind).inc(count)
        if differing:
            entry, kind = differing[0]
            log.warning("index differs from the log", counts=counts, kind=kind, entry=tuple(entry))
        return counts

    def _expect_records(self, folds: Folds, count: int) -> None:
        """Add the entries of the next `count` records, but few more than one step compares."""
        for _ in range(count):
            if len(self._expected) >= STEP_ENTRIES_MAX:
                return
            if not self._keys and not self._next_keys(folds):
                return
            key = self._keys.pop()
            fold = folds.get(partition_of(key, self._partitions))
            access = None if fold is None else fold.indexed_access(key)
            if access is not None:
                self._expected.extend(entries_of(access))

    def _next_keys(self, folds: Folds) -> bool:
        """Take the keys of the next organisation of a partition, after the last one the first; False: no keys."""
        if not self._orgs:
            self._orgs.extend((number, org_id) for number in sorted(folds) for org_id in folds[number].orgs())
        while self._orgs and not self._keys:
            number, org_id = self._orgs.popleft()
            if number in folds:  # the partition may have gone to another worker
                self._keys = folds[number].keys(org_id)
        return bool(self._keys)

    async def _differing(self, folds: Folds, entries: list[IndexEntry]) -> list[tuple[IndexEntry, DriftKind]]:
        ours: list[tuple[AccessFold, IndexEntry]] = []
        for entry in entries:
            fold = folds.get(partition_of(entry.key, self._partitions))
            if fold is not None and fold.is_complete(entry.org_id):
                ours.append((fold, entry))
        values = await self._reader.read([entry for _, entry in ours])
        differing: list[tuple[IndexEntry, DriftKind]] = []
        for (fold, entry), value in zip(ours, values, strict=True):
            kind = drift_kind(expected_at(entry, fold.indexed_access(entry.key)), value)
            if kind is not None:
                differing.append((entry, kind))
        return differing


class DriftMonitor(BackgroundTask):
    """Runs the comparison, at a number of records per second."""

    def __init__(self, loop: TaskLoop, client: Client, partitions: int, per_second: float) -> None:
        super().__init__(per_second, STEP_SECONDS)
        self._stage = loop
        self._comparer = IndexComparer(client, partitions)

    async def look(self, count: int) -> None:
        """Continue both walks; entries are compared with the folds between two batches."""
        try:
            found = await self._comparer.next_entries(count)

            async def compare(folds: Folds) -> None:
                await self._comparer.compare(folds, found, count)

            await self._stage.between_batches(compare)
        except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException) as fault:
            # The stage itself waits for Redis; the walks come back to the entries that were skipped.
            log.warning("continuous verification skipped a step", fault=f"{type(fault).__name__}: {fault}")
