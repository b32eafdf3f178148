"""Rebuilds an organisation's index from the topics beside the one in use, and swaps the two in one step.

1. The assignments are read into the access indexer's own folds, and their output is written under a prefix.
2. The topics are followed until the indexer has stored the same, under the same model.
3. All writes are paused: the rest of the topics is written under the prefix, and the two indexes are swapped.
4. Writes continue. The indexer may write once more what the new index has already.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import redis.asyncio
from aiokafka import TopicPartition

from access_indexer.core.stage import AccessFold
from access_indexer.redis.index_swap import IndexSwap, RebuildLockLost
from territory.model.compiled import Model, assemble
from territory.stage import Effects, InputMessage, Wait
from territory.wire.events import read_assignment
from territory_admin.consistency.comparison import INDEXER
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.errors import NotReached, Refused
from territory_admin.models.topic import Activated
from territory_admin.records.wait import Goal, Pipeline, pipeline
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

CHUNK_RECORDS = 1_000
CHANGES_MAX = 50_000
HELD_PAUSE_SECONDS = 2.0
ATTEMPTS_MAX = 5

OnRebuilt = Callable[[int], None]
"""Called with how many records are written."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outcome of a rebuild."""

    org_id: str
    model_revision: int
    records: int
    keys: int
    """Keys that replaced others; hashes that were right stay as they are."""
    held_seconds: float
    """How long all writes were paused."""
    switch_seconds: float
    """How long, of these, Redis answered nobody."""
    seconds: float = 0.0


class IndexRebuild:
    """One organisation's index under a prefix, as the topics and one model imply it."""

    def __init__(self, log: StageLog, swap: IndexSwap, model: Model, partitions: int) -> None:
        self._log = log
        self._swap = swap
        self._model = model
        self._folds = {number: AccessFold(number, partitions) for number in range(partitions)}
        self._positions: dict[TopicPartition, int] = {}

    @property
    def records(self) -> int:
        """The number of records in the index."""
        return sum(len(fold) for fold in self._folds.values())

    async def build(self, report: OnRebuilt) -> None:
        """Write the whole index under the prefix. Raises: NotComparable, RebuildLockLost."""
        await self._swap.restart()
        goal = await self._log.goal(INDEXER, self._folds)
        org_id, written = self._model.org_id, 0
        for number, fold in self._folds.items():
            ends = goal.ends_of(number)
            await self._log.read(
                dict.fromkeys(ends, 0),
                ends,
                read_assignment,
                lambda number, message: self._folds[number].restore(message),
            )
            fold.restored({org_id: self._model}, frozenset({org_id}))  # nothing is stored yet: write everything
            models = {org_id: self._model}
            for effects in fold.sweep(self._model, CHUNK_RECORDS):
                if not isinstance(effects, Wait):  # nobody reads this index before it is complete
                    fold.flush(models, effects)
                    await self._swap.write(effects.changes)
            written += len(fold)
            report(written)
        self._positions = dict(goal.ends)
        await self._swap.collect_live_keys()

    async def follow(self) -> Goal:
        """Write what was published since; return the present ends. Raises: NotComparable, RebuildLockLost."""
        goal = await self._log.goal(INDEXER, self._folds)
        models = {self._model.org_id: self._model}
        effects = Effects()

        def take(number: int, message: InputMessage) -> None:
            self._folds[number].apply(message, models, effects)

        await self._log.read(self._positions, goal.ends, read_assignment, take)
        for fold in self._folds.values():
            fold.flush(models, effects)
        changes = effects.changes
        for start in range(0, len(changes), CHANGES_MAX):
            await self._swap.write(changes[start : start + CHANGES_MAX])
        self._positions = dict(goal.ends)
        return goal


async def rebuild(settings: Settings, *, timeout_seconds: float, report: OnRebuilt) -> Rebuilt:
    """Rebuild the index of the settings' organisation and put it in the place of the one in use.

    Memory: all of the organisation's records, as in a worker that has all partitions. Redis needs
    room for the index twice.

    Args:
        settings: The servers and the organisation.
        timeout_seconds: How long to wait, each time, until the indexer has stored what was read.
        report: Called with how many records are written.

    Raises: NotFound, ModelRefused, Refused, NotReached, KafkaError, RedisError.
    """
    began = time.monotonic()
    async with _redis(settings) as client, pipeline(settings) as stages:
        swap = IndexSwap(client, INDEXER.name, settings.org_id, uuid.uuid4().hex)
        if not await swap.begin():
            raise Refused(
                f"another rebuild of {settings.org_id!r} is running, or was killed less than half a minute ago: "
                "wait for it"
            )
        try:
            async with swap.lock_renewed():
                await swap.clear()
                done = await _build_and_swap(stages, swap, settings.org_id, timeout_seconds, report)
                return replace(done, seconds=round(time.monotonic() - began, 3))
        except RebuildLockLost as lost:
            raise NotReached(str(lost)) from lost
        finally:
            await swap.end()


async def _build_and_swap(
    stages: Pipeline, swap: IndexSwap, org_id: str, timeout_seconds: float, report: OnRebuilt
) -> Rebuilt:
    """Build and swap; begin again whenever another model was activated meanwhile."""
    partitions = await stages.kafka.existing_partitions()
    for _ in range(ATTEMPTS_MAX):
        activated = await stages.activated(org_id)
        model = assemble(org_id, activated.activation.revision, activated.pieces)
        log = StageLog(await stages.kafka.consumer(), stages, activated, timeout_seconds)
        index = IndexRebuild(log, swap, model, partitions)
        try:
            await index.build(report)
            keys, held, switched = await _swap_in(stages, log, swap, index)
        except NotComparable as hindrance:
            if not await _is_replaced(stages, activated):
                raise NotReached(str(hindrance)) from hindrance
            continue
        return Rebuilt(org_id, model.revision, index.records, keys, held, switched)
    raise NotReached(f"other models were activated {ATTEMPTS_MAX} times meanwhile; nothing was exchanged, try again")


async def _swap_in(stages: Pipeline, log: StageLog, swap: IndexSwap, index: IndexRebuild) -> tuple[int, float, float]:
    """Swap the indexes; return the keys of the new one, and the seconds for which nobody could write, and read."""
    await log.reach(await index.follow())
    await swap.prune()
    for _ in range(ATTEMPTS_MAX):
        await log.reach(await index.follow())
        held_at = time.monotonic()
        if not await swap.pause_writers():
            await asyncio.sleep(HELD_PAUSE_SECONDS)
            continue  # another organisation's rebuild holds the writes
        try:
            goal = await index.follow()
            if any(item.unswept for item in await stages.behind(goal)):
                continue  # a worker was assigned a partition and publishes all of it again
            switch_at = time.monotonic()
            keys = await swap.switch()
            switched = time.monotonic() - switch_at
        finally:
            await swap.resume_writers()
        if keys is not None:
            return keys, round(time.monotonic() - held_at, 3), round(switched, 3)
    raise NotReached(
        f"the indexes could not be exchanged in {ATTEMPTS_MAX} attempts; the one in use is unchanged, try again"
    )


async def _is_replaced(stages: Pipeline, activated: Activated) -> bool:
    return (await stages.activated(activated.activation.org_id)).offset != activated.offset


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[redis.asyncio.Redis]:
    client = connect(settings)
    if isinstance(client, redis.asyncio.RedisCluster):
        raise Refused(
            "on a Redis Cluster an index can't be exchanged in one step, since keys of several nodes are not renamed "
            "together; run `territory verify --repair`, which mends the index in use"
        )
    try:
        yield client
    finally:
        await client.aclose()
