"""The metrics of a stage: counted once a batch, or read when the page is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

import structlog

from territory.stage import Effects
from territory_runtime import metrics
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import LogReader, TopicPartition

log = structlog.get_logger("territory")


class StageMetrics:
    """The metrics of one stage of this worker.

    Gauges (lag, records, partitions) are read when they are scraped, so they are right even for a worker that has
    waited within one batch for an hour.
    """

    def __init__(
        self,
        stage: str,
        topics: Iterable[str],
        reader: LogReader,
        tasks: Mapping[int, PartitionTask],
        assigned: Callable[[], AbstractSet[int]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch a reader and the tasks; both are the loop's own, and change."""
        self._stage = stage
        self._reader = reader
        self._tasks = tasks
        self._clock = clock
        self._since: dict[TopicPartition, float] = {}
        """By partition, no message that waits there has waited since before this, in seconds of Unix time."""
        for topic in topics:
            for outcome in ("taken", "refused"):
                metrics.EVENTS.labels(topic=topic, outcome=outcome)  # from 0 on: else the first one is no increase
            metrics.LAG_RECORDS.labels(topic=topic).set_function(partial(self._lag_records, topic))
            metrics.LAG_SECONDS.labels(topic=topic).set_function(partial(self._lag_seconds, topic))
        metrics.PARTITIONS.labels(stage=stage).set_function(lambda: len(self._tasks))
        metrics.RESTORING.labels(stage=stage).set_function(lambda: len(assigned() - self._tasks.keys()))
        metrics.RECORDS.labels(stage=stage).set_function(lambda: sum(len(task.fold) for task in self._tasks.values()))
        metrics.SWEEP_REMAINING.labels(stage=stage).set_function(
            lambda: sum(task.records_to_sweep for task in self._tasks.values())
        )

    def batch(self, effects: Effects, taken: Mapping[TopicPartition, tuple[int, int]], seconds: float) -> None:
        """Count a committed batch.

        Args:
            effects: What it produced.
            taken: By partition, how many messages it processed, and the timestamp of the last one in milliseconds.
            seconds: How long it took.
        """
        total = 0
        for where, (count, timestamp_ms) in taken.items():
            total += count
            metrics.EVENTS.labels(topic=where.topic, outcome="taken").inc(count)
            self._since[where] = timestamp_ms / 1000
        for outcome, count in effects.outcomes.items():
            metrics.OUTCOMES.labels(stage=self._stage, outcome=outcome).inc(count)
        if total:
            metrics.TURN_RECORDS.labels(stage=self._stage).observe(total)
        metrics.TURN.labels(stage=self._stage).observe(seconds)

    def restored(self, number: int, task: PartitionTask, seconds: float) -> None:
        """Count a restored partition, and log it."""
        for where in [where for where in self._since if where.partition == number]:
            del self._since[where]  # of an earlier time on this worker
        metrics.RESTORE.labels(stage=self._stage).observe(seconds)
        log.info(
            "partition restored", stage=self._stage, partition=number, records=len(task.fold),
            to_sweep=sorted(task.sweeps)[:10], seconds=round(seconds, 3),
        )  # fmt: skip

    def _lag(self, topic: str) -> dict[TopicPartition, int]:
        """Return by partition how many messages are known to wait."""
        lag: dict[TopicPartition, int] = {}
        for number, task in self._tasks.items():
            where = TopicPartition(topic, number)
            end = self._reader.known_end(where)
            if end is None:  # nothing was fetched yet
                continue
            lag[where] = max(0, end - task.committed_offsets.get(topic, 0))
            if not lag[where]:
                self._since[where] = self._clock()
        return lag

    def _lag_records(self, topic: str) -> float:
        return sum(self._lag(topic).values())

    def _lag_seconds(self, topic: str) -> float:
        """Return how long the oldest waiting message has waited, at most.

        It came after the last one that was processed, and after the last scrape that found none waiting.
        """
        now = self._clock()
        return max((now - self._since.get(where, now) for where, lag in self._lag(topic).items() if lag), default=0.0)
