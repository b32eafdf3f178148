"""What a turn leaves in the metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.fold import Effects
from territory_runtime import metrics
from territory_runtime.held import Held


def count_turn(
    stage: str,
    consumer: AIOKafkaConsumer,
    held: Mapping[int, Held],
    effects: Effects,
    found: Mapping[TopicPartition, list[ConsumerRecord]],
) -> None:
    """Count what a turn has taken and done, and how far the partitions are behind after it."""
    lag: dict[str, int] = dict.fromkeys((topic for part in held.values() for topic in part.next_offsets), 0)
    oldest: dict[str, float] = dict.fromkeys(lag, 0.0)
    for where, messages in found.items():
        metrics.EVENTS.labels(topic=where.topic, outcome="taken").inc(len(messages))
    for number, part in held.items():
        for topic in lag:
            where = TopicPartition(topic, number)
            behind = max(0, (consumer.highwater(where) or 0) - part.next_offsets.get(topic, 0))
            lag[topic] += behind
            if behind and found.get(where):
                oldest[topic] = max(oldest[topic], time.time() - found[where][-1].timestamp / 1000)
    for topic, behind in lag.items():
        metrics.LAG_RECORDS.labels(topic=topic).set(behind)
        metrics.LAG_SECONDS.labels(topic=topic).set(oldest[topic])
    for outcome, count in effects.outcomes.items():
        metrics.OUTCOMES.labels(stage=stage, outcome=outcome).inc(count)
    metrics.RECORDS.labels(stage=stage).set(sum(len(part.fold) for part in held.values()))
    metrics.SWEEP_REMAINING.labels(stage=stage).set(sum(part.to_sweep for part in held.values()))
