"""How far the services are: whether everything that was said before has come through to Redis.

Every stage commits its offsets after what follows from them is said and stored, and beside
them a note of the models that it has swept for, and how far it is with the next. So a stage that has reached the
ends that its topics had at some moment has done all that was asked of it until then, and what
it said is within the ends of the next stage's topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from territory.wire.topics import ASSIGNMENTS, FAMILIES, PARTIALS, RECORDS, RELEASES, Topic
from territory_admin.log.topic_reader import (
    committed_offsets,
    existing_partitions,
    partitions_of,
    started,
    when_coordinated,
)
from territory_admin.models.topic import Activated, ModelTopicReader, model_topic
from territory_runtime.kafka import clients
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.settings import Settings

POLL_SECONDS = 0.1
# A record that moves to another family goes round once more, by way of its release; one that is
# deleted meanwhile a second time. The third round finds nothing to do unless there is news.
ROUNDS = 3

Report = Callable[[str, int, int], None]
"""Is told what is waited for, and how much of it is done of how much: messages of a stage, or records of its sweep."""


@dataclass(frozen=True, slots=True)
class StageGroup:
    """One stage by its consumer group, with the topics that it reads."""

    name: str
    topics: tuple[Topic, ...]
    sweeps: bool = True
    """Whether it commits a note of the swept models beside its offsets; another reader of our topics does not."""


PIPELINE = (
    StageGroup("assigner-intake", (RECORDS, RELEASES)),
    StageGroup("assigner-assignment", (FAMILIES,)),
    StageGroup("access-indexer", (ASSIGNMENTS,)),
    StageGroup("forecast-aggregator", (ASSIGNMENTS,)),
    StageGroup("forecast-totals", (PARTIALS,)),
)
"""In the order in which a record goes through them."""


@dataclass(frozen=True, slots=True)
class Behind:
    """What a stage has yet to do on one partition."""

    stage: str
    topic: str
    partition: int
    messages: int
    """How many offsets it is behind."""
    unswept: bool
    """Whether the newest model, or the day, has yet to reach all of its records."""
    records: int = 0
    """At most so many records have yet to be reached by the sweep that is under way."""
    records_total: int = 0
    """Of how many when it began; 0 where it has not."""

    def __str__(self) -> str:
        parts = [f"{self.messages} messages"] if self.messages else []
        if self.unswept:
            left = f" ({self.records} of {self.records_total} records)" if self.records_total else ""
            parts.append(f"a sweep under the newest model{left}")
        return f"{self.stage}: {self.topic} [{self.partition}]: {' and '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Waited:
    """How a wait ended."""

    done: bool
    seconds: float
    behind: tuple[Behind, ...]
    absent: tuple[str, ...]
    """Stages that are behind and that no service is running for."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a stage has to reach: the ends that its topics had, and a position on the model topic."""

    stage: StageGroup
    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    position: int

    def ends_of(self, number: int) -> dict[TopicPartition, int]:
        """Return the ends that a partition has in each of the stage's topics."""
        return {where: end for where, end in self.ends.items() if where.partition == number}

    def behind(self, committed: Mapping[TopicPartition, tuple[int, str]]) -> list[Behind]:
        """Return where the stage falls short of it, given its offsets and what stands beside them."""
        found: list[Behind] = []
        for where in sorted(self.ends):
            offset, beside = committed.get(where, (0, ""))
            messages = max(0, self.ends[where] - max(offset, self.begins[where]))
            note = CommitMetadata.read(beside)
            # A day's sweep that is under way is waited for, too: what it says follows from what was said before.
            is_swept = note.applied.position >= self.position and note.applied.instant == note.target.instant
            unswept = self.stage.sweeps and not is_swept
            if messages or unswept:
                begun = unswept and note.target.position >= self.position
                records = (note.remaining, note.total) if begun else (0, 0)
                found.append(Behind(self.stage.name, where.topic, where.partition, messages, unswept, *records))
        return found


class Pipeline:
    """The stages as Kafka knows them."""

    def __init__(
        self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, models: ModelTopicReader, partitions: int
    ) -> None:
        self._admin = admin
        self._reader = reader
        self._models = models
        self._partitions = partitions

    async def activated(self, org_id: str) -> Activated:
        """Return what is in effect for an organisation now. Raises: NotFound."""
        await self._models.read_on()
        return self._models.log.required(org_id)

    async def goal(self, stage: StageGroup, position: int | None = None) -> Goal:
        """Return what a stage has to reach so that all that was said until now has come through it.

        Up to a position of the model topic; by default to its newest activation.
        """
        if position is None:
            await self._models.read_on()
            position = self._models.log.position
        places = [where for topic in stage.topics for where in partitions_of(topic, self._partitions)]
        ends = await self._reader.end_offsets(places)
        begins = await self._reader.beginning_offsets(places)
        return Goal(stage, begins, ends, position)

    async def behind(self, goal: Goal) -> list[Behind]:
        """Return where a goal is not reached yet."""
        return goal.behind(await committed_offsets(self._admin, goal.stage.name, list(goal.ends)))

    async def all_behind(self) -> list[Behind]:
        """Return where any stage is behind now."""
        return [item for stage in PIPELINE for item in await self.behind(await self.goal(stage))]

    async def absent(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return those stages whose consumer group has no member."""
        return tuple([stage for stage in stages if not await self._has_members(stage)])

    async def _has_members(self, group: str) -> bool:
        # One by one: the embedded broker hangs up when asked about several.
        described = await when_coordinated(lambda: self._admin.describe_consumer_groups([group]))
        return any(members for response in described for _, _, _, _, _, members, *_ in response.groups)


@asynccontextmanager
async def pipeline(settings: Settings) -> AsyncIterator[Pipeline]:
    """Connect to where the stages' offsets are. Raises: NotFound when nothing ran there yet; KafkaError."""
    partitions = await existing_partitions(settings)
    async with (
        started(clients.group_admin(settings)) as admin,
        started(clients.reader(settings)) as reader,
        model_topic(settings) as models,
    ):
        yield Pipeline(admin, reader, models, partitions)


async def absent_stages(settings: Settings) -> tuple[str, ...]:
    """Return the stages that no service is running for. Raises: NotFound, KafkaError."""
    async with pipeline(settings) as stages:
        return await stages.absent([stage.name for stage in PIPELINE])


async def wait(settings: Settings, timeout_seconds: float, report: Report) -> Waited:
    """Wait until all that was published and activated before has come through, or until the timeout.

    It ends also while others go on publishing: what comes later is not waited for.

    Raises: NotFound when nothing ran there yet; KafkaError.
    """
    began = time.monotonic()
    async with pipeline(settings) as stages:
        try:
            async with asyncio.timeout(timeout_seconds):
                for _ in range(ROUNDS):
                    for stage in PIPELINE:
                        await reach(stages, await stages.goal(stage), report)
        except TimeoutError:
            behind = await stages.all_behind()
            absent = await stages.absent(list(dict.fromkeys(item.stage for item in behind)))
            return Waited(False, round(time.monotonic() - began, 3), tuple(behind), absent)
    return Waited(True, round(time.monotonic() - began, 3), (), ())


async def reach(stages: Pipeline, goal: Goal, report: Report) -> None:
    """Wait until a stage has reached a goal."""
    bars = Bars(goal.stage)
    while behind := await stages.behind(goal):
        report(*bars.after(behind))
        await asyncio.sleep(POLL_SECONDS)


class Bars:
    """How far a stage is on its way to a goal, for people to look at: its messages first, then its sweep."""

    def __init__(self, stage: StageGroup) -> None:
        self._stage = stage
        self._messages: int | None = None
        self._records: dict[int, int] = {}
        """By partition, how many records its sweep began with."""

    def after(self, behind: Sequence[Behind]) -> tuple[str, int, int]:
        """Return what is waited for, how much of it is done, and of how much."""
        messages = sum(item.messages for item in behind)
        if self._messages is None:
            self._messages = messages
        # A partition is swept once, whatever the number of topics that its offsets are committed of.
        sweeps = [item for item in behind if item.topic == self._stage.topics[0].name]
        for item in sweeps:
            self._records[item.partition] = max(item.records_total, self._records.get(item.partition, 0))
        total = sum(self._records.values())
        if messages or not total:
            return self._stage.name, self._messages - messages, self._messages
        return f"{self._stage.name}: sweep", total - sum(item.records for item in sweeps), total
