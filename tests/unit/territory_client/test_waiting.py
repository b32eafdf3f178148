"""The pauses while waiting for a version, with a fake clock."""

from __future__ import annotations

from itertools import pairwise

import pytest

from territory_client.waiting import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, Patience


class FakeClock:
    """A clock that only the test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def pauses_of(within: float, asking_seconds: float = 0.0) -> list[float]:
    """Return all pauses up to the deadline; each question takes `asking_seconds`."""
    clock = FakeClock()
    patience, pauses = Patience(within, clock), []
    clock.now += asking_seconds
    while (pause := patience.pause()) is not None:
        pauses.append(pause)
        clock.now += pause + asking_seconds
    return pauses


def test_pauses_grow_to_a_bound_and_fill_the_time() -> None:
    """Pauses double up to a maximum, and the last one ends at the deadline (V8)."""
    pauses = pauses_of(1.0)
    assert pauses[0] == PAUSE_SECONDS_MIN
    assert all(later == min(2 * one, PAUSE_SECONDS_MAX) for one, later in pairwise(pauses[:-1]))
    assert max(pauses) == PAUSE_SECONDS_MAX
    assert sum(pauses) == pytest.approx(1.0)


def test_time_of_answers_counts() -> None:
    """No pause is longer than the time left (V8)."""
    assert pauses_of(0.01, asking_seconds=0.003) == pytest.approx([0.002, 0.002])
    assert pauses_of(0.01, asking_seconds=0.02) == []


def test_no_time_is_no_pause() -> None:
    """With `within=0` there is no pause (V8)."""
    assert pauses_of(0) == []


@pytest.mark.parametrize("within", [-1.0, float("inf"), float("nan")])
def test_waiting_has_an_end(within: float) -> None:
    """Infinite, negative and undefined durations are refused (V8)."""
    with pytest.raises(ValueError, match="expected seconds"):
        Patience(within)
