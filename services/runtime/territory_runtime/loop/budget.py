"""How much one batch may do."""

from __future__ import annotations

import asyncio

from territory.stage import Effects
from territory_runtime.loop.ports import Clock

YIELD_SECONDS = 0.01
"""A batch gives the event loop control at least so often: heartbeats and Redis replies wait no longer.

A single step (one message, one chunk of a fan-out or of a sweep) comes on top, and takes milliseconds.
"""


class Budget:
    """Bounds a batch by its own work and by effects, and yields to the event loop meanwhile."""

    def __init__(self, clock: Clock, effects: Effects, *, seconds: float, effects_max: int) -> None:
        """Begin to measure now."""
        self._clock = clock
        self._effects = effects
        self._effects_max = effects_max
        self._yielded_at = self.started_at = clock.monotonic()
        self._away = 0.0
        """Seconds in which others had control."""
        self.seconds = seconds
        self._ends_at = self.started_at + seconds
        self.now = clock.monotonic
        """Returns the time for `is_spent_at` and `breathe_at`: read once a message."""

    @property
    def is_spent(self) -> bool:
        """Whether the batch has to end."""
        return self.is_spent_at(self._clock.monotonic())

    def is_spent_at(self, now: float) -> bool:
        """Whether the batch has to end at a time."""
        return now - self._away >= self._ends_at or len(self._effects) >= self._effects_max

    def is_breath_due(self, now: float) -> bool:
        """Whether the event loop had no control for `YIELD_SECONDS`."""
        return now - self._yielded_at >= YIELD_SECONDS

    def has_lasted(self, seconds: float) -> bool:
        """Whether the batch has worked for so long."""
        return self._clock.monotonic() - self._away - self.started_at >= seconds

    async def breathe(self) -> None:
        """Give the event loop control if it had none for `YIELD_SECONDS`.

        What others do meanwhile is not counted: a process's stages share one thread, and their batches interleave.
        """
        before = self._clock.monotonic()
        if self.is_breath_due(before):
            await asyncio.sleep(0)
            self._yielded_at = self._clock.monotonic()
            self._away += self._yielded_at - before
