"""Throttles reprocessing so that the downstream group's lag stays bounded.

The output of sweeps and fan-outs shares partitions with everybody's live changes, which wait behind it. So the next
chunks wait until the downstream group has processed nearly all output. While live changes come, the bound is lower
and chunks are fewer. A downstream group that makes progress is waited for at most some seconds, one that makes none
at most one second. So a group that is down, or always behind, slows sweeps and stops none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable

from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import Clock, GroupOffsets, LogReader
from territory_runtime.loop.stage import Downstream

LIVE_LAG_MAX = 10
"""Messages of a partition that may wait downstream while live changes come, beside those changes themselves."""
QUIET_LAG_MAX = 400
"""The same while no live changes come."""
LIVE_BATCHES = 2
"""Batches of live changes that may wait downstream without counting as lag."""
QUIET_CHUNKS = 16
"""Chunks in a batch while no live changes come, or while waiting helps nobody; otherwise there is one."""
QUIET_SECONDS = 1.0
"""Without live changes for so long it is quiet. The largest batch of live changes counts for so long, too."""
STALLED_SECONDS_MAX = 1.0
"""The longest wait for a downstream group that makes no progress."""
PROGRESSING_SECONDS_MAX = 10.0
"""The longest wait for a downstream group that makes progress."""


class SweepThrottle:
    """Decides how many chunks of sweeps and fan-outs the next batch may take."""

    def __init__(self, lag: Callable[[], Awaitable[int]], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what returns the downstream group's lag, in messages of its slowest partition."""
        self._lag = lag
        self._clock = clock
        self._is_open = True
        self._is_overdue = False
        """Whether it is open only because it was closed for too long."""
        self._live_at: float | None = None
        self._batch_max = self._batch_max_at = 0.0
        """Messages of one partition in the largest recent batch, and when that was."""
        self._opened_at: float | None = None
        self._compared_at = 0.0
        self._least: int | None = None
        """The lag when it was last compared since the throttle was open; None: not yet."""

    def observe(self, counts: Collection[int]) -> None:
        """Take note of how many live messages each partition received."""
        most, now = max(counts, default=0), self._clock()
        if most >= self._batch_max or now - self._batch_max_at >= QUIET_SECONDS:
            self._batch_max, self._batch_max_at = most, now
        if most:
            self._live_at = now

    @property
    def chunks(self) -> int:
        """How many chunks the next batch may take, of all partitions together."""
        if not self._is_open:
            return 0
        return QUIET_CHUNKS if self._is_quiet or self._is_overdue else 1

    @property
    def _is_quiet(self) -> bool:
        return self._live_at is None or self._clock() - self._live_at >= QUIET_SECONDS

    @property
    def _lag_max(self) -> float:
        return QUIET_LAG_MAX if self._is_quiet else min(QUIET_LAG_MAX, LIVE_LAG_MAX + LIVE_BATCHES * self._batch_max)

    async def look(self, tasks: Iterable[PartitionTask]) -> None:
        """Open or close, if any of the tasks has something to reprocess. Raises: KafkaError."""
        self._is_overdue = False
        if not any(task.has_background_work for task in tasks):
            self._is_open, self._opened_at = True, None
            return
        if self._opened_at is not None:
            lag = await self._lag()
            self._is_open = lag <= self._lag_max
            if not self._is_open:
                self._is_open = self._is_overdue = self._has_waited(lag, self._opened_at)
        if self._is_open:
            self._opened_at = self._compared_at = self._clock()
            self._least = None

    def _has_waited(self, lag: int, since: float) -> bool:
        """Whether it was closed long enough for a group with such a lag."""
        now = self._clock()
        if now - since >= PROGRESSING_SECONDS_MAX:
            return True
        if self._least is None:
            self._least = lag
        elif now - self._compared_at >= STALLED_SECONDS_MAX:
            makes_progress = lag < self._least
            self._compared_at, self._least = now, lag
            return not makes_progress
        return False


def throttle_of(downstream: Downstream | None, offsets: GroupOffsets, reader: LogReader, clock: Clock) -> SweepThrottle:
    """Return the throttle of a stage's sweeps; without a downstream group they never wait."""

    async def lag() -> int:
        return 0 if downstream is None else await lag_of(downstream, offsets, reader)

    return SweepThrottle(lag, clock=clock.monotonic)


async def lag_of(downstream: Downstream, offsets: GroupOffsets, reader: LogReader) -> int:
    """Return by how many messages a group lags in the partition where that is most; 0: it never read.

    Raises: KafkaError.
    """
    found = await offsets.committed(downstream.group)
    committed = {
        where: at.offset for where, at in found.items() if where.topic == downstream.topic.name and at.offset >= 0
    }
    ends = await reader.end_offsets(list(committed))
    return max((ends[where] - offset for where, offset in committed.items()), default=0)
