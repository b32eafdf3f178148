"""Graceful shutdown with a deadline: flush the producer, then leave the group."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

log = structlog.get_logger("territory")

STOP_SECONDS_MAX = 8.0
"""How long a stop waits for the batch under way."""
CLOSE_SECONDS_MAX = 8.0
"""How long it then waits for the producer to flush, and for the group to be left."""


class Stoppable(Protocol):
    """A connection that is flushed and closed."""

    async def stop(self) -> None:
        """Flush and close."""


async def drain_and_leave(
    stage: str, producer: Stoppable, member: Stoppable, seconds: float = CLOSE_SECONDS_MAX
) -> None:
    """Flush the producer, then leave the group.

    The order matters: messages that the producer has queued must not arrive after a successor's output. If the broker
    is down and the flush does not end in time, the worker does not leave the group. The group then assigns its
    partitions to nobody before the session has expired, and this process is gone by then.

    A cancellation is ignored until it is done: mode cancels a service a tenth of a second after it is stopped.
    """
    closing = asyncio.ensure_future(_close(stage, producer, member, seconds))
    while not closing.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(closing)
    closing.result()


async def _close(stage: str, producer: Stoppable, member: Stoppable, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await producer.stop()
            await member.stop()
    except TimeoutError:
        log.warning("stopped without leaving the group", stage=stage, why=f"Kafka did not answer within {seconds:g} s")
