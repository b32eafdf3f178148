"""Measures throughput, in the same way for a baseline and for what is compared with it.

*Live*: the worker is ready, the clock starts, another process publishes as fast as it can; the clock stops when all
results are committed. *Backlog*: the worker is held until everything is published, and the clock starts when it
continues.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.stack import Stack, Worker
from territory_admin.records.wait import EXCHANGES, ROUNDS, Goal, Pipeline, StageGroup, pipeline

Way = Literal["live", "backlog"]

POLL_SECONDS = 0.05
PUBLISH_SECONDS_MAX = 300.0
COMMIT_SECONDS_MAX = 1_800.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Wall-clock seconds until everything was committed."""

    seconds: float
    cpu_seconds: float
    """Processor seconds of all workers. Depends little on other load, unlike wall-clock time."""


def measure(
    stack: Stack, load: Path, topic: str, stages: Sequence[StageGroup], *, workers: Sequence[Worker], way: Way
) -> Taken:
    """Measure how long running workers take to commit all results of a load.

    Args:
        stack: The servers they run on.
        load: A file of prepared messages.
        topic: The topic it is published to.
        stages: The consumer groups that a message goes through, in this order.
        workers: The workers that are measured.
        way: Whether they begin at once, or when everything is published.
    """
    return asyncio.run(_measure(stack, load, topic, stages, workers=workers, way=way))


async def _measure(
    stack: Stack, load: Path, topic: str, stages: Sequence[StageGroup], *, workers: Sequence[Worker], way: Way
) -> Taken:
    publisher = await asyncio.to_thread(stack.start_module, "benchmarks.publisher", str(load), topic)
    async with pipeline(stack.settings) as places, asyncio.timeout(COMMIT_SECONDS_MAX):
        began, used = time.monotonic(), sum(worker.cpu_seconds for worker in workers)
        if way == "live":
            await _publish(publisher)
        else:
            with ExitStack() as holding:
                for worker in workers:
                    holding.enter_context(worker.held())
                await _publish(publisher)
                began = time.monotonic()
        for stage in stages:
            await _reach(places, await places.goal(stage))
        ended = time.monotonic()
        for _ in range(1, ROUNDS + EXCHANGES):  # after a release, and with a contact of another family, they pass again
            for stage in stages:
                if await _reach(places, await places.goal(stage)):
                    ended = time.monotonic()
        return Taken(ended - began, sum(worker.cpu_seconds for worker in workers) - used)


async def _publish(publisher: Worker) -> None:
    publisher.go()
    await asyncio.to_thread(publisher.await_end, PUBLISH_SECONDS_MAX)


async def _reach(places: Pipeline, goal: Goal) -> bool:
    """Wait until a goal is reached; return whether it was not yet reached at the first look."""
    asked = 0
    while await places.behind(goal):
        asked += 1
        await asyncio.sleep(POLL_SECONDS)
    return asked > 0
