"""The access index in Redis: sets of record ids by user, and where each record stands."""

from __future__ import annotations

import time
from collections.abc import Iterable

import redis.asyncio

from access_indexer.core.changes import AdminsAre, IndexChange, RecordStands, SetChange, SetKind
from access_indexer.core.indexing import Indexing
from territory.codec import encode
from territory.fold import Models
from territory.keys import (
    admins_key,
    editable_key,
    parse_set_key,
    record_hash_key,
    visible_key,
)
from territory_runtime import metrics
from territory_runtime.redis_store import CHUNK_COMMANDS, CHUNK_MEMBERS, ProgressBook
from territory_runtime.stage import Progress

SET_KEYS = {"visible": visible_key, "editable": editable_key}
SCANNED_MAX = 1_000


class RedisIndex:
    """Applies changes of the index. Every call may be repeated."""

    def __init__(self, client: redis.asyncio.Redis, stage: str, partitions: int) -> None:
        self._redis = client
        self._stage = stage
        self._partitions = partitions
        self._book = ProgressBook(client)

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Make changes: administrators, then revocations, then grants and records, then the progress (V8).

        Of several changes of one entry the last counts. Each command is small, so that no reader
        waits for a large one.
        """
        removals: dict[str, list[str]] = {}
        additions: dict[str, list[str]] = {}
        for (key, record_id), present in _last_of_each(changes).items():
            (additions if present else removals).setdefault(key, []).append(record_id)
        for change in changes:
            if isinstance(change, AdminsAre):
                await self._write_admins(change)
        pipeline = self._redis.pipeline(transaction=False)
        for kind, sets in (("srem", removals), ("sadd", additions)):
            for key, ids in sets.items():
                for start in range(0, len(ids), CHUNK_MEMBERS):
                    pipeline.execute_command(kind, key, *ids[start : start + CHUNK_MEMBERS])
                    if len(pipeline) >= CHUNK_COMMANDS:
                        await pipeline.execute()
        records = {
            (change.org_id, change.object, change.record_id): change
            for change in changes
            if isinstance(change, RecordStands)
        }
        for stands in records.values():
            key = record_hash_key(stands.org_id, stands.object, stands.record_id)
            if stands.version is None:
                pipeline.delete(key)
            else:
                pipeline.execute_command("HSET", key, *_record_hash(stands))
            if len(pipeline) >= CHUNK_COMMANDS:
                await pipeline.execute()
        touched = frozenset(org for org, _, _ in records)
        for one in progress:
            self._book.add(pipeline, one, touched)
        await pipeline.execute()
        await self._book.settle(progress, self._partitions)
        _observe(changes)

    async def reconcile(
        self, partition: int, fold: Indexing, models: Models, unknown: frozenset[str]
    ) -> frozenset[str]:
        """Take out what the sets and hashes hold of a partition and must not; say whose index is to be said anew."""
        unheard = await self._book.unheard_of(self._stage, partition, models)
        for org_id in unknown | unheard:
            for prefix in SET_KEYS:
                async for key in self._redis.scan_iter(match=f"{prefix}:{{{org_id}:*", count=SCANNED_MAX):
                    await self._remove_strays(key, fold, models)
            async for key in self._redis.scan_iter(match=f"record:{{{org_id}:*", count=SCANNED_MAX):
                _, object_type, record_id = key.removeprefix("record:{").removesuffix("}").split(":", 2)
                if fold.is_stray(org_id, object_type, record_id):
                    await self._redis.delete(key)
                    metrics.INDEX_DRIFT.inc()
        return unknown | unheard

    async def _remove_strays(self, key: str, fold: Indexing, models: Models) -> None:
        word, org_id, user_id, object_type = parse_set_key(key)
        kind: SetKind = "visible" if word == "visible" else "editable"
        batch: list[str] = []
        async for record_id in self._redis.sscan_iter(key, count=SCANNED_MAX):
            batch.append(record_id)
            if len(batch) >= SCANNED_MAX:
                strays = fold.strays(org_id, kind, user_id, object_type, record_ids=batch, models=models)
                await self._remove(key, strays)
                batch = []
        await self._remove(key, fold.strays(org_id, kind, user_id, object_type, record_ids=batch, models=models))

    async def _remove(self, key: str, strays: Iterable[SetChange]) -> None:
        ids = [stray.record_id for stray in strays]
        if ids:
            await self._redis.srem(key, *ids)
            metrics.INDEX_DRIFT.inc(len(ids))

    async def _write_admins(self, admins: AdminsAre) -> None:
        pipeline = self._redis.pipeline(transaction=True)  # no reader sees the moment between
        pipeline.delete(admins_key(admins.org_id))
        if admins.users:
            pipeline.sadd(admins_key(admins.org_id), *sorted(admins.users))
        await pipeline.execute()


def _last_of_each(changes: Iterable[IndexChange]) -> dict[tuple[str, str], bool]:
    last: dict[tuple[str, str], bool] = {}
    for change in changes:
        if isinstance(change, SetChange):
            key = SET_KEYS[change.kind](change.org_id, change.user_id, change.object)
            last[key, change.record_id] = change.present
    return last


def _record_hash(stands: RecordStands) -> tuple[str | int, ...]:
    territories = encode(list(stands.territories)).decode()
    return (
        "version", stands.version or 0, "owner_id", stands.owner_id or "",
        "territories", territories, "model_revision", stands.model_revision,
    )  # fmt: skip


def _observe(changes: Iterable[IndexChange]) -> None:
    now_ms = time.time() * 1000
    for change in changes:
        if isinstance(change, AdminsAre) or not change.since_ms:
            continue
        seconds = max(0.0, now_ms - change.since_ms) / 1000
        if isinstance(change, RecordStands):
            metrics.EVENT_TO_VISIBLE.observe(seconds)
        elif not change.present:
            metrics.REVOCATION.observe(seconds)
