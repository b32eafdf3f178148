"""Slow, continuous work beside a stage: so many items a second, in short steps."""

from __future__ import annotations

from abc import abstractmethod

from mode import Service


class BackgroundTask(Service):
    """Calls `look` at a steady rate while the process runs. Subclasses implement `look`."""

    def __init__(self, per_second: float, step_seconds: float) -> None:
        """Set the rate.

        Args:
            per_second: Items a second.
            step_seconds: Time between two steps; longer where less than one item would be due.
        """
        super().__init__()
        self._step_seconds = max(step_seconds, 1 / per_second)
        self._count = max(1, round(per_second * self._step_seconds))

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.sleep(self._step_seconds)
            # A step waits for the batch in progress, which may wait for Redis, so none begins after a stop was
            # requested. The cancellation that follows is not enough: `wait_for` inside `sleep` can swallow it.
            if not self.should_stop:
                await self.look(self._count)

    @abstractmethod
    async def look(self, count: int) -> None:
        """Examine so many items."""
