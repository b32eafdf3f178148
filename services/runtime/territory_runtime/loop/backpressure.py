"""How fast a stage's sweeps go: no faster than those follow who listen to what it says.

What a sweep says stands on the same partitions as everybody's changes, and these wait behind it. So the next slices
wait until the listener has nearly all that was said; where others' changes come meanwhile, still nearer all, and they
are fewer. For one that takes what waits they wait some seconds, for one that is away, or always behind, one: it makes
sweeps slower, and stops none. Nobody is spared by that any more, so there are as many then as without changes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from territory.wire.topics import Topic
from territory_runtime.loop.partition_task import PartitionTask

BEHIND_MAX = 10
"""Messages of a partition, while others' changes come, beside these themselves: they wait behind no more."""
ALONE_BEHIND_MAX = 400
"""The same while none come."""
LIVE_TURNS = 2
"""Of the changes themselves so many turns may be with the listener at any time, and it is not behind."""
ALONE_SLICES = 16
"""Slices in a turn while no changes come, or nobody is spared by waiting; else it is one."""
ALONE_SECONDS = 1.0
"""None come where the last came so long ago; and for so long the largest turn counts, by which many come."""
PAUSE_SECONDS_MAX = 1.0
"""The longest time between two slices, where the listener gets no nearer."""
FOLLOWED_SECONDS_MAX = 10.0
"""The same where fewer messages wait for it with every such time."""


class Downstream(NamedTuple):
    """Who must not fall behind when a stage sweeps."""

    group: str
    topic: Topic


class SweepThrottle:
    """Says when the next slices may be taken."""

    def __init__(self, behind: Callable[[], Awaitable[int]], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how to ask how many messages the listener is behind in the partition where that is most."""
        self._behind = behind
        self._clock = clock
        self._is_open = True
        self._is_overdue = False
        """Whether it is open only because it was closed for so long."""
        self._heard_at: float | None = None
        self._most = self._most_at = 0.0
        """Messages of one partition in the largest turn of late, and when that was."""
        self._open_at: float | None = None
        self._looked_at = 0.0
        self._least: int | None = None
        """How many waited at the last look that counted since it was open; None: nobody has looked."""

    def heard(self, counts: Collection[int]) -> None:
        """Hear how many messages of each partition came to the stage: they wait behind what its sweeps say."""
        most, now = max(counts, default=0), self._clock()
        if most >= self._most or now - self._most_at >= ALONE_SECONDS:
            self._most, self._most_at = most, now
        if most:
            self._heard_at = now

    @property
    def slices(self) -> int:
        """How many slices a turn may take now, of all partitions together."""
        if not self._is_open:
            return 0
        return ALONE_SLICES if self._is_alone or self._is_overdue else 1

    @property
    def _is_alone(self) -> bool:
        return self._heard_at is None or self._clock() - self._heard_at >= ALONE_SECONDS

    @property
    def _behind_max(self) -> float:
        return ALONE_BEHIND_MAX if self._is_alone else min(ALONE_BEHIND_MAX, BEHIND_MAX + LIVE_TURNS * self._most)

    async def look(self, parts: Iterable[PartitionTask]) -> None:
        """Look whether sweeps of these partitions may go on; where none is, nobody is asked. Raises: KafkaError."""
        self._is_overdue = False
        if not any(part.is_sweeping for part in parts):
            self._is_open, self._open_at = True, None
            return
        if self._open_at is not None:
            behind = await self._behind()
            self._is_open = behind <= self._behind_max
            if not self._is_open:
                self._is_open = self._is_overdue = self._has_waited(behind, self._open_at)
        if self._is_open:
            self._open_at = self._looked_at = self._clock()
            self._least = None

    def _has_waited(self, behind: int, since: float) -> bool:
        """Whether it was closed long enough for one that is so far behind."""
        now = self._clock()
        if now - since >= FOLLOWED_SECONDS_MAX:
            return True
        if self._least is None:
            self._least = behind
        elif now - self._looked_at >= PAUSE_SECONDS_MAX:
            is_nearer = behind < self._least
            self._looked_at, self._least = now, behind
            return not is_nearer
        return False


def pace_of(listener: Downstream | None, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> SweepThrottle:
    """Return the pace of a stage's sweeps; with nobody to wait for they go on always."""

    async def behind() -> int:
        return 0 if listener is None else await messages_behind(admin, consumer, listener)

    return SweepThrottle(behind)


async def messages_behind(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, listener: Downstream) -> int:
    """Return how many messages a listener is behind in the partition where that is most; 0: it never read.

    Raises: KafkaError.
    """
    found = await admin.list_consumer_group_offsets(listener.group)
    committed = {
        where: at.offset for where, at in found.items() if where.topic == listener.topic.name and at.offset >= 0
    }
    ends = await consumer.end_offsets(list(committed))
    return max((ends[where] - offset for where, offset in committed.items()), default=0)
