"""The access index in memory: a sink over the dictionaries of `MemoryRedis`, with the fences that Redis has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from access_indexer.core.changes import IndexChange
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fenced, SinkRolledBack
from tests.support.memory_redis import MemoryRedis


@dataclass
class StoredIndex:
    """What outlives a worker."""

    redis: MemoryRedis = field(default_factory=lambda: MemoryRedis(partitions=1))
    revisions: dict[str, dict[int, int]] = field(default_factory=dict)
    """By organisation and partition, the model revision that was written."""
    fences: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By partition, the epoch and the write sequence."""

    def lose(self) -> None:
        """Become empty."""
        self.redis = MemoryRedis(partitions=1)
        self.revisions.clear()
        self.fences.clear()


class MemoryFences:
    """The epochs that one worker has begun."""

    def __init__(self, stored: StoredIndex) -> None:
        self._stored = stored
        self._by_partition: dict[int, tuple[int, int]] = {}

    async def take(self, partition: int, epoch: int, write_sequence: int) -> tuple[int, bool]:
        """Begin an epoch, as `Fences.take` does."""
        found = self._stored.fences.get(partition)
        if found is not None and found[0] > epoch:
            return found[0], False
        sequence = 0 if found is None else found[1]
        self._stored.fences[partition] = self._by_partition[partition] = (epoch, sequence)
        return epoch, found is not None and sequence >= write_sequence

    def write_sequence(self, partition: int) -> int:
        """Return how many writes the partition has had, in all epochs."""
        return self._by_partition.get(partition, (0, 0))[1]

    def count_write(self, partitions: Iterable[int]) -> None:
        """Count a write, unless a fence refuses it. Raises: Fenced, SinkRolledBack."""
        numbers = list(partitions)
        for number in numbers:
            ours, found = self._by_partition[number], self._stored.fences.get(number)
            if found is not None and found[0] > ours[0]:
                raise Fenced(f"another worker has begun epoch {found[0]}")
            if found is None or found < ours:
                raise SinkRolledBack(f"found {found}, expected {ours}")
        for number in numbers:
            epoch, sequence = self._by_partition[number]
            self._stored.fences[number] = self._by_partition[number] = (epoch, sequence + 1)


class MemoryIndex:
    """The sink of one worker."""

    def __init__(self, stored: StoredIndex) -> None:
        self._stored = stored
        self.fences = MemoryFences(stored)

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Apply changes in their order, then write the progress. Raises: Fenced, SinkRolledBack."""
        self.fences.count_write(one.partition for one in progress)
        for change in changes:
            self._stored.redis.make(change)
        for one in progress:
            for org, revision in one.revisions.items():
                self._stored.revisions.setdefault(org, {})[one.partition] = revision

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None]) -> None:
        """Remove the orphans of all requests. Raises: Fenced, SinkRolledBack."""
        for request in requests:
            if request.orgs:
                self.fences.count_write([request.partition])
                beat()
                self._stored.redis.reconcile(request.partition, request.fold, request.models, request.orgs)
