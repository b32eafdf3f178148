"""Audits the sums of this worker all the time, a few deals and sums a second.

Drift is a fault of our own or of the machine's memory. It is counted and logged; a restart counts the deals again.
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
STEP_CHECKS_MAX = 250
"""Deals or sums checked in one step: some 10 ms, during which no batch begins."""


class AuditRotation:
    """Audits every organisation of every partition, one after the other, and starts again."""

    def __init__(self) -> None:
        self._due: deque[tuple[int, str]] = deque()

    def step(self, folds: Mapping[int, PartialSumsFold], count: int) -> Counter[DriftKind]:
        """Check up to `count` deals or sums; return the drift found. No batch may be under way."""
        drift: Counter[DriftKind] = Counter()
        if not self._due:
            self._due.extend((number, org_id) for number in sorted(folds) for org_id in folds[number].orgs())
        if not self._due:
            return drift
        number, org_id = self._due[0]
        has_ended = True
        if number in folds:  # otherwise another worker has the partition now
            has_ended, drift = folds[number].audit(org_id, min(count, STEP_CHECKS_MAX))
        if has_ended:
            self._due.popleft()
        for kind, found in drift.items():
            metrics.FORECAST_DRIFT.labels(kind=kind).inc(found)
        if drift:
            log.error("sums do not match the deals", counts=dict(drift), org_id=org_id, partition=number)
        return drift


class SumsMonitor(BackgroundTask):
    """Runs the audit beside the stage, at a number of deals or sums a second."""

    def __init__(self, loop: TaskLoop, per_second: float) -> None:
        super().__init__(per_second, STEP_SECONDS)
        self._task_loop = loop
        self._rotation = AuditRotation()

    async def look(self, count: int) -> None:
        """Continue the audit between two batches."""

        async def step(folds: Mapping[int, PartialSumsFold]) -> None:
            self._rotation.step(folds, count)

        await self._task_loop.between_batches(step)
