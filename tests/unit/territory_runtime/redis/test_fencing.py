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


class RedisFence:
    """The fences of a sink with one epoch and one write sequence."""

    def __init__(self, epoch: int, sequence: int) -> None:
        self.epoch, self.sequence = epoch, sequence
        self.taken: list[int] = []

    async def take(self, partition: int, epoch: int, write_sequence: int) -> tuple[int, bool]:
        """Begin an epoch unless there is a later one, as `Fences.take` does."""
        self.taken.append(epoch)
        if self.epoch > epoch:
            return self.epoch, False
        self.epoch = epoch
        return epoch, self.sequence >= write_sequence

    def write_sequence(self, partition: int) -> int:
        """Return how many writes there were."""
        return self.sequence


SWEEPING = CommitMetadata(SnapshotId(12), SnapshotId(15), 3, 8, epoch=4, write_sequence=7)


def begun(metadata: CommitMetadata, fence: RedisFence | None) -> tuple[CommitMetadata | None, list[CommitMetadata]]:
    """Return the metadata that an epoch begins with, None where Redis lacks writes, and what was committed."""
    committed: list[CommitMetadata] = []

    async def commit(each: CommitMetadata) -> None:
        committed.append(each)

    try:
        return asyncio.run(begin_epoch(cast(Fences, fence), 0, metadata, commit)), committed
    except SinkRolledBack:
        return None, committed


def test_an_epoch_begins_with_a_commit() -> None:
    """Only a present member of the group can commit; the write sequence is the one of Redis (A9)."""
    fence = RedisFence(epoch=4, sequence=9)
    assert begun(SWEEPING, fence) == (SWEEPING._replace(epoch=5, write_sequence=9), [SWEEPING._replace(epoch=5)])
    assert fence.taken == [5]
    assert begun(SWEEPING, None) == (SWEEPING._replace(epoch=5), [SWEEPING._replace(epoch=5)])


def test_an_epoch_is_later_than_any_in_redis() -> None:
    """The group can lose its offsets while Redis keeps its epochs."""
    fence = RedisFence(epoch=40, sequence=0)
    assert begun(CommitMetadata(), fence) == (
        CommitMetadata(epoch=41),
        [CommitMetadata(epoch=1), CommitMetadata(epoch=41)],
    )
    assert fence.taken == [1, 41]


def test_lost_writes_are_committed_as_unknown_first() -> None:
    """However often the restore is cut afterwards, no organisation is taken for known (A9, V8)."""
    fence = RedisFence(epoch=4, sequence=6)
    assert begun(SWEEPING, fence) == (None, [SWEEPING._replace(epoch=5), CommitMetadata(epoch=5)])
    assert begun(CommitMetadata(epoch=5), fence) == (
        CommitMetadata(epoch=6, write_sequence=6),
        [CommitMetadata(epoch=6)],
    )
