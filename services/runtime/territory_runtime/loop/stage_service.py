"""Hosts a task loop as a mode service, which starts, supervises and stops it with the process."""

from __future__ import annotations

from mode import Service

from territory_runtime.loop.task_loop import TaskLoop


class StageService(Service):
    """Runs one task loop. Its crash ends the process."""

    def __init__(self, loop: TaskLoop) -> None:
        super().__init__()
        self._task_loop = loop

    @Service.task
    async def _run(self) -> None:
        await self._task_loop.run()

    async def on_stop(self) -> None:
        """Let the batch under way end."""
        await self._task_loop.stop()
