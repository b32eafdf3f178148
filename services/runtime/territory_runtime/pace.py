"""How fast a stage's sweeps go: no faster than those follow who listen to what it says.

What a sweep says stands on the same partitions as everybody's changes, and these wait behind it. So the next slices
wait until the listener has nearly all that was said; where others' changes come meanwhile, still nearer all. For one
that takes what waits they wait some seconds, for one that is away, or always behind, one: it makes sweeps slower, and
stops none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sized
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from territory.topics import Topic
from territory_runtime.held import Held

BEHIND_MAX = 10
"""Messages of a partition, while others' changes come: they wait behind no more than these."""
ALONE_BEHIND_MAX = 400
"""The same while none come."""
ALONE_SLICES = 8
"""Slices of a partition in a turn while no changes come; else it is one."""
ALONE_SECONDS = 1.0
"""None come where the last came so long ago."""
PAUSE_SECONDS_MAX = 1.0
"""The longest time between two slices of a partition, where the listener gets no nearer."""
FOLLOWED_SECONDS_MAX = 10.0
"""The same where fewer messages wait for it with every such time."""


class Listener(NamedTuple):
    """Who must not fall behind when a stage sweeps."""

    group: str
    topic: Topic


class Pace:
    """Says when the next slices may be taken."""

    def __init__(self, behind: Callable[[], Awaitable[int]], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask how many messages the listener is behind in the partition where that is most."""
        self._is_open = True
        self._behind = behind
        self._clock = clock
        self._heard_at: float | None = None
        self._open_at: float | None = None
        self._looked_at = 0.0
        self._least: int | None = None
        """How many waited at the last look that counted since it was open; None: nobody has looked."""

    def heard(self, messages: Sized) -> None:
        """Hear what came to the stage. Where that is anything, it waits behind what the sweeps say."""
        if messages:
            self._heard_at = self._clock()

    @property
    def slices(self) -> int:
        """How many slices of each partition a turn may take now."""
        if not self._is_open:
            return 0
        return ALONE_SLICES if self._is_alone else 1

    @property
    def _is_alone(self) -> bool:
        return self._heard_at is None or self._clock() - self._heard_at >= ALONE_SECONDS

    async def look(self, parts: Iterable[Held]) -> None:
        """Look whether sweeps of these partitions may go on; where none is, nobody is asked. Raises: KafkaError."""
        if not any(part.is_sweeping for part in parts):
            self._is_open = True
            return
        self._is_open = self._open_at is None or not await self._is_to_wait(self._open_at)
        if self._is_open:
            self._open_at = self._looked_at = self._clock()
            self._least = None

    async def _is_to_wait(self, since: float) -> bool:
        behind, now = await self._behind(), self._clock()
        if behind <= (ALONE_BEHIND_MAX if self._is_alone else BEHIND_MAX) or now - since >= FOLLOWED_SECONDS_MAX:
            return False
        if self._least is None:
            self._least = behind
            return True
        if now - self._looked_at < PAUSE_SECONDS_MAX:
            return True
        is_nearer = behind < self._least
        self._looked_at, self._least = now, behind
        return is_nearer


def pace_of(listener: Listener | None, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> Pace:
    """Return the pace of a stage's sweeps; with nobody to wait for they go on always."""

    async def behind() -> int:
        return 0 if listener is None else await messages_behind(admin, consumer, listener)

    return Pace(behind)


async def messages_behind(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, listener: Listener) -> int:
    """Return how many messages a listener is behind in the partition where that is most; 0: it never read.

    Raises: KafkaError.
    """
    found = await admin.list_consumer_group_offsets(listener.group)
    committed = {
        where: at.offset for where, at in found.items() if where.topic == listener.topic.name and at.offset >= 0
    }
    ends = await consumer.end_offsets(list(committed))
    return max((ends[where] - offset for where, offset in committed.items()), default=0)
