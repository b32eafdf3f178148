"""How long to wait for the index before asking it again; waits for nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]
"""Seconds since whenever; never goes back."""

PAUSE_SECONDS_MIN: Final = 0.002
PAUSE_SECONDS_MAX: Final = 0.05


class Patience:
    """The pauses between questions: each twice as long as the one before, bounded, until the time is up."""

    def __init__(self, within: float, clock: Clock = time.monotonic) -> None:
        """Begin now. Raise ValueError for what is no number of seconds."""
        if not 0 <= within < float("inf"):
            raise ValueError(f"found within={within}, expected seconds, 0 or more, and an end")
        self._clock = clock
        self._until = clock() + within
        self._pause = PAUSE_SECONDS_MIN

    def pause(self) -> float | None:
        """Return how many seconds to pause, never more than are left; None: none are left."""
        left = self._until - self._clock()
        if left <= 0:
            return None
        pause, self._pause = self._pause, min(2 * self._pause, PAUSE_SECONDS_MAX)
        return min(pause, left)
