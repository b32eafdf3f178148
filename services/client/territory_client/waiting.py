"""Pauses between two questions while a client waits for a version. Pure: it does not sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]
"""Monotonic seconds."""

PAUSE_SECONDS_MIN: Final = 0.002
PAUSE_SECONDS_MAX: Final = 0.05


class Patience:
    """Exponential backoff with a bound on each pause and a deadline."""

    def __init__(self, within: float, clock: Clock = time.monotonic) -> None:
        """Start the clock. Raises: ValueError unless `within` is finite and not negative."""
        if not 0 <= within < float("inf"):
            raise ValueError(f"found within={within}, expected seconds, 0 or more, and an end")
        self._clock = clock
        self._until = clock() + within
        self._pause = PAUSE_SECONDS_MIN

    def pause(self) -> float | None:
        """Return the next pause in seconds, at most the time left; None: the deadline has passed."""
        left = self._until - self._clock()
        if left <= 0:
            return None
        pause, self._pause = self._pause, min(2 * self._pause, PAUSE_SECONDS_MAX)
        return min(pause, left)
