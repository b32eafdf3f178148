"""The metrics of a stage: counted once a batch, or read when the page is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

import structlog

from territory_runtime import metrics
from territory_runtime.loop.batch import Batch
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import LogReader, TopicPartition

FIELDS_MAX = 200
"""The most fields with unreadable values that have a series of their own."""
OTHER_FIELD = "other"

log = structlog.get_logger("territory")


class StageMetrics:
    """The metrics of one stage of this worker.

    Gauges (lag, records, partitions) are read when they are scraped, so they are right even for a worker that has
    waited within one batch for an hour.
    """

    def __init__(
        self,
        stage: str,
        topics: Collection[str],
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
        self._fields: set[tuple[str, str]] = set()
        self._since: dict[TopicPartition, float] = {}
        """By partition, no message that waits there has waited since before this, in seconds of Unix time."""
        # All are there from 0 on: a counter's first value is no increase. Finding one costs more than counting.
        self._taken = {topic: metrics.EVENTS.labels(topic=topic, outcome="taken") for topic in topics}
        self._refused = {topic: metrics.EVENTS.labels(topic=topic, outcome="refused") for topic in topics}
        self._batch_records = metrics.TURN_RECORDS.labels(stage=stage)
        self._batch_seconds = metrics.TURN.labels(stage=stage)
        for topic in topics:
            metrics.LAG_RECORDS.labels(topic=topic).set_function(partial(self._lag_records, topic))
            metrics.LAG_SECONDS.labels(topic=topic).set_function(partial(self._lag_seconds, topic))
        metrics.PARTITIONS.labels(stage=stage).set_function(lambda: len(self._tasks))
        metrics.RESTORING.labels(stage=stage).set_function(lambda: len(assigned() - self._tasks.keys()))
        metrics.RECORDS.labels(stage=stage).set_function(lambda: sum(len(task.fold) for task in self._tasks.values()))
        metrics.SWEEP_REMAINING.labels(stage=stage).set_function(
            lambda: sum(task.records_to_sweep for task in self._tasks.values())
        )

    def batch(self, batch: Batch, taken: Mapping[TopicPartition, tuple[int, int]], seconds: float) -> None:
        """Count a committed batch.

        Args:
            batch: What it produced.
            taken: By partition, how many messages it processed, and the timestamp of the last one in milliseconds.
            seconds: How long it took.
        """
        total = 0
        for where, (count, timestamp_ms) in taken.items():
            total += count
            self._taken[where.topic].inc(count)
            self._since[where] = timestamp_ms / 1000
        for letter in batch.dead_letters:
            self._refused[letter.topic].inc()
        for outcome, count in batch.effects.outcomes.items():
            metrics.OUTCOMES.labels(stage=self._stage, outcome=outcome).inc(count)
        for (object_type, name), count in batch.effects.unreadable.items():
            metrics.UNREADABLE.labels(object=object_type, field=self._field(object_type, name)).inc(count)
        if total:
            self._batch_records.observe(total)
        self._batch_seconds.observe(seconds)

    def _field(self, object_type: str, name: str) -> str:
        """Return the label of a field: its name, or `other` for those beyond the first `FIELDS_MAX` (all models)."""
        if (object_type, name) not in self._fields:
            if len(self._fields) >= FIELDS_MAX:
                return OTHER_FIELD
            self._fields.add((object_type, name))
        return name

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
