"""Whether the sums that this worker holds are what the deals come to, looked at a little all the time.

What is wrong is a fault of ours, or of the machine's memory: it is counted and logged, and a restart counts anew.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import structlog

from forecast_aggregator.partials.audit import DriftKind
from forecast_aggregator.partials.stage import PartialSumsFold
from territory_runtime import metrics
from territory_runtime.background_task import BackgroundTask
from territory_runtime.loop.task_loop import TaskLoop

log = structlog.get_logger("territory")

STEP_SECONDS = 0.5
LOOKED_AT_MAX = 500
"""Deals or sums in one look: some milliseconds, in which no turn begins."""


class Watch:
    """Where the walk is: organisation by organisation, of one partition after the other."""

    def __init__(self) -> None:
        self._left: deque[tuple[int, str]] = deque()

    def step(self, folds: Mapping[int, PartialSumsFold], count: int) -> Counter[DriftKind]:
        """Look at so many deals or sums; return what is wrong. No turn may be under way."""
        wrong: Counter[DriftKind] = Counter()
        if not self._left:
            self._left.extend((number, org_id) for number in sorted(folds) for org_id in folds[number].orgs())
        if not self._left:
            return wrong
        number, org_id = self._left[0]
        has_ended = True
        if number in folds:  # else it went to another worker
            has_ended, wrong = folds[number].audit(org_id, min(count, LOOKED_AT_MAX))
        if has_ended:
            self._left.popleft()
        for kind, found in wrong.items():
            metrics.FORECAST_DRIFT.labels(kind=kind).inc(found)
        if wrong:
            log.error("sums are not what the deals come to", counts=dict(wrong), org_id=org_id, partition=number)
        return wrong


class SumsMonitor(BackgroundTask):
    """Keeps looking, at so many deals or sums a second."""

    def __init__(self, loop: TaskLoop, per_second: float) -> None:
        super().__init__(per_second, STEP_SECONDS)
        self._stage = loop
        self._watch = Watch()

    async def look(self, count: int) -> None:
        """Go on with the walk, between two turns."""

        async def step(folds: Mapping[int, PartialSumsFold]) -> None:
            self._watch.step(folds, count)

        await self._stage.between_batches(step)
