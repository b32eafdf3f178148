"""How a worker begins to write a partition."""

from __future__ import annotations

import asyncio
from typing import cast

from territory_runtime.loop.model_snapshot import CommitMetadata, SnapshotId
from territory_runtime.redis.fencing import Fences, SinkRolledBack, begin_epoch


class Redis:
    """A store's fences that have a term, and all that was written or not."""

    def __init__(self, term: int, count: int) -> None:
        self.term, self.count = term, count
        self.taken: list[int] = []

    async def take(self, partition: int, term: int, written: int) -> tuple[int, bool]:
        self.taken.append(term)
        if self.term > term:
            return self.term, False
        self.term = term
        return term, self.count >= written

    def written(self, partition: int) -> int:
        return self.count


SWEPT = CommitMetadata(SnapshotId(12), SnapshotId(15), 3, 8, term=4, written=7)


def begun(note: CommitMetadata, redis: Redis | None) -> tuple[CommitMetadata | None, list[CommitMetadata]]:
    """Return the note that a term begins with, none where Redis lacks something, and what was committed."""
    committed: list[CommitMetadata] = []

    async def commit(said: CommitMetadata) -> None:
        committed.append(said)

    try:
        return asyncio.run(begin_epoch(cast(Fences, redis), 0, note, commit)), committed
    except SinkRolledBack:
        return None, committed


def test_a_term_begins_with_a_commit() -> None:
    """Which only the present member can make; the count of writes is Redis' own (A9)."""
    redis = Redis(term=4, count=9)
    assert begun(SWEPT, redis) == (SWEPT._replace(term=5, written=9), [SWEPT._replace(term=5)])
    assert redis.taken == [5]
    assert begun(SWEPT, None) == (SWEPT._replace(term=5), [SWEPT._replace(term=5)])


def test_a_term_is_later_than_any_that_redis_has_heard_of() -> None:
    """Offsets of a group can be lost, and Redis' terms not."""
    redis = Redis(term=40, count=0)
    assert begun(CommitMetadata(), redis) == (
        CommitMetadata(term=41),
        [CommitMetadata(term=1), CommitMetadata(term=41)],
    )
    assert redis.taken == [1, 41]


def test_what_redis_lacks_is_written_down_before_anything_hides_it() -> None:
    """However often a restore is cut afterwards, nothing is taken for known (A9, V8)."""
    redis = Redis(term=4, count=6)
    assert begun(SWEPT, redis) == (None, [SWEPT._replace(term=5), CommitMetadata(term=5)])
    assert begun(CommitMetadata(term=5), redis) == (CommitMetadata(term=6, written=6), [CommitMetadata(term=6)])
