"""How Python itself is set in a worker, whose records stay in memory and whose turns are short."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (5_000, 5, 4_000)
"""Objects that are made before the young ones are looked at, and how often that is before older ones are, and all.

Every object that stays is looked at twice, whatever the first two are: they say how many at once, which everything
waits for. 25 000 take some ten milliseconds; a million, as it was, took 0.6 s amid a sweep.
"""

SWITCH_SECONDS = 0.0005
"""How long a thread goes on when another one wants to; by default ten times that.

A turn waits so long whenever it has had an answer from a broker or from Redis, while a thread makes a model ready.
"""


def tune_gc() -> None:
    """Look for cycles among young objects, more seldom than by default; what is there now is put among the oldest.

    Records stay in memory and are no garbage: looking at all of them again and again cost a third of
    the assigner's time. Whoever measures calls `gc.collect` first, so that no garbage stays.
    """
    _age()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Have the collector look at nothing while records are read back: they stay, and looking costs a tenth of that.

    For moments without an await: others' garbage waits, too.
    """
    gc.disable()
    try:
        yield
    finally:
        _age()  # else the next look, at what is young, would be at all that was read
        gc.enable()


def _age() -> None:
    """Put all objects among the oldest, without a look at them."""
    gc.freeze()
    gc.unfreeze()


def shorten_thread_switches() -> None:
    """Have threads that work beside the turns give way soon."""
    sys.setswitchinterval(SWITCH_SECONDS)
