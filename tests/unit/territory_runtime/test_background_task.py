"""What is looked at beside a stage's work: at its pace, and not once the end was asked for."""

from __future__ import annotations

import asyncio

from territory_runtime.background_task import BackgroundTask


class Counted(BackgroundTask):
    """Notes how many things each look was for."""

    def __init__(self, per_second: float, step_seconds: float) -> None:
        super().__init__(per_second, step_seconds)
        self.looks: list[int] = []
        self.third = asyncio.Event()

    async def look(self, count: int) -> None:
        self.looks.append(count)
        if len(self.looks) == 3:
            self.third.set()


def test_each_look_is_for_what_a_step_may_see() -> None:
    """So many a second are so many in a step; fewer than one a step are one in a longer step."""

    async def first_looks(per_second: float, step_seconds: float) -> list[int]:
        service = Counted(per_second, step_seconds)
        await service.start()
        await service.third.wait()
        await service.stop()
        return service.looks[:3]

    assert asyncio.run(first_looks(500, 0.01)) == [5, 5, 5]
    assert asyncio.run(first_looks(200, 0.001)) == [1, 1, 1]


def test_no_look_begins_once_the_end_was_asked_for() -> None:
    """A look may wait for a turn that waits for Redis: the stop that wakes the service begins none."""

    async def looks() -> list[int]:
        service = Counted(0.01, 0.5)
        await service.start()
        await asyncio.sleep(0)  # its task begins to wait for the first step
        await service.stop()
        return service.looks

    assert asyncio.run(looks()) == []
