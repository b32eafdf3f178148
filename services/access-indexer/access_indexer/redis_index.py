"""The access index in Redis: sets of record ids by user, and where each record stands."""

from __future__ import annotations

import time
from collections.abc import Iterable

import redis.asyncio

from access_indexer.core.changes import AdminsAre, IndexChange, RecordStands, Revoked, SetChange, SetKind, record_hash
from access_indexer.core.indexing import Indexing
from territory.fold import Models
from territory.keys import (
    admins_key,
    editable_key,
    parse_record_hash_key,
    parse_set_key,
    record_hash_key,
    visible_key,
)
from territory_runtime import metrics
from territory_runtime.fencing import Fences
from territory_runtime.redis_pipe import Pipe
from territory_runtime.redis_store import CHUNK_MEMBERS, ProgressBook
from territory_runtime.stage import Progress

SET_KEYS = {"visible": visible_key, "editable": editable_key}
SCANNED_MAX = 1_000


class RedisIndex:
    """Applies changes of the index. Every call may be repeated."""

    def __init__(self, client: redis.asyncio.Redis, stage: str, partitions: int, prefix: str = "") -> None:
        """Write for a stage; the whole index is under a prefix while it is being built beside the one in use."""
        self._redis = client
        self._prefix = prefix
        self.fences = Fences(client, stage)
        self._partitions = partitions
        self._book = ProgressBook(client)

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Make changes: administrators, then revocations, then grants and records, then the progress (V8).

        Each script is small, so that no reader waits for a large one.
        """
        pipe = self._pipe([one.partition for one in progress])
        for change in changes:
            if isinstance(change, AdminsAre):
                _replace(pipe, change)
        sets = [change for change in changes if isinstance(change, SetChange)]
        for make, present in ((pipe.srem, False), (pipe.sadd, True)):
            for change in sets:
                if change.present is present:
                    key = SET_KEYS[change.kind](change.org_id, change.user_id, change.object)
                    for start in range(0, len(change.record_ids), CHUNK_MEMBERS):
                        make(key, *change.record_ids[start : start + CHUNK_MEMBERS])
                        if pipe.is_full:
                            await pipe.execute()
        records = {
            (change.org_id, change.object, change.record_id): change
            for change in changes
            if isinstance(change, RecordStands)
        }
        for stands in records.values():
            key = record_hash_key(stands.org_id, stands.object, stands.record_id)
            if stands.version is None:
                pipe.delete(key)
            else:
                pipe.hset(key, *record_hash(stands, stands.version))
            if pipe.is_full:
                await pipe.execute()
        touched = frozenset(org for org, _, _ in records)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        await self._book.settle(progress, self._partitions)
        _observe(changes)

    async def reconcile(self, partition: int, fold: Indexing, models: Models, unknown: frozenset[str]) -> None:
        """Take out what the sets and hashes hold of a partition's records of unknown organisations and must not."""
        self._book.forget(partition)
        pipe = self._pipe([partition])
        for org_id in unknown:
            for prefix in SET_KEYS:
                async for key in self._redis.scan_iter(match=f"{prefix}:{{{org_id}:*", count=SCANNED_MAX):
                    await self._remove_strays(key, fold, models, pipe)
            async for key in self._redis.scan_iter(match=f"record:{{{org_id}:*", count=SCANNED_MAX):
                try:
                    place = parse_record_hash_key(key)
                except ValueError:
                    continue  # another's key that begins like ours
                if fold.is_stray(*place):
                    pipe.delete(key)
                    metrics.INDEX_DRIFT.labels(kind="stray_record").inc()
                    if pipe.is_full:
                        await pipe.execute()
        await pipe.execute()

    async def _remove_strays(self, key: str, fold: Indexing, models: Models, pipe: Pipe) -> None:
        word, org_id, user_id, object_type = parse_set_key(key)
        kind: SetKind = "visible" if word == "visible" else "editable"
        batch: list[str] = []
        async for record_id in self._redis.sscan_iter(key, count=SCANNED_MAX):
            batch.append(record_id)
            if len(batch) >= SCANNED_MAX:
                strays = fold.strays(org_id, kind, user_id, object_type, record_ids=batch, models=models)
                await self._remove(key, strays, pipe)
                batch = []
        last = fold.strays(org_id, kind, user_id, object_type, record_ids=batch, models=models)
        await self._remove(key, last, pipe)

    async def _remove(self, key: str, ids: list[str], pipe: Pipe) -> None:
        if ids:
            pipe.srem(key, *ids)
            metrics.INDEX_DRIFT.labels(kind="extra_member").inc(len(ids))
            if pipe.is_full:
                await pipe.execute()

    def _pipe(self, partitions: list[int]) -> Pipe:
        return Pipe(self._redis, self.fences, partitions, self._prefix)


def _replace(pipe: Pipe, admins: AdminsAre) -> None:
    """Queue the administrators whole, in one script: no reader sees the moment between."""
    key, users = admins_key(admins.org_id), sorted(admins.users)
    pipe.delete(key)
    for start in range(0, len(users), CHUNK_MEMBERS):
        pipe.sadd(key, *users[start : start + CHUNK_MEMBERS])


def _observe(changes: Iterable[IndexChange]) -> None:
    now_ms = time.time() * 1000
    for change in changes:
        if isinstance(change, RecordStands) and change.since_ms:
            metrics.EVENT_TO_VISIBLE.observe(max(0.0, now_ms - change.since_ms) / 1000)
        elif isinstance(change, Revoked):
            for _ in range(change.users):
                metrics.REVOCATION.observe(max(0.0, now_ms - change.since_ms) / 1000)
