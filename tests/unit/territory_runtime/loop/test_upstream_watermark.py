"""Sweeps that wait for the upstream stage go on when it is far enough, and its output is processed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import NOTHING_ACTIVATED, SnapshotId
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import Committed, GroupOffsets, TopicPartition
from territory_runtime.loop.upstream_watermark import applied_position, release_sweeps
from tests.unit.territory_runtime.loop.test_partition_task import waiting


def release(tasks: dict[int, PartitionTask], position: int, ends: dict[int, int]) -> list[str]:
    """Look at an upstream stage at a position, with so much output; return what was asked."""
    asked: list[str] = []

    async def applied() -> int:
        asked.append("position")
        return position

    async def end_of(number: int) -> int:
        asked.append(f"end of {number}")
        return ends[number]

    asyncio.run(release_sweeps(tasks, "topic", applied, end_of))
    return asked


def process_up_to(task: PartitionTask, offset: int) -> None:
    """Have a task process its input up to an offset."""
    task.queue.add("topic", (), offset)


def test_an_upstream_stage_that_is_behind_is_waited_for() -> None:
    """It is asked again, and for the end of its output only once it is far enough (V8)."""
    tasks = {0: waiting()}
    assert release(tasks, 6, {0: 0}) == ["position"]
    assert not tasks[0].is_sweeping
    assert release(tasks, 7, {0: 0}) == ["position", "end of 0"]
    assert tasks[0].is_sweeping


def test_each_partition_waits_for_its_own_end() -> None:
    """One that has processed everything goes on at once; the other when it has (V8)."""
    tasks = {0: waiting(), 1: waiting()}
    process_up_to(tasks[0], 5)
    assert release(tasks, 7, {0: 5, 1: 3}) == ["position", "end of 0", "end of 1"]
    assert [task.is_sweeping for task in tasks.values()] == [True, False]
    process_up_to(tasks[1], 3)
    assert release(tasks, 7, {}) == []
    assert tasks[1].is_sweeping


def test_nobody_is_asked_for_nothing() -> None:
    """Where no sweep waits, no broker is asked."""
    assert release({0: PartitionTask(waiting().fold, {"topic": 0})}, 7, {}) == []


class Offsets:
    """What a group has committed, by partition."""

    def __init__(self, *metadata: CommitMetadata) -> None:
        self._committed = {
            TopicPartition("in", number): Committed(3, str(each)) for number, each in enumerate(metadata)
        }

    async def committed(self, group: str) -> Mapping[TopicPartition, Committed]:
        return self._committed


def applied_by(*metadata: CommitMetadata, partitions: int) -> int:
    offsets: Any = Offsets(*metadata)
    return asyncio.run(applied_position(cast(GroupOffsets, offsets), "upstream", partitions))


def test_the_position_is_the_least_of_all_partitions() -> None:
    """What is applied counts, not the target of a sweep (V8)."""
    nine, five = SnapshotId(9), SnapshotId(5)
    assert applied_by(CommitMetadata(nine, nine), CommitMetadata(five, nine, 1, 2), partitions=2) == 5


def test_a_partition_without_a_commit_has_applied_nothing() -> None:
    """Before every partition has committed once, nobody knows what it is yet to emit (V8)."""
    nine = SnapshotId(9)
    assert applied_by(CommitMetadata(nine, nine), partitions=2) == NOTHING_ACTIVATED
    assert applied_by(partitions=1) == NOTHING_ACTIVATED
