"""What the garbage collector looks at while records stay in memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from territory_runtime.collector import spare_what_stays


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_not_looked_at() -> None:
    """What was in memory before is out of its sight; it looks more seldom at what comes after."""
    before = Cycle()
    defaults = gc.get_threshold()
    spare_what_stays()
    assert not any(one is before for one in gc.get_objects())
    after = Cycle()
    assert any(one is after for one in gc.get_objects())
    assert gc.get_threshold() > defaults
