"""Python's garbage collector and thread switching, tuned for millions of long-lived objects and short batches."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (5_000, 5, 4_000)
"""For `gc.set_threshold`: new objects before a young collection, young ones before a middle one, middle ones before a
full one.

The product of the first two is how many objects a middle collection examines while everything waits: 25 000 take some
ten milliseconds, a million took 0.6 s.
"""

SWITCH_SECONDS = 0.0005
"""How long a thread runs before another may; a tenth of Python's default.

A model is prepared in a thread meanwhile, and a batch waits this long after each answer from a broker or Redis.
"""


def tune_gc() -> None:
    """Raise the collector's thresholds and move existing objects to the oldest generation.

    Records stay in memory: examining them again and again cost a third of the assigner's time. Call
    `gc.collect` before measuring memory, so that no garbage counts.
    """
    _move_to_oldest()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Collect nothing while a block of records is restored, then move the new objects to the oldest generation.

    They all stay, and examining them costs a tenth of a restore. Only for blocks without an await:
    the rest of the process must not run without a collector.
    """
    gc.disable()
    try:
        yield
    finally:
        _move_to_oldest()  # else the next young collection would examine all of them
        gc.enable()


def _move_to_oldest() -> None:
    gc.freeze()
    gc.unfreeze()


def shorten_thread_switches() -> None:
    """Let a waiting thread run after SWITCH_SECONDS."""
    sys.setswitchinterval(SWITCH_SECONDS)
