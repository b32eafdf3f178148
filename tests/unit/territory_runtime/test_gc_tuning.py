"""What the garbage collector examines while records stay in memory, and how long threads wait."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from territory_runtime.gc_tuning import (
    SWITCH_SECONDS,
    gc_paused,
    shorten_thread_switches,
    tune_gc,
)


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    thresholds, seconds = gc.get_threshold(), sys.getswitchinterval()
    yield
    sys.setswitchinterval(seconds)
    gc.set_threshold(*thresholds)


@pytest.fixture
def passes() -> Iterator[list[int]]:
    """Give the generations that are collected from now on."""
    found: list[int] = []

    def take(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    gc.callbacks.append(take)
    yield found
    gc.callbacks.remove(take)


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_existing_objects_are_in_the_oldest_generation() -> None:
    """Old objects are examined seldom, and never many young ones at once."""
    before = Cycle()
    tune_gc()
    after = Cycle()
    oldest, youngest = gc.get_objects(generation=2), gc.get_objects(generation=0)
    assert any(one is before for one in oldest)
    assert any(one is after for one in youngest)


def test_records_that_come_are_not_examined_all_at_once(passes: list[int]) -> None:
    """As many new objects as hundreds of changes make: the young ones are examined in parts, the oldest not at all."""
    tune_gc()
    gc.collect()
    passes.clear()
    kept = [Cycle() for _ in range(200_000)]
    assert len(kept) == 200_000
    assert passes.count(1) > 1
    assert 2 not in passes


def test_a_restore_is_not_interrupted_by_the_collector() -> None:
    """What it made is in the oldest generation afterwards, and the collector runs again, even after an error."""
    with suppress(ConnectionError), gc_paused():
        assert not gc.isenabled()
        read = Cycle()
        raise ConnectionError("away")
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert any(one is read for one in gc.get_objects(generation=2))


def test_threads_switch_sooner_than_by_default() -> None:
    """A batch does not wait five milliseconds for a model's thread at each answer."""
    assert sys.getswitchinterval() > SWITCH_SECONDS
    shorten_thread_switches()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
