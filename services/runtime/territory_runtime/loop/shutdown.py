"""How a stage lets go at the end: within a bound, and so that nothing of its own comes after a successor's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

log = structlog.get_logger("territory")

STOP_SECONDS_MAX = 8.0
"""How long a stop waits for the turn that is under way."""
CLOSE_SECONDS_MAX = 8.0
"""How long it then waits for the producer to send what it has, and for the group to be left."""


class Sends(Protocol):
    """What holds messages that are on their way."""

    async def stop(self) -> None:
        """Send them, and disconnect."""


class Belongs(Protocol):
    """A member of a group."""

    async def stop(self) -> None:
        """Leave the group, and disconnect."""


async def drain_and_leave(stage: str, sender: Sends, member: Belongs, seconds: float = CLOSE_SECONDS_MAX) -> None:
    """Send what is on its way, then leave the group.

    The sender is first: what it still holds must not come after a successor's. Where that is not done in time,
    since the broker is away, the group is not left: it gives the partitions to nobody before the session is
    over, and this process is gone by then.

    It is not cut short: mode gives a service that is stopped a tenth of a second, and cancels it then.
    """
    going = asyncio.ensure_future(_in_time(stage, sender, member, seconds))
    while not going.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(going)
    going.result()


async def _in_time(stage: str, sender: Sends, member: Belongs, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await sender.stop()
            await member.stop()
    except TimeoutError:
        log.warning("the group is not left", stage=stage, why=f"Kafka did not answer within {seconds:g} s")
