"""How Python's garbage collector is set where records stay in memory."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 100)


def spare_what_stays() -> None:
    """Look for cycles among young objects, more seldom than by default, and never at what is there now.

    Records stay in memory and are no garbage: looking at all of them again and again cost a third of
    the assigner's time. Whoever measures calls `gc.collect` first, so that no garbage stays.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
