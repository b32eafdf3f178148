"""What the garbage collector looks at while records stay in memory, and who waits for whom."""

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


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_not_looked_at() -> None:
    """What was in memory before is among the oldest; it looks seldom at these, and never at much that is young."""
    before = Cycle()
    tune_gc()
    after = Cycle()
    oldest, youngest = gc.get_objects(generation=2), gc.get_objects(generation=0)
    assert any(one is before for one in oldest)
    assert any(one is after for one in youngest)
    young, old, all_of_them = gc.get_threshold()
    assert (young * old, young * old * all_of_them) == (25_000, 100_000_000)


def test_what_is_read_back_is_not_looked_at_meanwhile() -> None:
    """It is among the oldest objects then; and the collector goes on, whatever has become of the reading."""
    with suppress(ConnectionError), gc_paused():
        assert not gc.isenabled()
        read = Cycle()
        raise ConnectionError("away")
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert any(one is read for one in gc.get_objects(generation=2))


def test_threads_give_way_sooner_than_by_default() -> None:
    """A turn does not wait five milliseconds for a model's thread at each answer."""
    assert sys.getswitchinterval() > SWITCH_SECONDS
    shorten_thread_switches()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
