"""What a stage tells of itself: counts once a turn, and how far it is whenever its page is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.stage import Effects
from territory_runtime import metrics
from territory_runtime.loop.partition_task import PartitionTask

log = structlog.get_logger("territory")


class StageMetrics:
    """The metrics of one stage of this worker.

    What stands at a moment (lag, records, partitions) is looked at when it is asked for, so it is
    true also of a worker that has waited in one turn for an hour.
    """

    def __init__(
        self,
        stage: str,
        topics: Iterable[str],
        consumer: AIOKafkaConsumer,
        held: Mapping[int, PartitionTask],
        assigned: Callable[[], AbstractSet[int]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Look at a consumer and at what is held; both are the loop's own, and change."""
        self._stage = stage
        self._consumer = consumer
        self._held = held
        self._clock = clock
        self._since: dict[TopicPartition, float] = {}
        """By partition, nothing that waits there has waited since before this, in seconds of Unix time."""
        for topic in topics:
            for outcome in ("taken", "refused"):
                metrics.EVENTS.labels(topic=topic, outcome=outcome)  # from 0 on: else the first one is no increase
            metrics.LAG_RECORDS.labels(topic=topic).set_function(partial(self._lag_records, topic))
            metrics.LAG_SECONDS.labels(topic=topic).set_function(partial(self._lag_seconds, topic))
        metrics.PARTITIONS.labels(stage=stage).set_function(lambda: len(self._held))
        metrics.RESTORING.labels(stage=stage).set_function(lambda: len(assigned() - self._held.keys()))
        metrics.RECORDS.labels(stage=stage).set_function(lambda: sum(len(one.fold) for one in self._held.values()))
        metrics.SWEEP_REMAINING.labels(stage=stage).set_function(
            lambda: sum(one.to_sweep for one in self._held.values())
        )

    def turn(self, effects: Effects, found: Mapping[TopicPartition, list[ConsumerRecord]], started: float) -> None:
        """Count what a turn has taken and done; it began at a time of the monotonic clock, and is committed."""
        taken = 0
        for where, messages in found.items():
            taken += len(messages)
            metrics.EVENTS.labels(topic=where.topic, outcome="taken").inc(len(messages))
            if messages:
                self._since[where] = messages[-1].timestamp / 1000
        for outcome, count in effects.outcomes.items():
            metrics.OUTCOMES.labels(stage=self._stage, outcome=outcome).inc(count)
        if taken:
            metrics.TURN_RECORDS.labels(stage=self._stage).observe(taken)
        metrics.TURN.labels(stage=self._stage).observe(time.monotonic() - started)

    def restored(self, number: int, held: PartitionTask, started: float) -> None:
        """Tell of a partition that was read back; it began at a time of the monotonic clock."""
        for where in [where for where in self._since if where.partition == number]:
            del self._since[where]  # of an earlier time that it was ours
        seconds = time.monotonic() - started
        metrics.RESTORE.labels(stage=self._stage).observe(seconds)
        log.info(
            "partition restored", stage=self._stage, partition=number, records=len(held.fold),
            to_sweep=sorted(held.sweeps)[:10], seconds=round(seconds, 3),
        )  # fmt: skip

    def _behind(self, topic: str) -> dict[TopicPartition, int]:
        """Return by partition how many messages are known to wait; where none does, that is noted."""
        behind: dict[TopicPartition, int] = {}
        for number, part in self._held.items():
            where = TopicPartition(topic, number)
            highwater = self._consumer.highwater(where) if where in self._consumer.assignment() else None
            if highwater is None:  # nothing was fetched yet
                continue
            behind[where] = max(0, highwater - part.next_offsets.get(topic, 0))
            if not behind[where]:
                self._since[where] = self._clock()
        return behind

    def _lag_records(self, topic: str) -> float:
        return sum(self._behind(topic).values())

    def _lag_seconds(self, topic: str) -> float:
        """Return how long the oldest message that waits has waited, at most.

        It came after the last one that was taken, and after the last look that found none waiting.
        """
        now = self._clock()
        return max((now - self._since.get(where, now) for where, n in self._behind(topic).items() if n), default=0.0)
