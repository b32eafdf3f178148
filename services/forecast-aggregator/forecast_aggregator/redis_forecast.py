"""The forecast in Redis: how each territory stands, and which deals are in no sum."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import suppress

from forecast_aggregator.core.summing import DealLeftOut, Summing
from forecast_aggregator.core.totalling import AttainmentStands, Place, Totalling
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
from territory_runtime.redis_nodes import Client, Nodes, key_pages
from territory_runtime.redis_pipe import Pipe
from territory_runtime.redis_store import ProgressBook
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
PAGE = 1_000


class RedisLeftOut:
    """The list of deals that are in no sum: the store of the forecast's first step."""

    def __init__(self, client: Client, stage: str) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._book = ProgressBook(client)

    async def apply(self, changes: list[DealLeftOut], progress: list[Progress]) -> None:
        """Put deals on the list or take them off, then note the progress."""
        pipe = Pipe(self.fences, [one.partition for one in progress])
        for change in {(change.org_id, change.deal_id): change for change in changes}.values():
            key = left_out_key(change.org_id)
            if change.why is None:
                pipe.hdel(key, change.deal_id)
            else:
                pipe.hset(key, change.deal_id, encode(change.why).decode())
            if pipe.is_full:
                await pipe.execute()
        await pipe.barrier()
        touched = frozenset(change.org_id for change in changes)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        self._book.note(progress)

    async def reconcile(
        self,
        partition: int,
        fold: Summing,
        models: Models,
        unknown: frozenset[str],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Take off the list of unknown organisations what is this partition's and does not belong there."""
        self._book.forget(partition)
        pipe = Pipe(self.fences, [partition])
        for org_id in unknown:
            async for page in left_out_pages(self._redis, org_id):
                beat()
                strays = [deal_id for deal_id in page if fold.is_stray(org_id, deal_id)]
                if strays:
                    pipe.hdel(left_out_key(org_id), *strays)
                    await pipe.execute()


class RedisAttainments:
    """How every territory and person stands: the store of the forecast's second step."""

    def __init__(self, client: Client, stage: str, partitions: int) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._partitions = partitions
        self._book = ProgressBook(client)

    async def apply(self, changes: list[AttainmentStands], progress: list[Progress]) -> None:
        """Write attainments whole, each at once for its readers, then note the progress."""
        pipe = Pipe(self.fences, [one.partition for one in progress])
        for change in {change.place: change for change in changes}.values():
            key = attainment_hash_key(*change.place)
            if change.attainment is None:
                pipe.delete(key)
            else:
                pipe.hset(key, *attainment_hash(change.attainment))  # always all fields: one command replaces the whole
            if pipe.is_full:
                await pipe.execute()
        await pipe.barrier()
        touched = frozenset(change.place[0] for change in changes)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        self._book.note(progress)

    async def reconcile(
        self,
        partition: int,
        fold: Totalling,
        models: Models,
        unknown: frozenset[str],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Take away attainments of unknown organisations that this partition does not have."""
        self._book.forget(partition)
        pipe = Pipe(self.fences, [partition])
        if not unknown:
            return
        async for page in attainment_pages(self.fences.nodes, unknown):
            beat()
            for place in page:
                if partition_of(attainment_key(*place), self._partitions) == partition and fold.is_stray(place):
                    pipe.delete(attainment_hash_key(*place))
            if pipe.is_full:
                await pipe.execute()
        await pipe.execute()


async def left_out_pages(client: Client, org_id: str) -> AsyncIterator[list[str]]:
    """Yield the deals that are listed as in no sum, in pages. Raises: RedisError, RedisClusterException."""
    cursor = -1
    while cursor:
        cursor, fields = await client.hscan(left_out_key(org_id), max(cursor, 0), count=PAGE)
        yield list(map(str, fields))


async def attainment_pages(nodes: Nodes, org_ids: Collection[str]) -> AsyncIterator[list[Place]]:
    """Yield where organisations have attainments, in pages; all keys of Redis are gone through once.

    Raises: RedisError, RedisClusterException.
    """
    match = f"attainment:{{{next(iter(org_ids))}}}:*" if len(org_ids) == 1 else "attainment:{*}:*"
    async for keys in key_pages(nodes, match, PAGE):
        yield [place for place in _places_of(keys) if place[0] in org_ids]


def _places_of(keys: Iterable[str]) -> Iterator[Place]:
    for key in keys:
        with suppress(ValueError):  # another's key that begins like ours
            yield parse_attainment_hash_key(key)


def attainment_hash(attainment: Attainment) -> list[str | int]:
    """Return the names and values of the hash; an empty text where there is no target."""
    names = OF_TERRITORY if attainment.user_id is None else OF_USER
    values = [(name, getattr(attainment, name)) for name in names]
    return [part for name, value in values for part in (name, "" if value is None else value)]
