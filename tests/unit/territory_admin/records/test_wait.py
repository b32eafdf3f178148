from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from territory.wire.topics import ASSIGNMENTS, FAMILIES, MODEL, PARTIALS, RECORDS, RELEASES, SUBSCRIPTIONS
from territory_admin.records.wait import PIPELINE, Goal, Pipeline, StageGroup, StageProgress, Waited, wait_for_pipeline

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


def test_an_input_that_the_workers_do_not_know_is_not_waited_for() -> None:
    """Workers of an earlier version never commit it; today's commit all inputs when they begin."""
    [first, later] = (TopicPartition(topic.name, 0) for topic in BOTH.topics)
    goal = Goal(BOTH, {first: 0, later: 0}, {first: 5, later: 7}, 3)
    assert goal.behind({first: (5, "3")}) == goal.behind({first: (5, "3"), later: (-1, "")}) == []
    assert [item.messages for item in goal.behind({first: (5, "3"), later: (6, "3")})] == [1]
    assert [item.topic for item in goal.behind({later: (7, "3")})] == [first.topic]


def test_an_input_that_the_workers_do_not_know_after_a_rollback_is_not_waited_for() -> None:
    """Workers of an earlier version leave the commit of their successors as it is; its text differs from theirs."""
    [first, later] = (TopicPartition(topic.name, 0) for topic in BOTH.topics)
    goal = Goal(BOTH, {first: 0, later: 0}, {first: 5, later: 7}, 4)
    assert goal.behind({first: (5, "4 # 3 12"), later: (6, "3 # 2 10 @ 2")}) == []
    assert [item.topic for item in goal.behind({first: (4, "4 # 3 12"), later: (6, "3 # 2 10 @ 2")})] == [first.topic]
    assert len(goal.behind({first: (5, "3 # 4 12 @ 2"), later: (6, "3 # 4 12 @ 2")})) == 2


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


# --- the whole pipeline -----------------------------------------------------------------------

INTAKE, ASSIGNMENT = PIPELINE[0].name, PIPELINE[1].name
OUTPUTS = {INTAKE: FAMILIES, ASSIGNMENT: ASSIGNMENTS, "forecast-aggregator": PARTIALS}


class Kafka:
    """One partition of every topic; from pause `idle` on, a stage commits a message at each pause.

    The assignment stage releases a record `releases` times, each time after intake consumed the release before; and
    it sends itself `copies` messages, one after the other.
    """

    def __init__(self, records: int, releases: int = 0, idle: int = 0, copies: int = 0) -> None:
        self.ends = {topic.name: 0 for stage in PIPELINE for topic in stage.topics} | {RECORDS.name: records}
        self.committed = dict.fromkeys(((stage.name, topic.name) for stage in PIPELINE for topic in stage.topics), 0)
        self.releases = releases
        self.copies = copies
        self.idle = idle
        self.pauses: list[float] = []

    async def consumer(self) -> Kafka:
        return self

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {where: self.ends.get(where.topic, 4) for where in partitions}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def committed_offsets(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str]]:
        return {where: (self.committed[group, where.topic], "3") for where in partitions}

    async def has_members(self, group: str) -> bool:
        return group != ASSIGNMENT

    async def sleep(self, seconds: float) -> None:
        """Let the last stage that is behind consume a message and publish another one."""
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        if len(self.pauses) <= self.idle:
            return
        behind = [(group, topic) for group, topic in self.committed if self.is_behind(group, topic)]
        if behind:
            group = behind[-1][0]
            topic = next(topic for other, topic in behind if other == group)
            self.committed[group, topic] += 1
            if group in OUTPUTS:
                self.ends[OUTPUTS[group].name] += 1
            if group == ASSIGNMENT and self.copies and not self.is_behind(ASSIGNMENT, SUBSCRIPTIONS.name):
                self.copies -= 1
                self.ends[SUBSCRIPTIONS.name] += 1
            if group == ASSIGNMENT and self.releases and not self.is_behind(INTAKE, RELEASES.name):
                self.releases -= 1
                self.ends[RELEASES.name] += 1

    def is_behind(self, group: str, topic: str) -> bool:
        return self.committed[group, topic] < self.ends[topic]

    @property
    def is_empty(self) -> bool:
        return not any(self.is_behind(group, topic) for group, topic in self.committed)


class Models:
    """A model topic whose newest activation is at offset 3."""

    position = 3

    @property
    def log(self) -> Models:
        return self

    async def read_to(self, end: int) -> None:
        assert end == 4, f"found the end {end}, expected that of {MODEL.name}"


def waited(kafka: Kafka, timeout_seconds: float = 60.0) -> Waited:
    parts: tuple[Any, Any] = (kafka, Models())
    stages = Pipeline(*parts, 1, sleep=kafka.sleep)
    return asyncio.run(wait_for_pipeline(stages, timeout_seconds, lambda *_: None))


def test_a_wait_ends_when_every_message_has_passed_all_stages() -> None:
    """A record that its family releases passes through the stages once more, and is waited for (A9)."""
    for releases in (0, 1, 2):
        kafka = Kafka(records=3, releases=releases)
        assert waited(kafka).done
        assert kafka.is_empty


def test_a_wait_includes_what_a_foreign_contact_takes() -> None:
    """A subscription to the contact and its copy, the same for its account: four messages in turn (A6)."""
    for releases in (0, 2):
        kafka = Kafka(records=1, releases=releases, copies=4)
        assert waited(kafka).done
        assert (kafka.copies, kafka.is_empty) == (0, True)


def test_a_wait_looks_often_at_first_and_less_often_later() -> None:
    """Commits are looked up after 10 ms, then after twice as long each time, up to 100 ms."""
    kafka = Kafka(records=1, idle=6)
    assert waited(kafka).done
    assert kafka.pauses[:6] == [0.01, 0.02, 0.04, 0.08, 0.1, 0.1]


def test_an_empty_pipeline_is_not_waited_for() -> None:
    """Without messages or sweeps left, a wait pauses nowhere."""
    kafka = Kafka(records=0)
    assert waited(kafka).done
    assert kafka.pauses == []


def test_a_timeout_names_the_stages_that_are_behind_and_absent() -> None:
    """Of the stages that are behind, those without a running service are named."""
    kafka = Kafka(records=1, idle=10**9)
    kafka.ends[FAMILIES.name] = 1
    ended = waited(kafka, timeout_seconds=0.01)
    assert (ended.done, {item.stage for item in ended.behind}, ended.absent) == (
        False,
        {INTAKE, ASSIGNMENT},
        (ASSIGNMENT,),
    )
