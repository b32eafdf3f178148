"""How throughput is measured: the same way for a baseline and for what is compared with it.

*Live*: the worker is up and ready, the clock starts, a process of its own publishes as fast
as it can; the clock stops when everything that follows is committed. *Backlog*: the same, but
the worker is held until everything is published, and the clock starts when it is let go.
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
from territory_admin.records.wait import ROUNDS, Goal, Pipeline, StageGroup, pipeline

Way = Literal["live", "backlog"]

POLL_SECONDS = 0.05
PUBLISH_SECONDS_MAX = 300.0
COMMIT_SECONDS_MAX = 1_800.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What it took until everything was committed."""

    seconds: float
    cpu_seconds: float
    """Of the workers together. Little depends on what else runs on the machine, unlike the time of the clock."""


def measure(
    stack: Stack, load: Path, topic: str, stages: Sequence[StageGroup], *, workers: Sequence[Worker], way: Way
) -> Taken:
    """Return what workers take to commit all that follows from a load; they are running and ready.

    Args:
        stack: What they run on.
        load: A file of prepared messages.
        topic: Where it is published to.
        stages: The consumer groups that a message goes through, in this order.
        workers: The workers that do it.
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
        for _ in range(1, ROUNDS):  # what goes round once more, by way of its release
            for stage in stages:
                if await _reach(places, await places.goal(stage)):
                    ended = time.monotonic()
        return Taken(ended - began, sum(worker.cpu_seconds for worker in workers) - used)


async def _publish(publisher: Worker) -> None:
    publisher.go()
    await asyncio.to_thread(publisher.await_end, PUBLISH_SECONDS_MAX)


async def _reach(places: Pipeline, goal: Goal) -> bool:
    """Return when a goal is reached; whether it was not yet when first asked for."""
    asked = 0
    while await places.behind(goal):
        asked += 1
        await asyncio.sleep(POLL_SECONDS)
    return asked > 0
