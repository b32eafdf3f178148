"""Doing what follows from a turn: saying it on the log, and storing it for those who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from territory.stage import Effects, collapse
from territory_runtime.kafka.producer import FencedProducer
from territory_runtime.loop.stage import Progress, Sink
from territory_runtime.retry import KAFKA_AWAY, REDIS_AWAY


class UntilDone(Protocol):
    """Tries something again for as long as what it needs is away."""

    async def __call__(
        self, action: Callable[[], Awaitable[Any]], away: tuple[type[BaseException], ...] = ..., what: str = ...
    ) -> Any:
        """Do it. Raises: what `until_done` raises."""


async def perform(
    effects: Effects,
    progress: list[Progress],
    sender: FencedProducer,
    store: Sink | None,
    retry_while_unavailable: UntilDone,
) -> None:
    """Have all of it done, and the progress noted in the store; offsets may be committed then.

    The log and the store are written at the same time: who asks the store need not wait for a broker.
    Both have ended before what either raises is raised; what can't be said is not waited for any longer
    by the store, which is cut short as by a crash.
    """
    if store is None:
        await _say(effects, sender, retry_while_unavailable)
        return
    storing = asyncio.ensure_future(
        retry_while_unavailable(lambda: store.apply(effects.changes, progress), REDIS_AWAY, "Redis")
    )
    is_said = False
    try:
        await _say(effects, sender, retry_while_unavailable)
        is_said = True
    finally:
        if not is_said:
            storing.cancel()
        await asyncio.wait([storing])
    await storing


async def _say(effects: Effects, sender: FencedProducer, retry_while_unavailable: UntilDone) -> None:
    """Send the messages, then the stage's own state: what is known after a restart was passed on before."""
    encoded: dict[int, bytes] = {}  # a record is forwarded and kept: it is encoded once
    for messages in (effects.messages, effects.state):
        if messages:
            await retry_while_unavailable(partial(sender.send, collapse(messages), encoded), KAFKA_AWAY, "Kafka")
