"""Until when a worker may send, and how it begins to write a partition."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import SnapshotId
from territory_runtime.redis.fencing import Fences, Lease, LeaseEnded, SinkRolledBack, begin_epoch


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_lease_runs_from_when_the_group_was_asked() -> None:
    """The group counts from when the question came, which is not before it was sent (A9)."""
    clock = Clock()
    lease = Lease(10, clock)
    with pytest.raises(LeaseEnded):
        lease.require()
    asked_at = lease.now()
    clock.seconds += 4
    lease.renew(asked_at)
    clock.seconds += 5.9
    lease.require()
    clock.seconds += 0.1
    with pytest.raises(LeaseEnded, match="silent for too long"):
        lease.require()


def half_gone(lease: Lease) -> bool:
    return lease.is_half_gone


def test_a_lease_is_renewed_in_time() -> None:
    """From half of it on the group is to be asked before anything is sent; a late answer shortens nothing."""
    clock = Clock()
    lease = Lease(10, clock)
    assert half_gone(lease)
    lease.renew(lease.now())
    early = lease.now()
    clock.seconds += 5
    assert not half_gone(lease)
    clock.seconds += 0.1
    assert half_gone(lease)
    lease.renew(lease.now())
    lease.renew(early)
    clock.seconds += 4.9
    assert not half_gone(lease)


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


SWEPT = CommitMetadata(SnapshotId(12), SnapshotId(15), 3, 8, epoch=4, write_sequence=7)


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
    assert begun(SWEPT, redis) == (SWEPT._replace(epoch=5, write_sequence=9), [SWEPT._replace(epoch=5)])
    assert redis.taken == [5]
    assert begun(SWEPT, None) == (SWEPT._replace(epoch=5), [SWEPT._replace(epoch=5)])


def test_a_term_is_later_than_any_that_redis_has_heard_of() -> None:
    """Offsets of a group can be lost, and Redis' terms not."""
    redis = Redis(term=40, count=0)
    assert begun(CommitMetadata(), redis) == (
        CommitMetadata(epoch=41),
        [CommitMetadata(epoch=1), CommitMetadata(epoch=41)],
    )
    assert redis.taken == [1, 41]


def test_what_redis_lacks_is_written_down_before_anything_hides_it() -> None:
    """However often a restore is cut afterwards, nothing is taken for known (A9, V8)."""
    redis = Redis(term=4, count=6)
    assert begun(SWEPT, redis) == (None, [SWEPT._replace(epoch=5), CommitMetadata(epoch=5)])
    assert begun(CommitMetadata(epoch=5), redis) == (
        CommitMetadata(epoch=6, write_sequence=6),
        [CommitMetadata(epoch=6)],
    )
