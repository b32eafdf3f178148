"""Sweeps give way to those who listen, and come to their end all the same."""

from __future__ import annotations

import asyncio

from territory_runtime.loop.backpressure import (
    LIVE_BATCHES,
    LIVE_LAG_MAX,
    PROGRESSING_SECONDS_MAX,
    QUIET_CHUNKS,
    QUIET_LAG_MAX,
    QUIET_SECONDS,
    STALLED_SECONDS_MAX,
    SweepThrottle,
)
from territory_runtime.loop.partition_task import PartitionTask
from tests.unit.territory_runtime.loop.test_partition_task import FIRST, SECOND, snapshot_of, swept_on


class Listening:
    """A listener that is behind as a test says, and a clock in the test's hand."""

    def __init__(self) -> None:
        self.behind = 0
        self.asked = 0
        self.now = 100.0
        self.pace = SweepThrottle(self._behind, clock=lambda: self.now)

    async def _behind(self) -> int:
        self.asked += 1
        return self.behind

    def may_sweep(self, part: PartitionTask) -> bool:
        """Return whether a partition may be swept on."""
        if self.pace.must_look([part]):
            asyncio.run(self.pace.look())
        return self.pace.chunks > 0


def sweeping() -> PartitionTask:
    """Return a partition with a sweep under way."""
    part = swept_on(FIRST)
    part.move_to(snapshot_of(SECOND))
    return part


def test_a_sweep_begins_at_once() -> None:
    """Its first chunk waits for nobody: the first effects come with the first batch (A8)."""
    listening = Listening()
    listening.behind = 10 * QUIET_LAG_MAX
    assert listening.may_sweep(sweeping())
    assert listening.asked == 0


def test_a_sweep_waits_for_the_downstream_group() -> None:
    """While the downstream lag is above the bound; at the bound the sweep goes on."""
    listening, part = Listening(), sweeping()
    found = [listening.may_sweep(part)]
    for listening.behind in (QUIET_LAG_MAX + 1, QUIET_LAG_MAX, QUIET_LAG_MAX + 1):
        found.append(listening.may_sweep(part))
    assert found == [True, False, True, False]


def test_a_sweep_gives_way_to_changes() -> None:
    """While live changes come it takes one chunk a batch and waits for nearly all of its output; a second later not."""
    listening, part = Listening(), sweeping()
    assert listening.may_sweep(part)
    assert listening.pace.chunks == QUIET_CHUNKS
    listening.pace.observe([])
    assert listening.pace.chunks == QUIET_CHUNKS
    listening.pace.observe([1])
    assert listening.pace.chunks == 1
    found = []
    limit = LIVE_LAG_MAX + LIVE_BATCHES
    for listening.behind in (limit + 1, limit, limit + 1):
        found.append(listening.may_sweep(part))
    listening.now += QUIET_SECONDS
    found.append(listening.may_sweep(part))
    assert found == [False, True, False, True]
    assert listening.pace.chunks == QUIET_CHUNKS


def test_changes_themselves_are_no_sign_of_being_behind() -> None:
    """With many live changes the bound grows by those of recent batches: else sweeps would stop."""
    listening, part = Listening(), sweeping()
    assert listening.may_sweep(part)
    found = []
    for counts in ([30, 7], [2], []):
        listening.pace.observe(counts)
        listening.behind = LIVE_LAG_MAX + LIVE_BATCHES * 30
        found.append(listening.may_sweep(part))
        listening.behind += 1
        found.append(listening.may_sweep(part))
    assert found == [True, False] * 3
    listening.now += QUIET_SECONDS
    for count, limit in ((2, LIVE_LAG_MAX + 2 * LIVE_BATCHES), (10 * QUIET_LAG_MAX, QUIET_LAG_MAX)):
        listening.pace.observe([count])
        for listening.behind, may_sweep in ((limit, True), (limit + 1, False)):
            assert listening.may_sweep(part) is may_sweep


def test_a_sweep_that_waited_in_vain_takes_many_slices() -> None:
    """While the downstream group is down, small chunks spare nobody, so chunks are many whatever changes come."""
    listening, part = Listening(), sweeping()
    assert listening.may_sweep(part)
    listening.pace.observe([1])
    listening.behind = 10 * QUIET_LAG_MAX
    found = []
    for listening.now in (100.1, 100.1 + STALLED_SECONDS_MAX, 100.2 + STALLED_SECONDS_MAX):
        listening.pace.observe([1])
        listening.may_sweep(part)
        found.append(listening.pace.chunks)
    assert found == [0, QUIET_CHUNKS, 0]
    listening.behind = 0
    assert listening.may_sweep(part)
    assert listening.pace.chunks == 1


def test_a_listener_that_is_away_stops_no_sweep() -> None:
    """It goes on once a second, counted from the last time."""
    listening, part = Listening(), sweeping()
    listening.behind = 10 * QUIET_LAG_MAX
    found = []
    for listening.now in (100.0, 100.5, 100.0 + STALLED_SECONDS_MAX, 100.5 + STALLED_SECONDS_MAX):
        found.append(listening.may_sweep(part))
    assert found == [True, False, True, False]


def test_a_listener_that_follows_is_waited_for() -> None:
    """As long as its lag shrinks from second to second, and not for ever."""
    listening, part = Listening(), sweeping()
    listening.behind = 100 * QUIET_LAG_MAX
    found = [listening.may_sweep(part)]
    for second in range(2 * int(PROGRESSING_SECONDS_MAX)):
        listening.now = 100.5 + second
        listening.behind -= 1
        found.append(listening.may_sweep(part))
    assert found == [True, *([False] * 10), True, *([False] * 9)]


def test_nobody_is_asked_where_nothing_is_swept() -> None:
    """The next sweep begins at once, with few chunks amid live changes: it has not waited yet."""
    listening = Listening()
    listening.behind = 10 * QUIET_LAG_MAX
    assert listening.may_sweep(sweeping())
    assert not listening.may_sweep(sweeping())
    assert listening.may_sweep(swept_on(FIRST))
    assert listening.asked == 1
    listening.now += 10 * PROGRESSING_SECONDS_MAX
    listening.pace.observe([1])
    assert listening.may_sweep(sweeping())
    assert (listening.pace.chunks, listening.asked) == (1, 1)
    assert not listening.may_sweep(sweeping())
