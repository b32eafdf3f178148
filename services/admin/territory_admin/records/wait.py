"""Waits until everything that was published has passed through all stages and is in Redis.

A stage commits an offset after it has published and stored what follows from the messages before it. Its
commit metadata names the models under which it has swept its records. So a stage that has committed the end
offsets of its topics has published all that follows from them, and that lies below the end offsets that
the next stage's topics have then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition

from territory.wire.topics import ASSIGNMENTS, FAMILIES, PARTIALS, RECORDS, RELEASES, SUBSCRIPTIONS, Topic
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.topic import MODEL_PARTITION, Activated, ModelTopicReader
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.settings import Settings

POLL_SECONDS_MIN = 0.01
POLL_SECONDS_MAX = 0.1
# A change on another partition than its record's passes through intake a second time (A13). A record that moves to
# another family passes through the stages once more, by way of its release; one that is deleted meanwhile again.
ROUNDS = 4
# A deal that names a contact of another family waits for its copy, and for that of the contact's account. Each is asked
# for and answered on the second stage's own topic.
EXCHANGES = 4

OnProgress = Callable[[str, int, int], None]
"""Called with the stage that is waited for, how much of its work is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class StageGroup:
    """A stage as Kafka knows it: its consumer group and its input topics."""

    name: str
    topics: tuple[Topic, ...]
    sweeps: bool = True
    """Whether its commit metadata names the models it has swept for; consumers that are not ours have none."""


PIPELINE = (
    StageGroup("assigner-intake", (RECORDS, RELEASES)),
    StageGroup("assigner-assignment", (FAMILIES, SUBSCRIPTIONS)),
    StageGroup("access-indexer", (ASSIGNMENTS,)),
    StageGroup("forecast-aggregator", (ASSIGNMENTS,)),
    StageGroup("forecast-totals", (PARTIALS,)),
)
"""The stages in the order in which a record passes through them."""
PASSES = (*(PIPELINE[:2] * ROUNDS), *([PIPELINE[1]] * EXCHANGES), *PIPELINE[2:])
"""The stages in the order in which everything that follows from a record has passed through them."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The work that a stage has left on one partition."""

    stage: str
    topic: str
    partition: int
    messages: int
    """How many offsets it is behind."""
    unswept: bool
    """Whether it has yet to finish the sweep for the newest model, or for a new day."""
    records: int = 0
    """The most records that the running sweep has left."""
    records_total: int = 0
    """The records that the sweep began with; 0 if it has not begun."""

    def __str__(self) -> str:
        parts = [f"{self.messages} messages"] if self.messages else []
        if self.unswept:
            left = f" ({self.records} of {self.records_total} records)" if self.records_total else ""
            parts.append(f"a sweep under the newest model{left}")
        return f"{self.stage}: {self.topic} [{self.partition}]: {' and '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Waited:
    """The outcome of a wait."""

    done: bool
    seconds: float
    behind: tuple[Behind, ...]
    absent: tuple[str, ...]
    """Stages that are behind and that no service runs."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a stage has to commit: the end offsets of its topics, and a sweep up to a position of the model topic."""

    stage: StageGroup
    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    position: int

    def ends_of(self, number: int) -> dict[TopicPartition, int]:
        """Return the end offsets of the partitions with one number."""
        return {where: end for where, end in self.ends.items() if where.partition == number}

    def behind(self, committed: Mapping[TopicPartition, tuple[int, str]]) -> list[Behind]:
        """Return the work that is left, given the stage's committed offsets and their metadata."""
        found: list[Behind] = []
        first, *others = [topic.name for topic in self.stage.topics]
        for where in sorted(self.ends):
            offset, text = committed.get(where, (0, ""))
            if where.topic in others:
                # The workers may be of a version that does not read it, perhaps after a rollback. Those that read it
                # commit all inputs at once, with one text.
                _, of_first = committed.get(TopicPartition(first, where.partition), (0, ""))
                if where not in committed or offset < 0 or text != of_first:
                    continue
            messages = max(0, self.ends[where] - max(offset, self.begins[where]))
            metadata = CommitMetadata.read(text)
            # A running sweep for a new day counts as well: it follows from what was published before.
            is_swept = (
                metadata.applied.position >= self.position and metadata.applied.instant == metadata.target.instant
            )
            unswept = self.stage.sweeps and not is_swept
            if messages or unswept:
                has_begun = unswept and metadata.target.position >= self.position
                records = (metadata.remaining, metadata.total) if has_begun else (0, 0)
                found.append(Behind(self.stage.name, where.topic, where.partition, messages, unswept, *records))
        return found


class Pipeline:
    """The progress of all stages, by the offsets that they have committed."""

    def __init__(
        self,
        kafka: KafkaSession,
        models: ModelTopicReader,
        partitions: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Follow the stages over a session.

        Args:
            kafka: The session.
            models: The model topic, as far as it was read.
            partitions: The partition count that the topics share.
            sleep: Pauses between two looks, for some seconds.
        """
        self.kafka = kafka
        self._sleep = sleep
        self._models = models
        self._partitions = partitions
        self._begins: dict[TopicPartition, int] = {}

    async def activated(self, org_id: str) -> Activated:
        """Return the active model of an organisation. Raises: NotFound, KafkaError."""
        await self._models.read_on()
        return self._models.log.required(org_id)

    async def goal(self, stage: StageGroup, position: int | None = None) -> Goal:
        """Return what a stage has to commit so that everything published before now has passed through it.

        Args:
            stage: The stage.
            position: The position of the model topic that it has to sweep for; by default its newest activation.

        Raises: KafkaError.
        """
        consumer = await self.kafka.consumer()
        partitions = [where for topic in stage.topics for where in partitions_of(topic, self._partitions)]
        ends = await consumer.end_offsets([*partitions, MODEL_PARTITION])
        model_end = ends.pop(MODEL_PARTITION)
        if position is None:
            await self._models.read_to(model_end)
            position = self._models.log.position
        if partitions[0] not in self._begins:
            self._begins |= await consumer.beginning_offsets(partitions)
        return Goal(stage, {where: self._begins[where] for where in partitions}, ends, position)

    async def behind(self, goal: Goal) -> list[Behind]:
        """Return the work that is left until a goal is reached. Raises: KafkaError."""
        return goal.behind(await self.kafka.committed_offsets(goal.stage.name, list(goal.ends)))

    async def all_behind(self) -> list[Behind]:
        """Return the work that all stages have left now. Raises: KafkaError."""
        return [item for stage in PIPELINE for item in await self.behind(await self.goal(stage))]

    async def reach(self, goal: Goal, report: OnProgress) -> None:
        """Wait until a stage has reached a goal. Raises: KafkaError."""
        progress = StageProgress(goal.stage)
        pause = POLL_SECONDS_MIN
        while behind := await self.behind(goal):
            report(*progress.of(behind))
            await self._sleep(pause)  # Kafka notifies nobody of commits
            pause = min(2 * pause, POLL_SECONDS_MAX)

    async def absent(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return the stages whose consumer group has no member. Raises: KafkaError."""
        return tuple([stage for stage in stages if not await self.kafka.has_members(stage)])


@asynccontextmanager
async def pipeline(settings: Settings) -> AsyncIterator[Pipeline]:
    """Open the pipeline over connections of its own. Raises: NotFound before the services first ran; KafkaError."""
    async with kafka_session(settings) as kafka:
        partitions = await kafka.existing_partitions()
        yield Pipeline(kafka, ModelTopicReader(kafka), partitions)


async def absent_stages(settings: Settings) -> tuple[str, ...]:
    """Return the stages that no service runs. Raises: NotFound, KafkaError."""
    async with pipeline(settings) as stages:
        return await stages.absent([stage.name for stage in PIPELINE])


async def wait(settings: Settings, timeout_seconds: float, report: OnProgress) -> Waited:
    """Wait until everything that was published and activated before has passed through all stages.

    It ends even while others keep publishing: later messages are not waited for.

    Args:
        settings: The brokers.
        timeout_seconds: How long to wait.
        report: Called with a stage, how much of its work is done, and how much there is.

    Raises: NotFound before the services first ran; KafkaError.
    """
    async with pipeline(settings) as stages:
        return await wait_for_pipeline(stages, timeout_seconds, report)


async def wait_for_pipeline(stages: Pipeline, timeout_seconds: float, report: OnProgress) -> Waited:
    """Wait as `wait` does, over an open pipeline. Raises: KafkaError."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout_seconds):
            for stage in PASSES:
                await stages.reach(await stages.goal(stage), report)
    except TimeoutError:
        behind = await stages.all_behind()
        absent = await stages.absent(list(dict.fromkeys(item.stage for item in behind)))
        return Waited(False, round(time.monotonic() - began, 3), tuple(behind), absent)
    return Waited(True, round(time.monotonic() - began, 3), (), ())


class StageProgress:
    """The share of a stage's work that is done on its way to a goal: first its messages, then its sweep."""

    def __init__(self, stage: StageGroup) -> None:
        self._stage = stage
        self._messages: int | None = None
        self._records: dict[int, int] = {}
        """By partition, the records that its sweep began with."""

    def of(self, behind: Sequence[Behind]) -> tuple[str, int, int]:
        """Return what is waited for, how much of it is done, and how much there is."""
        messages = sum(item.messages for item in behind)
        if self._messages is None:
            self._messages = messages
        # Every topic of the stage repeats the sweep of its partition; it is counted once.
        sweeps = [item for item in behind if item.topic == self._stage.topics[0].name]
        for item in sweeps:
            self._records[item.partition] = max(item.records_total, self._records.get(item.partition, 0))
        total = sum(self._records.values())
        if messages or not total:
            return self._stage.name, self._messages - messages, self._messages
        return f"{self._stage.name}: sweep", total - sum(item.records for item in sweeps), total
