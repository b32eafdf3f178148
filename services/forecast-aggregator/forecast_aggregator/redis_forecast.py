"""The forecast in Redis: how each territory stands, and which deals are in no sum."""

from __future__ import annotations

import redis.asyncio

from forecast_aggregator.core.summing import DealLeftOut, Summing
from forecast_aggregator.core.totalling import AttainmentStands, Totalling
from territory.codec import encode
from territory.events import Attainment
from territory.fold import Models
from territory.keys import (
    attainment_hash_key,
    attainment_key,
    left_out_key,
    parse_attainment_hash_key,
    partition_of,
)
from territory_runtime.fencing import Fences
from territory_runtime.redis_pipe import Pipe
from territory_runtime.redis_store import CHUNK_MEMBERS, ProgressBook
from territory_runtime.stage import Progress

OF_TERRITORY = (
    "target",
    "won",
    "pipeline",
    "best_case",
    "committed",
    "weighted",
    "won_by_others",
    "deals_won",
    "attainment_pct",
    "gap",
    "shortage",
    "model_revision",
)
OF_USER = ("target", "won", "deals_won", "attainment_pct")


class RedisLeftOut:
    """The list of deals that are in no sum: the store of the forecast's first step."""

    def __init__(self, client: redis.asyncio.Redis, stage: str) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._book = ProgressBook(client)

    async def apply(self, changes: list[DealLeftOut], progress: list[Progress]) -> None:
        """Put deals on the list or take them off, then note the progress."""
        pipe = Pipe(self._redis, self.fences, [one.partition for one in progress])
        for change in {(change.org_id, change.deal_id): change for change in changes}.values():
            key = left_out_key(change.org_id)
            if change.why is None:
                pipe.hdel(key, change.deal_id)
            else:
                pipe.hset(key, change.deal_id, encode(change.why).decode())
            if pipe.is_full:
                await pipe.execute()
        touched = frozenset(change.org_id for change in changes)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        self._book.note(progress)

    async def reconcile(self, partition: int, fold: Summing, models: Models, unknown: frozenset[str]) -> None:
        """Take off the list of unknown organisations what is this partition's and does not belong there."""
        self._book.forget(partition)
        pipe = Pipe(self._redis, self.fences, [partition])
        for org_id in unknown:
            key = left_out_key(org_id)
            strays = [
                deal_id
                async for deal_id, _ in self._redis.hscan_iter(key, count=1_000)
                if fold.is_stray(org_id, deal_id)
            ]
            for start in range(0, len(strays), CHUNK_MEMBERS):
                pipe.hdel(key, *strays[start : start + CHUNK_MEMBERS])
                await pipe.execute()


class RedisAttainments:
    """How every territory and person stands: the store of the forecast's second step."""

    def __init__(self, client: redis.asyncio.Redis, stage: str, partitions: int) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._partitions = partitions
        self._book = ProgressBook(client)

    async def apply(self, changes: list[AttainmentStands], progress: list[Progress]) -> None:
        """Write attainments whole, each at once for its readers, then note the progress."""
        pipe = Pipe(self._redis, self.fences, [one.partition for one in progress])
        for change in {change.place: change for change in changes}.values():
            key = attainment_hash_key(*change.place)
            if change.attainment is None:
                pipe.delete(key)
            else:
                pipe.hset(key, *attainment_hash(change.attainment))  # always all fields: one command replaces the whole
            if pipe.is_full:
                await pipe.execute()
        touched = frozenset(change.place[0] for change in changes)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        self._book.note(progress)

    async def reconcile(self, partition: int, fold: Totalling, models: Models, unknown: frozenset[str]) -> None:
        """Take away attainments of unknown organisations that this partition does not have."""
        self._book.forget(partition)
        pipe = Pipe(self._redis, self.fences, [partition])
        for org_id in unknown:
            async for key in self._redis.scan_iter(match=f"attainment:{{{org_id}}}:*", count=1_000):
                place = parse_attainment_hash_key(key)
                if partition_of(attainment_key(*place), self._partitions) == partition and fold.is_stray(place):
                    pipe.delete(key)
                    if pipe.is_full:
                        await pipe.execute()
        await pipe.execute()


def attainment_hash(attainment: Attainment) -> list[str | int]:
    """Return the names and values of the hash; an empty text where there is no target."""
    names = OF_TERRITORY if attainment.user_id is None else OF_USER
    values = [(name, getattr(attainment, name)) for name in names]
    return [part for name, value in values for part in (name, "" if value is None else value)]
