"""Runs comparisons of Redis with the topics, beside live traffic.

Partition by partition, a stage's fold is restored from the compacted topic that the stage reads. An entry of
Redis that differs at first is a suspect. It is drift when the stage has committed all that the fold has
read, the entry still differs, and the topic then has no new message about its subject.

The offsets are those that stages commit to Kafka after they have stored the effects. Redis has offsets of its
own, but a Redis that was emptied or restored from a backup would vouch for itself.
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
from territory_admin.consistency.access_comparison import AccessComparison
from territory_admin.consistency.attainment_comparison import AttainmentComparison
from territory_admin.consistency.comparison import INDEXER, Drift, Entry, StoreComparison
from territory_admin.consistency.deal_comparisons import AdjustmentComparison, LeftOutComparison
from territory_admin.consistency.partial_comparison import PartialComparison
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.records.wait import Goal, pipeline
from territory_runtime.redis.connection import connect
from territory_runtime.redis.nodes import Client
from territory_runtime.settings import Settings

NAMED_MAX = 20
RECORDS_IN_MEMORY = 200_000
PAGE_ENTRIES = 2_000
SUSPECTS_MAX = 10_000
ROUNDS_MAX = 8

OnCompared = Callable[[int], None]
"""Called with how many entries were compared."""


@dataclass
class Verified:
    """The outcome of comparing Redis with the topics."""

    org_id: str
    model_revision: int
    looked_at: int = 0
    """Entries that were compared: hashes, members of sets, deals on lists; each from both sides."""
    drift: Counter[str] = field(default_factory=Counter)
    """By kind, the entries that differ from what the topics imply."""
    named: list[Drift] = field(default_factory=list)
    """The first of them."""
    mended: int = 0
    """Entries that were found right after they had been repaired."""
    unsettled: int = 0
    """Entries that changed at every look, so they could not be compared."""
    not_compared: str | None = None
    """Why the comparison ended early; None if it was complete."""
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether everything was compared and nothing differed."""
        return not self.drift and self.not_compared is None

    def add(self, drift: Drift) -> None:
        """Count a difference, and keep it if it is among the first."""
        self.drift[drift.kind] += 1
        if len(self.named) < NAMED_MAX:
            self.named.append(drift)


class RateLimit:
    """Limits work to a rate per second; 0 is no limit."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    def delay(self, count: int, now: float) -> float:
        """Book some work; return the seconds to wait for it."""
        if not self._per_second:
            return 0.0
        self._free_at = max(self._free_at, now) + count / self._per_second
        return self._free_at - now

    async def take(self, count: int) -> None:
        """Book some work and wait for it."""
        await asyncio.sleep(self.delay(count, time.monotonic()))


@dataclass(frozen=True)
class Run:
    """What all comparisons of one run share."""

    log: StageLog
    partitions: int
    model: Model
    limit: RateLimit
    repair: bool
    found: Verified
    report: OnCompared

    @property
    def models(self) -> Models:
        """The model, as folds take models."""
        return {self.model.org_id: self.model}


class ComparisonRun(Generic[Entry]):
    """One comparison in progress: the folds of some partitions, and the offsets that they have read to."""

    def __init__(self, run: Run, comparison: StoreComparison[Entry]) -> None:
        self._run = run
        self._comparison = comparison
        self._folds: dict[int, Any] = {}
        self._positions: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Compare all partitions, as many at a time as `RECORDS_IN_MEMORY` allows. Raises: NotComparable."""
        left = list(range(self._run.partitions))
        while left:
            goal = await self._run.log.goal(self._comparison.stage, left)
            if self._comparison.own_state is not None:
                await self._run.log.reach(goal)  # the stage publishes it during its sweep for the model
            while left and sum(len(fold) for fold in self._folds.values()) < RECORDS_IN_MEMORY:
                await self._restore(left.pop(0), goal)
            await self._compare()
            self._folds.clear()
            self._positions.clear()

    # --- topics ------------------------------------------------------------------------------

    async def _restore(self, number: int, goal: Goal) -> None:
        fold = self._comparison.make_fold(number, self._run.partitions)
        ends = goal.ends_of(number)
        if self._comparison.own_state is not None:
            topic, read = self._comparison.own_state
            where = TopicPartition(topic.name, number)
            await self._run.log.read_all(where, read, lambda _, message: fold.restore(message))
        await self._read(dict.fromkeys(ends, 0), ends, lambda _, message: fold.restore(message))
        fold.restored(self._run.models, frozenset())
        self._folds[number] = fold
        self._positions |= ends

    async def _read_on(self, subjects: Collection[str] = ()) -> tuple[Goal, set[str]]:
        """Read to where the topic ends now; return that, and which of some subjects have new messages."""
        goal = await self._run.log.goal(self._comparison.stage, self._folds)
        changed: set[str] = set()

        def take(partition: int, message: InputMessage) -> None:
            self._folds[partition].apply(message, self._run.models, Effects())
            subject = self._comparison.subject_of_key(message.key)
            if subject is None:
                changed.update(subjects)
            elif subject in subjects:
                changed.add(subject)

        await self._read(self._positions, goal.ends, take)
        self._positions |= goal.ends
        for fold in self._folds.values():
            fold.flush(self._run.models, Effects())
        return goal, changed

    async def _read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        take: Callable[[int, InputMessage], None],
    ) -> None:
        def take_wanted(number: int, message: InputMessage) -> None:
            if self._comparison.wants(message.key):
                take(number, message)

        await self._run.log.read(starts, ends, self._comparison.read_event, take_wanted)

    # --- Redis -------------------------------------------------------------------------------

    async def _compare(self) -> None:
        """Compare the stored entries first, then the implied ones, so that repairs revoke before they grant (V8)."""
        goal, _ = await self._read_on()
        await self._run.log.reach(goal)
        suspects: list[Entry] = []
        async for page in self._comparison.stored_entries():
            mine = [entry for entry in page if self._fold_of(entry) is not None]
            await self._count(len(mine), len(mine))
            suspects += [entry for entry in mine if not self._comparison.expected(self._fold_of(entry), entry)]
            if len(suspects) >= SUSPECTS_MAX:
                await self._settle(suspects)
                suspects = []
        await self._settle(suspects)
        suspects = []
        for fold in self._folds.values():
            entries: list[Entry] = []
            subjects = 0
            for of_one in self._comparison.implied_entries(fold):
                entries += of_one
                subjects += 1
                if len(entries) >= PAGE_ENTRIES:
                    suspects += await self._suspects_among(entries, subjects)
                    entries, subjects = [], 0
                if len(suspects) >= SUSPECTS_MAX:
                    await self._settle(suspects)
                    suspects = []
            suspects += await self._suspects_among(entries, subjects)
        await self._settle(suspects)

    def _fold_of(self, entry: Entry) -> Any:
        return self._folds.get(self._comparison.partition(entry, self._run.partitions))

    async def _suspects_among(self, entries: Sequence[Entry], subjects: int) -> list[Entry]:
        await self._count(subjects, len(entries))
        return [entry for entry, _, _ in await self._differing(entries)]

    async def _count(self, subjects: int, entries: int) -> None:
        await self._run.limit.take(subjects)
        self._run.found.looked_at += entries
        self._run.report(self._run.found.looked_at)

    async def _differing(self, entries: Sequence[Entry]) -> list[tuple[Entry, Any, Any]]:
        stored = await self._comparison.read_entries(entries)
        return [
            (entry, expected, found)
            for entry, found in zip(entries, stored, strict=True)
            if (expected := self._comparison.expected(self._fold_of(entry), entry)) != found
        ]

    async def _settle(self, suspects: Sequence[Entry]) -> None:
        """Separate drift from changes in progress, and repair drift if the run repairs.

        A repaired entry is compared again after reading on. If the stage changed it between the last look and
        the repair, that change is on the topic by then, and the entry is decided once more.
        """
        counted: set[Entry] = set()
        left = list(dict.fromkeys(suspects))
        for _ in range(ROUNDS_MAX):
            if not left:
                return
            goal, _ = await self._read_on()
            await self._run.log.reach(goal)
            differing = await self._differing(left)
            self._run.found.mended += len(counted & (set(left) - {entry for entry, _, _ in differing}))
            _, changed = await self._read_on({self._comparison.subject(entry) for entry, _, _ in differing})
            left, confirmed = [], []
            for entry, expected, stored in differing:
                if self._comparison.subject(entry) in changed:
                    left.append(entry)
                    continue
                confirmed.append(entry)
                if entry not in counted:
                    self._run.found.add(self._comparison.drift(self._fold_of(entry), entry, expected, stored))
            counted |= set(confirmed)
            if self._run.repair and confirmed:
                await self._comparison.repair([(self._fold_of(entry), entry) for entry in confirmed])
                left += confirmed
        self._run.found.unsettled += len(set(left) - counted)


async def _compare_admins(run: Run, client: Client) -> None:
    """Compare the set of administrators with the model's; the first partition's sweep writes the set."""
    reader, org_id, admins = RedisIndexReader(client), run.model.org_id, run.model.admins
    await run.log.reach(await run.log.goal(INDEXER, [0]))
    found = await reader.admins(org_id)
    await run.log.goal(INDEXER, [0])  # raises if another model was activated meanwhile
    if found == admins:
        return
    lacks, has = sorted(admins - found), sorted(found - admins)
    run.found.add(Drift("admins", f"admins {org_id}", f"the set lacks {lacks}, and has {has} who are not in the model"))
    if run.repair:
        await RedisIndexWriter(client, INDEXER.name, 0).apply([AdminsState(org_id, admins)], [])
        await run.log.goal(INDEXER, [0])  # raises if the repair may have undone what a newer model gives
        run.found.mended += await reader.admins(org_id) == admins


async def compare_stores(
    settings: Settings, *, repair: bool, per_second: float, timeout_seconds: float, report: OnCompared
) -> Verified:
    """Run all comparisons for the settings' organisation; see `verify` and `repair` for arguments and errors."""
    began = time.monotonic()
    client = connect(settings)
    try:
        async with pipeline(settings) as stages:
            activated = await stages.activated(settings.org_id)
            revision = activated.activation.revision
            model = assemble(settings.org_id, revision, activated.pieces)
            found = Verified(settings.org_id, revision)
            log = StageLog(await stages.kafka.consumer(), stages, activated, timeout_seconds)
            partitions = await stages.kafka.existing_partitions()
            run = Run(log, partitions, model, RateLimit(per_second), repair, found, report)
            try:
                await _compare_admins(run, client)
                await ComparisonRun(run, AccessComparison(client, model)).run()
                await ComparisonRun(run, LeftOutComparison(client, model)).run()
                await ComparisonRun(run, AdjustmentComparison(client, model)).run()
                await ComparisonRun(run, PartialComparison(log, model, partitions)).run()
                await ComparisonRun(run, AttainmentComparison(client, model)).run()
            except NotComparable as hindrance:
                found.not_compared = str(hindrance)
    finally:
        await client.aclose()
    found.seconds = round(time.monotonic() - began, 3)
    return found
