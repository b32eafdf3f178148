"""What a stage tells of itself."""

from __future__ import annotations

from typing import Any, cast

from territory_runtime.loop.batch import Batch
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import LogReader, TopicPartition
from territory_runtime.loop.stage_metrics import FIELDS_MAX, OTHER_FIELD, StageMetrics
from territory_runtime.metrics import REGISTRY

TOPIC = "crm.records.v1"
STAGE = "assigner-intake"
WHERE = TopicPartition(TOPIC, 0)


class _Consumer:
    """Knows how far each of its partitions goes, once it has fetched from it."""

    def __init__(self) -> None:
        self.ends: dict[TopicPartition, int | None] = {WHERE: 0}

    def known_end(self, where: TopicPartition) -> int | None:
        return self.ends.get(where)


class _Records:
    """A fold of three records."""

    unfinished_from = None

    def __len__(self) -> int:
        return 3


class _Worker:
    """A stage of one partition, a consumer and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.consumer = _Consumer()
        fold: Any = _Records()
        self.held = {0: PartitionTask(fold, {TOPIC: 0})}
        self.assigned = frozenset({0})
        self.counting = StageMetrics(
            STAGE, [TOPIC], cast(LogReader, self.consumer), self.held, lambda: self.assigned, clock=lambda: self.now
        )

    def take(self, messages: int, sent_at: float) -> None:
        """Take and commit messages of a time."""
        self.held[0].committed_offsets[TOPIC] += messages
        self.counting.batch(Batch(), {WHERE: (messages, int(sent_at * 1000))}, 0.1)


def said(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, name
    return value


def test_lag_is_looked_at_when_it_is_asked_for() -> None:
    """A worker that is in the middle of a turn, or waits for Redis there, is behind (territory_lag_records)."""
    worker = _Worker()
    assert said("territory_lag_records", topic=TOPIC) == 0
    worker.consumer.ends[WHERE] = 7
    assert said("territory_lag_records", topic=TOPIC) == 7
    worker.take(5, worker.now)
    assert said("territory_lag_records", topic=TOPIC) == 2


def test_lag_in_seconds_is_how_long_the_oldest_has_waited() -> None:
    """It came after the last that was taken, and after a look that found none waiting (territory_lag_seconds)."""
    worker = _Worker()
    assert said("territory_lag_seconds", topic=TOPIC) == 0
    worker.consumer.ends[WHERE] = 10
    worker.now += 30
    assert said("territory_lag_seconds", topic=TOPIC) == 30
    worker.take(5, worker.now - 20)
    assert said("territory_lag_seconds", topic=TOPIC) == 20
    worker.take(5, worker.now - 15)
    assert said("territory_lag_seconds", topic=TOPIC) == 0
    worker.now += 3_600  # nothing comes for an hour, and then one
    assert said("territory_lag_seconds", topic=TOPIC) == 0
    worker.consumer.ends[WHERE] = 11
    worker.now += 1
    assert said("territory_lag_seconds", topic=TOPIC) == 1


def test_an_unknown_end_is_no_lag() -> None:
    """Before the first fetch of a partition nobody knows its end; nor of one that went to another worker."""
    worker = _Worker()
    worker.consumer.ends[WHERE] = None
    assert said("territory_lag_records", topic=TOPIC) == 0
    worker.consumer.ends.clear()
    assert said("territory_lag_records", topic=TOPIC) == 0


def test_a_partition_that_comes_back_waits_anew() -> None:
    """What was known of it when it was ours before is no measure of how long its messages wait now."""
    worker = _Worker()
    worker.take(1, worker.now)
    worker.now += 3_600
    worker.counting.restored(0, worker.held[0], 0.1)
    worker.consumer.ends[WHERE] = 9
    assert said("territory_lag_seconds", topic=TOPIC) == 0


def test_partitions_that_are_not_in_memory_are_being_restored() -> None:
    """Between being given a partition and having its memory (territory_restoring_partitions)."""
    worker = _Worker()
    worker.assigned = frozenset({0, 1, 2})
    assert said("territory_restoring_partitions", stage=STAGE) == 2
    assert said("territory_partitions", stage=STAGE) == 1
    assert said("territory_records", stage=STAGE) == 3
    before = said("territory_restore_seconds_count", stage=STAGE)
    worker.counting.restored(0, worker.held[0], 0.1)
    assert said("territory_restore_seconds_count", stage=STAGE) == before + 1


def test_a_turn_counts_what_it_took() -> None:
    """Messages by topic once a turn, and the size of its batch; a turn of a sweep alone has none."""
    worker = _Worker()
    taken = said("territory_events_total", topic=TOPIC, outcome="taken")
    worker.take(4, worker.now)
    assert said("territory_events_total", topic=TOPIC, outcome="taken") == taken + 4
    turns, batches = (said(f"territory_turn_{name}_count", stage=STAGE) for name in ("seconds", "records"))
    worker.counting.batch(Batch(), {}, 0.1)
    assert said("territory_turn_seconds_count", stage=STAGE) == turns + 1
    assert said("territory_turn_records_count", stage=STAGE) == batches


def test_the_first_refusal_is_an_increase() -> None:
    """Counters of what an alert looks at are there before anything was counted."""
    _Worker()
    assert said("territory_events_total", topic=TOPIC, outcome="refused") >= 0


def test_unreadable_values_have_a_bounded_number_of_series() -> None:
    """Values are counted by field; fields beyond the first so many count as `other` (C6, no ids as labels)."""
    worker = _Worker()
    batch = Batch()
    batch.effects.unreadable.update({("account", f"field-{number}"): 2 for number in range(FIELDS_MAX + 3)})
    for _ in range(2):
        worker.counting.batch(batch, {}, 0.1)
    assert said("territory_unreadable_values_total", object="account", field="field-0") == 4
    assert said("territory_unreadable_values_total", object="account", field=OTHER_FIELD) == 12
