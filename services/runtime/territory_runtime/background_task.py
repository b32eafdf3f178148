"""Something that is looked at a little all the time, beside the work of a stage."""

from __future__ import annotations

from abc import abstractmethod

from mode import Service


class BackgroundTask(Service):
    """Looks at so many things a second, in steps that are short and far apart."""

    def __init__(self, per_second: float, step_seconds: float) -> None:
        super().__init__()
        self._step_seconds = max(step_seconds, 1 / per_second)
        self._count = max(1, round(per_second * self._step_seconds))

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.sleep(self._step_seconds)
            # A look waits for the turn under way, and that may wait for Redis: none begins once the end is
            # asked for. The cancellation that follows is not enough: `wait_for` in the sleep can lose it.
            if not self.should_stop:
                await self.look(self._count)

    @abstractmethod
    async def look(self, count: int) -> None:
        """Look at so many things."""
