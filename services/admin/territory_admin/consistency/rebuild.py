"""An organisation's index built anew from the log, beside the one in use, and put in its place in one step.

1. The assignments are read into the indexer's own folds, and what they say is written under a prefix.
2. The log is followed until the indexer has stored the same, under the same model.
3. Nobody writes: the log's end is read and written under the prefix, and the two are exchanged.
4. All write again. What the indexer then says once more is what stands there, or comes to it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import redis.asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from access_indexer.core.stage import AccessFold
from access_indexer.redis.index_swap import ExchangeLost, IndexSwap
from territory.model.compiled import Model, assemble
from territory.stage import Effects, InputMessage, Wait
from territory.wire.events import read_assignment
from territory_admin.consistency.comparison import INDEXER
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.errors import NotReached, Refused
from territory_admin.log.topic_reader import existing_partitions, started
from territory_admin.models.topic import Activated
from territory_admin.records.wait import Goal, Pipeline, pipeline
from territory_runtime.kafka import clients
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

SLICE_RECORDS = 1_000
CHANGES_MAX = 50_000
HELD_PAUSE_SECONDS = 2.0
TRIES_MAX = 5

Report = Callable[[int], None]
"""Is told how many records are written."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to."""

    org_id: str
    model_revision: int
    records: int
    keys: int
    """That were put in place of others; hashes that were right stay as they are."""
    held_seconds: float
    """For which nobody could write."""
    switch_seconds: float
    """Of these, for which Redis answered nobody."""
    seconds: float = 0.0


class Rebuilding:
    """One organisation's index under a prefix, as the log and one model have it."""

    def __init__(self, log: StageLog, exchange: IndexSwap, model: Model, partitions: int) -> None:
        self._log = log
        self._exchange = exchange
        self._model = model
        self._folds = {number: AccessFold(number, partitions) for number in range(partitions)}
        self._positions: dict[TopicPartition, int] = {}

    @property
    def records(self) -> int:
        """How many records the index has."""
        return sum(len(fold) for fold in self._folds.values())

    async def build(self, report: Report) -> None:
        """Write the whole index under the prefix. Raises: NotComparable, ExchangeLost."""
        await self._exchange.restart()
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
            fold.restored({org_id: self._model}, frozenset({org_id}))  # nothing is there: say all
            models = {org_id: self._model}
            for effects in fold.sweep(self._model, SLICE_RECORDS):
                if not isinstance(effects, Wait):  # this index is asked by nobody before it is whole
                    fold.flush(models, effects)
                    await self._exchange.write(effects.changes)
            written += len(fold)
            report(written)
        self._positions = dict(goal.ends)
        await self._exchange.note_old()

    async def follow(self) -> Goal:
        """Write what the log has said since; return how far it is now. Raises: NotComparable, ExchangeLost."""
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
            await self._exchange.write(changes[start : start + CHANGES_MAX])
        self._positions = dict(goal.ends)
        return goal


async def rebuild(settings: Settings, *, timeout_seconds: float, report: Report) -> Rebuilt:
    """Build the index of the settings' organisation anew and put it in the place of the one in use.

    Memory: all of the organisation's records, as in one worker that has all partitions. Redis needs
    room for the index twice.

    Args:
        settings: Whose `org_id` is rebuilt.
        timeout_seconds: How long to wait, each time, until the indexer has stored what was read.
        report: Is told how far it is.

    Raises: NotFound, ModelRefused, Refused, NotReached, KafkaError, RedisError.
    """
    began = time.monotonic()
    async with (
        _redis(settings) as client,
        pipeline(settings) as stages,
        started(clients.reader(settings)) as consumer,
    ):
        partitions = await existing_partitions(settings)
        exchange = IndexSwap(client, INDEXER.name, settings.org_id, uuid.uuid4().hex)
        if not await exchange.begin():
            raise Refused(
                f"another rebuild of {settings.org_id!r} is under way, or was killed less than half a minute ago: "
                "wait for it"
            )
        try:
            async with exchange.keeping():
                await exchange.clear()
                done = await _rebuilt(
                    _Around(settings.org_id, partitions, stages, consumer, exchange), timeout_seconds, report
                )
                return replace(done, seconds=round(time.monotonic() - began, 3))
        except ExchangeLost as lost:
            raise NotReached(str(lost)) from lost
        finally:
            await exchange.end()


@dataclass(frozen=True, slots=True)
class _Around:
    """What a rebuild is connected to."""

    org_id: str
    partitions: int
    stages: Pipeline
    consumer: AIOKafkaConsumer
    exchange: IndexSwap


async def _rebuilt(around: _Around, timeout_seconds: float, report: Report) -> Rebuilt:
    """Build and exchange, again where another model was activated meanwhile."""
    stages, exchange = around.stages, around.exchange
    for _ in range(TRIES_MAX):
        activated = await stages.activated(around.org_id)
        model = assemble(around.org_id, activated.activation.revision, activated.pieces)
        log = StageLog(around.consumer, stages, activated, timeout_seconds)
        work = Rebuilding(log, exchange, model, around.partitions)
        try:
            await work.build(report)
            keys, held, switched = await _exchanged(stages, log, exchange, work)
        except NotComparable as hindrance:
            if not await _is_newer(stages, activated):
                raise NotReached(str(hindrance)) from hindrance
            continue
        return Rebuilt(around.org_id, model.revision, work.records, keys, held, switched)
    raise NotReached(f"other models were activated {TRIES_MAX} times meanwhile; nothing was exchanged, try again")


async def _exchanged(
    stages: Pipeline, log: StageLog, exchange: IndexSwap, work: Rebuilding
) -> tuple[int, float, float]:
    """Exchange the indexes; return the keys of the new one, and for how long nobody could write and read."""
    await log.reach(await work.follow())
    await exchange.prune()
    for _ in range(TRIES_MAX):
        await log.reach(await work.follow())
        held_at = time.monotonic()
        if not await exchange.hold():
            await asyncio.sleep(HELD_PAUSE_SECONDS)
            continue  # a rebuild of another organisation's
        try:
            goal = await work.follow()
            if any(item.unswept for item in await stages.behind(goal)):
                continue  # a worker has taken over a partition and says all of it again
            switch_at = time.monotonic()
            keys = await exchange.switch()
            switched = time.monotonic() - switch_at
        finally:
            await exchange.release()
        if keys is not None:
            return keys, round(time.monotonic() - held_at, 3), round(switched, 3)
    raise NotReached(f"the indexes could not be exchanged in {TRIES_MAX} tries; the one in use is as it was, try again")


async def _is_newer(stages: Pipeline, activated: Activated) -> bool:
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
