from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from territory.wire.topics import RECORDS, RELEASES
from territory_admin.records.wait import PIPELINE, Goal, StageGroup, StageProgress

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
SWEEPS = StageGroup("stage", (RECORDS,), sweeps=True)
BOTH = StageGroup("both", (RECORDS, RELEASES))
ENDS = {TopicPartition(topic.name, number): 5 for topic in BOTH.topics for number in (0, 1)}
OTHER = StageGroup("other", (RELEASES,), sweeps=False)


@pytest.mark.parametrize(
    ("committed", "position", "expected"),
    [
        ({A: (5, "3"), B: (0, "3")}, 3, []),
        ({A: (5, "7"), B: (9, "3")}, 3, []),
        ({A: (4, "3"), B: (0, "3")}, 3, [(0, 1, False)]),
        ({A: (5, "2"), B: (0, "3")}, 3, [(0, 0, True)]),
        ({A: (5, "")}, 3, [(0, 0, True), (1, 0, True)]),
        ({A: (5, "")}, -1, []),
        ({A: (5, "3 60"), B: (0, "7 60 > 9 60 : 5 of 8")}, 3, []),
        ({A: (5, "2 > 3 : 5 of 8"), B: (0, "3 60 > 3 90")}, 3, [(0, 0, True), (1, 0, True)]),
        ({}, -1, [(0, 5, False)]),
        ({A: (-1, ""), B: (-1, "")}, -1, [(0, 5, False)]),
    ],
)
def test_a_stage_is_behind_with_messages_or_a_sweep_left(
    committed: dict[TopicPartition, tuple[int, str]], position: int, expected: list[tuple[int, int, bool]]
) -> None:
    """A stage has reached a goal when it committed the ends, with metadata that says it swept for the activation.

    Later messages are not waited for, but a running sweep for a new day is. A partition without a
    commit is behind if it has messages, or if there is an activation.
    """
    goal = Goal(SWEEPS, {A: 0, B: 0}, {A: 5, B: 0}, position)
    assert [(item.partition, item.messages, item.unswept) for item in goal.behind(committed)] == expected


def test_a_group_that_does_not_sweep_needs_no_metadata() -> None:
    """For a group that does not sweep, only the offsets count."""
    assert Goal(OTHER, {A: 0}, {A: 5}, 9).behind({A: (5, "")}) == []


def test_messages_that_retention_removed_are_not_waited_for() -> None:
    """If the topic begins after the committed offset, only existing messages count."""
    assert Goal(OTHER, {A: 5}, {A: 5}, -1).behind({}) == []
    assert [item.messages for item in Goal(OTHER, {A: 3}, {A: 5}, -1).behind({A: (1, "")})] == [2]


def test_work_that_is_left_is_described() -> None:
    """The text names the stage, the topic, the partition, and the work that is left."""
    goal = Goal(SWEEPS, {A: 0}, {A: 5}, 3)
    assert [str(item) for item in goal.behind({A: (2, "")})] == [
        "stage: t [0]: 3 messages and a sweep under the newest model"
    ]
    assert [str(item) for item in goal.behind({A: (5, "2 > 3 : 4 of 9")})] == [
        "stage: t [0]: a sweep under the newest model (4 of 9 records)"
    ]


def test_the_progress_of_a_sweep_is_counted_in_records() -> None:
    """Messages are counted first; then the swept records of all partitions whose sweep has begun."""
    one, other = Goal(BOTH, ENDS, ENDS, 3), Goal(BOTH, dict.fromkeys(ENDS, 0), ENDS, 3)
    progress = StageProgress(BOTH)
    both = dict.fromkeys(ENDS, (5, "2 > 3 : 4 of 9"))
    assert progress.of(other.behind(dict.fromkeys(ENDS, (3, "2")))) == ("both", 0, 8)
    assert progress.of(other.behind(dict.fromkeys(ENDS, (4, "2")))) == ("both", 4, 8)
    assert progress.of(one.behind(dict.fromkeys(ENDS, (5, "2")))) == ("both", 8, 8)
    assert progress.of(one.behind(both)) == ("both: sweep", 10, 18)
    done = {where: (5, "3") for where in ENDS if where.partition == 0}
    assert progress.of(one.behind(both | done)) == ("both: sweep", 14, 18)


def test_a_sweep_under_an_older_model_does_not_count() -> None:
    """The newest model's sweep has not begun, so no records are reported."""
    [behind] = Goal(SWEEPS, {A: 5}, {A: 5}, 3).behind({A: (5, "1 > 2 : 4 of 9")})
    assert (behind.unswept, behind.records, behind.records_total) == (True, 0, 0)


def test_stages_are_in_the_order_of_the_pipeline() -> None:
    """Every stage is named by its consumer group, in the order in which a record passes through."""
    assert [stage.name for stage in PIPELINE] == [
        "assigner-intake",
        "assigner-assignment",
        "access-indexer",
        "forecast-aggregator",
        "forecast-totals",
    ]
