"""Whether Redis holds what the log implies, seen beside live traffic.

Partition by partition, a stage's own fold is restored from the compacted topic that the stage
reads. What differs from Redis at first sight is only suspected. It is drift when the stage has
stored and committed all that the fold has read, the entry still differs, and the log's end, read
once more after that look, says nothing new of its subject.

It goes by the offsets that the stage committed to Kafka, after storing what follows from them, and
not by those in Redis: a Redis that was emptied or set back would speak for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from aiokafka import TopicPartition

from access_indexer.core.changes import AdminsState
from access_indexer.redis.reader import RedisIndexReader
from access_indexer.redis.writer import RedisIndexWriter
from territory.model.compiled import Model, assemble
from territory.stage import Effects, InputMessage, Models
from territory_admin.consistency.comparison import (
    INDEXER,
    AccessComparison,
    AdjustmentComparison,
    AttainmentComparison,
    Comparison,
    Drift,
    LeftOutComparison,
    P,
)
from territory_admin.consistency.partial_sums import PartialComparison
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.log.topic_reader import existing_partitions, started
from territory_admin.records.wait import Goal, pipeline
from territory_runtime.kafka import clients
from territory_runtime.redis.connection import connect
from territory_runtime.redis.nodes import Client
from territory_runtime.settings import Settings

NAMED_MAX = 20
HELD_RECORDS_MAX = 200_000
PAGE_PLACES = 2_000
SUSPECTS_MAX = 10_000
ROUNDS_MAX = 8

Report = Callable[[int], None]
"""Is told how many entries were looked at."""


@dataclass
class Verified:
    """What a comparison came to."""

    org_id: str
    model_revision: int
    looked_at: int = 0
    """Entries of Redis: hashes, members of sets, deals on lists; each from both sides."""
    drift: Counter[str] = field(default_factory=Counter)
    """By kind, how many entries are not what the log implies."""
    named: list[Drift] = field(default_factory=list)
    """The first of them."""
    mended: int = 0
    """How many of them were found right after they had been mended."""
    unsettled: int = 0
    """Entries that changed whenever they were looked at: nothing is said of them."""
    not_compared: str | None = None
    """Why the comparison ended early; None: it was whole."""
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether all was compared and nothing differed."""
        return not self.drift and self.not_compared is None

    def note(self, drift: Drift) -> None:
        """Count one, and name it if it is among the first."""
        self.drift[drift.kind] += 1
        if len(self.named) < NAMED_MAX:
            self.named.append(drift)


class Pace:
    """Keeps work to a rate a second, in steps; 0: no limit."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    def delay(self, count: int, now: float) -> float:
        """Return how many seconds to wait for so much work, which is taken for done then."""
        if not self._per_second:
            return 0.0
        self._free_at = max(self._free_at, now) + count / self._per_second
        return self._free_at - now

    async def take(self, count: int) -> None:
        """Wait as long as so much work has to take."""
        await asyncio.sleep(self.delay(count, time.monotonic()))


@dataclass(frozen=True)
class Task:
    """What all comparisons of one run share."""

    log: StageLog
    partitions: int
    model: Model
    pace: Pace
    repair: bool
    found: Verified
    report: Report

    @property
    def models(self) -> Models:
        """The model, as folds want it."""
        return {self.model.org_id: self.model}


class Comparing(Generic[P]):
    """One comparison under way: the folds of some partitions, and how far they have read."""

    def __init__(self, task: Task, comparison: Comparison[P]) -> None:
        self._task = task
        self._comparison = comparison
        self._folds: dict[int, Any] = {}
        self._positions: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Compare all partitions, as many at a time as memory is meant for. Raises: NotComparable."""
        left = list(range(self._task.partitions))
        while left:
            goal = await self._task.log.goal(self._comparison.stage, left)
            if self._comparison.keeps is not None:
                await self._task.log.reach(goal)  # what it keeps, it says when it passes to the model
            while left and sum(len(fold) for fold in self._folds.values()) < HELD_RECORDS_MAX:
                await self._restore(left.pop(0), goal)
            await self._compare()
            self._folds.clear()
            self._positions.clear()

    # --- the log -----------------------------------------------------------------------------

    async def _restore(self, number: int, goal: Goal) -> None:
        fold = self._comparison.make(number, self._task.partitions)
        ends = goal.ends_of(number)
        if self._comparison.keeps is not None:
            topic, reader = self._comparison.keeps
            place = TopicPartition(topic.name, number)
            await self._task.log.read_all(place, reader, lambda _, message: fold.restore(message))
        await self._read(dict.fromkeys(ends, 0), ends, lambda _, message: fold.restore(message))
        fold.restored(self._task.models, frozenset())
        self._folds[number] = fold
        self._positions |= ends

    async def _read_on(self, about: Collection[str] = ()) -> tuple[Goal, set[str]]:
        """Read to where the log ends now; return that, and which of some subjects were spoken of."""
        goal = await self._task.log.goal(self._comparison.stage, self._folds)
        spoken: set[str] = set()

        def take(partition: int, message: InputMessage) -> None:
            self._folds[partition].apply(message, self._task.models, Effects())
            subject = self._comparison.subject_of(message.key)
            if subject is None:
                spoken.update(about)
            elif subject in about:
                spoken.add(subject)

        await self._read(self._positions, goal.ends, take)
        self._positions |= goal.ends
        for fold in self._folds.values():
            fold.flush(self._task.models, Effects())
        return goal, spoken

    async def _read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        take: Callable[[int, InputMessage], None],
    ) -> None:
        def wanted(number: int, message: InputMessage) -> None:
            if self._comparison.wants(message.key):
                take(number, message)

        await self._task.log.read(starts, ends, self._comparison.read, wanted)

    # --- beside Redis ------------------------------------------------------------------------

    async def _compare(self) -> None:
        """What should not be there first, then what should: so repairs revoke before they grant (V8)."""
        goal, _ = await self._read_on()
        await self._task.log.reach(goal)
        suspects: list[P] = []
        async for page in self._comparison.found():
            mine = [place for place in page if self._fold_of(place) is not None]
            await self._looked_at(len(mine), len(mine))
            suspects += [place for place in mine if not self._comparison.expected(self._fold_of(place), place)]
            if len(suspects) >= SUSPECTS_MAX:
                await self._settle(suspects)
                suspects = []
        await self._settle(suspects)
        suspects = []
        for fold in self._folds.values():
            places: list[P] = []
            subjects = 0
            for of_one in self._comparison.places(fold):
                places += of_one
                subjects += 1
                if len(places) >= PAGE_PLACES:
                    suspects += await self._suspected(places, subjects)
                    places, subjects = [], 0
                if len(suspects) >= SUSPECTS_MAX:
                    await self._settle(suspects)
                    suspects = []
            suspects += await self._suspected(places, subjects)
        await self._settle(suspects)

    def _fold_of(self, place: P) -> Any:
        return self._folds.get(self._comparison.partition(place, self._task.partitions))

    async def _suspected(self, places: Sequence[P], subjects: int) -> list[P]:
        await self._looked_at(subjects, len(places))
        return [place for place, _, _ in await self._differing(places)]

    async def _looked_at(self, subjects: int, places: int) -> None:
        await self._task.pace.take(subjects)
        self._task.found.looked_at += places
        self._task.report(self._task.found.looked_at)

    async def _differing(self, places: Sequence[P]) -> list[tuple[P, Any, Any]]:
        seen = await self._comparison.look(places)
        return [
            (place, expected, found)
            for place, found in zip(places, seen, strict=True)
            if (expected := self._comparison.expected(self._fold_of(place), place)) != found
        ]

    async def _settle(self, suspects: Sequence[P]) -> None:
        """Tell drift from what is only on its way, and mend it if that is asked for.

        What was mended is looked at again after reading on: a change that the stage made between
        the last look and the repair is on the log by then, and the entry is decided once more.
        """
        counted: set[P] = set()
        left = list(dict.fromkeys(suspects))
        for _ in range(ROUNDS_MAX):
            if not left:
                return
            goal, _ = await self._read_on()
            await self._task.log.reach(goal)
            differing = await self._differing(left)
            self._task.found.mended += len(counted & (set(left) - {place for place, _, _ in differing}))
            _, spoken = await self._read_on({self._comparison.subject(place) for place, _, _ in differing})
            left, confirmed = [], []
            for place, expected, seen in differing:
                if self._comparison.subject(place) in spoken:
                    left.append(place)
                    continue
                confirmed.append(place)
                if place not in counted:
                    drift = self._comparison.drift(self._fold_of(place), place, expected, seen)
                    self._task.found.note(drift)
            counted |= set(confirmed)
            if self._task.repair and confirmed:
                await self._comparison.mend([(self._fold_of(place), place) for place in confirmed])
                left += confirmed
        self._task.found.unsettled += len(set(left) - counted)


async def _compare_admins(task: Task, client: Client) -> None:
    """Compare the set of administrators with the model's; the first partition's sweep writes it."""
    look, org_id, admins = RedisIndexReader(client), task.model.org_id, task.model.admins
    await task.log.reach(await task.log.goal(INDEXER, [0]))
    found = await look.admins(org_id)
    await task.log.goal(INDEXER, [0])  # the model is the same still
    if found == admins:
        return
    lacks, has = sorted(admins - found), sorted(found - admins)
    task.found.note(Drift("admins", f"admins {org_id}", f"lacks {lacks}, has {has} who are none"))
    if task.repair:
        await RedisIndexWriter(client, INDEXER.name, 0).apply([AdminsState(org_id, admins)], [])
        await task.log.goal(INDEXER, [0])  # else it was mended to what a newer model may not say
        task.found.mended += await look.admins(org_id) == admins


async def verify(
    settings: Settings, *, repair: bool, per_second: float, timeout_seconds: float, report: Report
) -> Verified:
    """Compare Redis with what the log implies for the settings' organisation; mend what differs if asked to.

    Memory: the records of one partition, or of as many as have `HELD_RECORDS_MAX` together.

    Args:
        settings: Whose `org_id` is compared.
        repair: Whether to mend.
        per_second: Records, or members of sets, that are looked at a second; 0: no limit.
        timeout_seconds: How long to wait, each time, until a stage has stored what was read.
        report: Is told how far it is.

    Raises: NotFound, ModelRefused, KafkaError, RedisError.
    """
    began = time.monotonic()
    partitions = await existing_partitions(settings)
    client = connect(settings)
    try:
        async with pipeline(settings) as stages, started(clients.reader(settings)) as consumer:
            activated = await stages.activated(settings.org_id)
            revision = activated.activation.revision
            model = assemble(settings.org_id, revision, activated.pieces)
            found = Verified(settings.org_id, revision)
            log = StageLog(consumer, stages, activated, timeout_seconds)
            task = Task(log, partitions, model, Pace(per_second), repair, found, report)
            try:
                await _compare_admins(task, client)
                await Comparing(task, AccessComparison(client, model)).run()
                await Comparing(task, LeftOutComparison(client, model)).run()
                await Comparing(task, AdjustmentComparison(client, model)).run()
                await Comparing(task, PartialComparison(log, model, partitions)).run()
                await Comparing(task, AttainmentComparison(client, model)).run()
            except NotComparable as hindrance:
                found.not_compared = str(hindrance)
    finally:
        await client.aclose()
    found.seconds = round(time.monotonic() - began, 3)
    return found
