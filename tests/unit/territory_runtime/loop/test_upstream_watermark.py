"""Sweeps that wait for the stage before go on when it is so far, and what it said is taken."""

from __future__ import annotations

import asyncio

from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.upstream_watermark import follow_decisions
from tests.unit.territory_runtime.loop.test_partition_task import waiting


def follow(held: dict[int, PartitionTask], position: int, ends: dict[int, int]) -> list[str]:
    """Let waiting sweeps hear of a position, and of how much there is; return what was asked."""
    asked: list[str] = []

    async def decided() -> int:
        asked.append("position")
        return position

    async def end_of(number: int) -> dict[str, int]:
        asked.append(f"end of {number}")
        return {"topic": ends[number]}

    asyncio.run(follow_decisions(held, "topic", decided, end_of))
    return asked


def test_a_stage_that_is_not_so_far_is_waited_for() -> None:
    """It is asked again, and the ends not before it is so far (V8)."""
    held = {0: waiting()}
    assert follow(held, 6, {0: 0}) == ["position"]
    assert not held[0].is_sweeping
    assert follow(held, 7, {0: 0}) == ["position", "end of 0"]
    assert held[0].is_sweeping


def test_each_partition_waits_for_its_own_end() -> None:
    """One that has taken everything goes on at once; the other when it has (V8)."""
    held = {0: waiting(), 1: waiting()}
    held[0].next_offsets["topic"] = 5
    assert follow(held, 7, {0: 5, 1: 3}) == ["position", "end of 0", "end of 1"]
    assert [part.is_sweeping for part in held.values()] == [True, False]
    held[1].next_offsets["topic"] = 3
    assert follow(held, 7, {}) == []
    assert held[1].is_sweeping


def test_nobody_is_asked_for_nothing() -> None:
    """Where no sweep waits, no broker is bothered."""
    assert follow({0: PartitionTask(waiting().fold, {"topic": 0})}, 7, {}) == []
