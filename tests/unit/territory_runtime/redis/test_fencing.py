"""How a worker begins to write a partition."""

from __future__ import annotations

import asyncio
from typing import cast

from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import SnapshotId
from territory_runtime.redis.fencing import Fences, SinkRolledBack, begin_epoch


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
