"""Work beside a stage: at a steady rate, and no step after a stop was requested."""

from __future__ import annotations

import asyncio

from territory_runtime.background_task import BackgroundTask


class Counted(BackgroundTask):
    """Counts the items of each step."""

    def __init__(self, per_second: float, step_seconds: float) -> None:
        super().__init__(per_second, step_seconds)
        self.looks: list[int] = []
        self.third = asyncio.Event()

    async def look(self, count: int) -> None:
        self.looks.append(count)
        if len(self.looks) == 3:
            self.third.set()


def test_the_rate_decides_the_items_of_a_step() -> None:
    """So many a second are so many in a step; where less than one is due, steps are longer."""

    async def first_looks(per_second: float, step_seconds: float) -> list[int]:
        service = Counted(per_second, step_seconds)
        await service.start()
        await service.third.wait()
        await service.stop()
        return service.looks[:3]

    assert asyncio.run(first_looks(500, 0.01)) == [5, 5, 5]
    assert asyncio.run(first_looks(200, 0.001)) == [1, 1, 1]


def test_no_step_begins_after_a_stop_was_requested() -> None:
    """A step may wait for a batch that waits for Redis; the stop that wakes the task begins none."""

    async def looks() -> list[int]:
        service = Counted(0.01, 0.5)
        await service.start()
        await asyncio.sleep(0)  # its task begins to wait for the first step
        await service.stop()
        return service.looks

    assert asyncio.run(looks()) == []
