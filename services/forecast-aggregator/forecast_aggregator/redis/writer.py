"""The forecast's sinks: attainments, and the lists of deals left out and adjusted, in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from forecast_aggregator.partials.changes import Adjustment, DealAdjusted, DealLeftOut
from forecast_aggregator.partials.contribution import LeftOut
from forecast_aggregator.totals.stage import AttainmentKey, AttainmentState
from territory.money import text_of
from territory.wire.codec import encode
from territory.wire.events import SUMS, Attainment, Counted
from territory.wire.keys import (
    adjustment_field,
    adjustments_key,
    attainment_hash_key,
    attainment_key,
    left_out_key,
    parse_adjustment_field,
    parse_attainment_hash_key,
    partition_of,
)
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fences
from territory_runtime.redis.nodes import Client, Nodes, key_pages
from territory_runtime.redis.pipe import FencedPipeline
from territory_runtime.redis.store import ProgressWriter

TERRITORY_FIELDS = (
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
    "coverage",
    "target_mismatch",
    "star_performer",
    "frozen",
)
ADJUSTMENTS = ("target", *SUMS, "deals_won")
"""Figures of a closed period that also have an adjustment (F12)."""
USER_FIELDS = ("target", "won", "deals_won", "attainment_pct", "star_performer", "frozen")
USER_ADJUSTMENTS = ("target", "won", "deals_won")
PAGE_KEYS = 1_000


class RedisDeals:
    """The sink of the first stage: the lists of deals that are left out, or adjusted since a period was closed."""

    def __init__(self, client: Client, stage: str) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._progress = ProgressWriter(client)

    async def apply(self, changes: Sequence[DealLeftOut | DealAdjusted], progress: list[Progress]) -> None:
        """Add deals to the lists or remove them, then write the progress."""
        pipeline = FencedPipeline(self.fences, [one.partition for one in progress])
        for key, name, value in {entry[:2]: entry for entry in map(_entry_of, changes)}.values():
            if value is None:
                pipeline.hdel(key, name)
            else:
                pipeline.hset(key, name, value)
            if pipeline.is_full:
                await pipeline.execute()
        touched = frozenset(change.org_id for change in changes)
        await self._progress.write(pipeline, progress, touched)
        self._progress.remember(progress)

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None] = lambda: None) -> None:
        """Remove the orphans of all requests from the lists, reading each organisation's lists once."""
        for request in requests:
            self._progress.forget(request.partition)
        for org_id in sorted(frozenset().union(*(request.orgs for request in requests))):
            ours = [request for request in requests if org_id in request.orgs]
            async for page in left_out_pages(self._redis, org_id):
                beat()
                for request in ours:
                    orphans = [deal_id for deal_id in page if request.fold.is_orphan(org_id, deal_id)]
                    await self._remove(request.partition, left_out_key(org_id), orphans)
            async for places in adjustment_pages(self._redis, org_id):
                beat()
                for request in ours:
                    is_orphan = request.fold.is_orphan_adjustment
                    orphans = [adjustment_field(*place) for place in places if is_orphan(org_id, *place)]
                    await self._remove(request.partition, adjustments_key(org_id), orphans)

    async def _remove(self, partition: int, key: str, names: list[str]) -> None:
        """Remove fields of a hash under the fence of the partition that they belong to."""
        if names:
            pipeline = FencedPipeline(self.fences, [partition])
            pipeline.hdel(key, *names)
            await pipeline.execute()


class RedisAttainments:
    """The sink of the second stage: one hash for each attainment."""

    def __init__(self, client: Client, stage: str, partitions: int) -> None:
        self._redis = client
        self.fences = Fences(client, stage)
        self._partitions = partitions
        self._progress = ProgressWriter(client)

    async def apply(self, changes: list[AttainmentState], progress: list[Progress]) -> None:
        """Replace attainments, each atomically, then write the progress."""
        pipeline = FencedPipeline(self.fences, [one.partition for one in progress])
        for change in {change.place: change for change in changes}.values():
            key = attainment_hash_key(*change.place)
            if change.attainment is None:
                pipeline.delete(key)
            else:
                pipeline.hset(key, *attainment_hash(change.attainment))  # all fields in one command
            if pipeline.is_full:
                await pipeline.execute()
        touched = frozenset(change.place[0] for change in changes)
        await self._progress.write(pipeline, progress, touched)
        self._progress.remember(progress)

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None] = lambda: None) -> None:
        """Delete the attainments that no partition has, for all requests in one walk over the keys of Redis."""
        for request in requests:
            self._progress.forget(request.partition)
        by_partition = {request.partition: request for request in requests if request.orgs}
        if not by_partition:
            return
        pipelines = {number: FencedPipeline(self.fences, [number]) for number in by_partition}
        orgs = frozenset().union(*(request.orgs for request in by_partition.values()))
        async for page in attainment_pages(self.fences.nodes, orgs):
            beat()
            for place in page:
                number = partition_of(attainment_key(*place), self._partitions)
                owner = by_partition.get(number)
                if owner is not None and place[0] in owner.orgs and owner.fold.is_orphan(place):
                    pipelines[number].delete(attainment_hash_key(*place))
            for pipeline in pipelines.values():
                if pipeline.is_full:
                    await pipeline.execute()
        for pipeline in pipelines.values():
            await pipeline.execute()


def _entry_of(change: DealLeftOut | DealAdjusted) -> tuple[str, str, str | None]:
    """Return the hash, field and value that a change writes; no value: it deletes the field."""
    if isinstance(change, DealAdjusted):
        return (
            adjustments_key(change.org_id),
            adjustment_field(change.period, change.deal_id),
            adjustment_text(change.adjustment),
        )
    return left_out_key(change.org_id), change.deal_id, left_out_text(change.why)


def left_out_text(why: LeftOut | None) -> str | None:
    """Return a deal's entry in the list of left-out deals; None: it has none."""
    return None if why is None else encode(why).decode()


def adjustment_text(adjustment: Adjustment | None) -> str | None:
    """Return a deal's entry in the list of adjustments; None: it has none."""
    if adjustment is None:
        return None
    entry = {name: _plain(getattr(adjustment, name)) for name in ("frozen", "now")}
    return encode(entry).decode()


def _plain(counted: Counted | None) -> dict[str, Any] | None:
    """Return a contribution with amounts as text without exponents, as on the wire."""
    if counted is None:
        return None
    amounts = {name: text_of(getattr(counted, name)) for name in ("amount", "weighted")}
    return {name: getattr(counted, name) for name in counted.__struct_fields__} | amounts


def left_out_pages(client: Client, org_id: str) -> AsyncIterator[list[str]]:
    """Yield the ids of left-out deals, in pages. Raises: RedisError, RedisClusterException."""
    return _name_pages(client, left_out_key(org_id))


async def adjustment_pages(client: Client, org_id: str) -> AsyncIterator[list[tuple[str, str]]]:
    """Yield period and deal id of each adjustment, in pages; fields of another form are skipped.

    Raises: RedisError, RedisClusterException.
    """
    async for names in _name_pages(client, adjustments_key(org_id)):
        page: list[tuple[str, str]] = []
        for name in names:
            with suppress(ValueError):
                page.append(parse_adjustment_field(name))
        yield page


async def _name_pages(client: Client, key: str) -> AsyncIterator[list[str]]:
    cursor = -1
    while cursor:
        cursor, fields = await client.hscan(key, max(cursor, 0), count=PAGE_KEYS)
        yield list(map(str, fields))


async def attainment_pages(nodes: Nodes, org_ids: Collection[str]) -> AsyncIterator[list[AttainmentKey]]:
    """Yield the keys of the organisations' attainments, in pages. Scans the whole of Redis once.

    Raises: RedisError, RedisClusterException.
    """
    match = f"attainment:{{{next(iter(org_ids))}}}:*" if len(org_ids) == 1 else "attainment:{*}:*"
    async for keys in key_pages(nodes, match, PAGE_KEYS):
        yield [key for key in _attainment_keys(keys) if key[0] in org_ids]


def _attainment_keys(keys: Iterable[str]) -> Iterator[AttainmentKey]:
    for key in keys:
        with suppress(ValueError):  # a foreign key with the same prefix
            yield parse_attainment_hash_key(key)


def attainment_hash(attainment: Attainment) -> list[str | int]:
    """Return the fields and values of an attainment's hash: no figure is an empty text, a flag is 1 or 0."""
    if attainment.user_id is None:
        names = [*TERRITORY_FIELDS, *(f"adjustment_{name}" for name in ADJUSTMENTS)]
    else:
        names = [*USER_FIELDS, *(f"adjustment_{name}" for name in USER_ADJUSTMENTS)]
    return [part for name in names for part in (name, _hash_value(getattr(attainment, name)))]


def _hash_value(value: str | int | None) -> str | int:
    return "" if value is None else int(value) if isinstance(value, bool) else value
