"""How throughput is measured: the same way for a baseline and for what is compared with it.

*Live*: the worker is up and ready, the clock starts, a process of its own publishes as fast
as it can; the clock stops when everything that follows is committed. *Backlog*: the same, but
the worker is held until everything is published, and the clock starts when it is let go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmarks.stack import Stack, Worker
from territory_control.progress import ROUNDS, Goal, Pipeline, StageGroup, pipeline

Way = Literal["live", "backlog"]

POLL_SECONDS = 0.05
PUBLISH_SECONDS_MAX = 300.0
COMMIT_SECONDS_MAX = 1_800.0


def seconds_taken(stack: Stack, load: Path, topic: str, stages: Sequence[StageGroup], held: Worker | None) -> float:
    """Return how long workers take to commit all that follows from a load; they are running and ready.

    Args:
        stack: What they run on.
        load: A file of prepared messages.
        topic: Where it is published to.
        stages: The consumer groups that a message goes through, in this order.
        held: The worker to hold until all is published; none to measure live.
    """
    return asyncio.run(_seconds_taken(stack, load, topic, stages, held))


async def _seconds_taken(
    stack: Stack, load: Path, topic: str, stages: Sequence[StageGroup], held: Worker | None
) -> float:
    publisher = await asyncio.to_thread(stack.start_module, "benchmarks.publisher", str(load), topic)
    async with pipeline(stack.settings) as places, asyncio.timeout(COMMIT_SECONDS_MAX):
        began = time.monotonic()
        if held is None:
            await _publish(publisher)
        else:
            with held.held():
                await _publish(publisher)
                began = time.monotonic()
        for stage in stages:
            await _reach(places, await places.goal(stage))
        ended = time.monotonic()
        for _ in range(1, ROUNDS):  # what goes round once more, by way of its release
            for stage in stages:
                if await _reach(places, await places.goal(stage)):
                    ended = time.monotonic()
        return ended - began


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
