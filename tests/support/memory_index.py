"""The access index in memory: the port over the dictionaries of the house in memory, with fences as Redis has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from access_indexer.core.changes import IndexChange
from access_indexer.core.stage import AccessFold
from territory.stage import Models
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import Fenced, SinkRolledBack
from tests.support.memory import Place
from tests.support.memory_redis import MemoryRedis


@dataclass
class Kept:
    """What outlives a worker."""

    redis: MemoryRedis = field(default_factory=lambda: MemoryRedis(partitions=1))
    revisions: dict[str, dict[int, int]] = field(default_factory=dict)
    """By organisation and partition, the revision that was noted."""
    fences: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By partition, the term and how often was written."""

    def lose(self) -> None:
        """Be as new."""
        self.redis = MemoryRedis(partitions=1)
        self.revisions.clear()
        self.fences.clear()


class MemoryFences:
    """The fences that one worker has taken."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._taken: dict[int, tuple[int, int]] = {}

    async def take(self, partition: int, term: int, written: int) -> tuple[int, bool]:
        """Begin a term, as `Fences.take` does."""
        found = self._kept.fences.get(partition)
        if found is not None and found[0] > term:
            return found[0], False
        count = 0 if found is None else found[1]
        self._kept.fences[partition] = self._taken[partition] = (term, count)
        return term, found is not None and count >= written

    def written(self, partition: int) -> int:
        """Return how often was written in this partition, in all terms."""
        return self._taken.get(partition, (0, 0))[1]

    def pass_through(self, partitions: Iterable[int]) -> None:
        """Count a write, unless it is refused. Raises: Fenced, Rewound."""
        numbers = list(partitions)
        for number in numbers:
            mine, found = self._taken[number], self._kept.fences.get(number)
            if found is not None and found[0] > mine[0]:
                raise Fenced(f"another worker has begun term {found[0]}")
            if found is None or found < mine:
                raise SinkRolledBack(f"found {found} where {mine} was written")
        for number in numbers:
            term, count = self._taken[number]
            self._kept.fences[number] = self._taken[number] = (term, count + 1)


class MemoryIndex:
    """What one worker writes to."""

    def __init__(self, kept: Kept, partitions: int) -> None:
        self._kept = kept
        self._partitions = partitions
        self.fences = MemoryFences(kept)

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Make changes in their order, then note the progress. Raises: Fenced, Rewound."""
        self.fences.pass_through(one.partition for one in progress)
        for change in changes:
            self._kept.redis.make(change)
        for one in progress:
            for org, revision in one.revisions.items():
                self._kept.revisions.setdefault(org, {})[one.partition] = revision

    async def reconcile(
        self, partition: int, fold: AccessFold, models: Models, unknown: frozenset[str], beat: Callable[[], None]
    ) -> None:
        """Take out what must not be there. Raises: Fenced, Rewound."""
        self.fences.pass_through([partition])
        beat()
        place: Place = ("indexing", partition)
        self._kept.redis.progress[place] = dict.fromkeys(models, 0)  # nothing is unknown beyond what is said to be
        self._kept.redis.reconcile(partition, fold, models, unknown)
