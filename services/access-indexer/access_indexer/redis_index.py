"""The access index in Redis: sets of record ids by user, and where each record stands."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

import redis.asyncio

from access_indexer.core.changes import AdminsAre, IndexChange, RecordStands, SetChange, SetKind, record_hash
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
        self._keys: dict[tuple[str, str, str], _KeysOf] = {}

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Make changes: administrators, then revocations, then grants and records, then the progress (V8).

        Of several changes of one entry the last counts. Each command is small, so that no reader
        waits for a large one.
        """
        pipe = self._pipe([one.partition for one in progress])
        for change in changes:
            if isinstance(change, AdminsAre):
                pipe.delete(admins_key(change.org_id))
                users = sorted(change.users)
                for start in range(0, len(users), CHUNK_MEMBERS):  # in one script: no reader sees the moment between
                    pipe.sadd(admins_key(change.org_id), *users[start : start + CHUNK_MEMBERS])
        removals, additions = self._members(changes)
        for make, sets in ((pipe.srem, removals), (pipe.sadd, additions)):
            for key, ids in sets.items():
                for start in range(0, len(ids), CHUNK_MEMBERS):
                    make(key, *ids[start : start + CHUNK_MEMBERS])
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

    def _members(self, changes: Iterable[IndexChange]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return which ids go out of which sets and which go in; of several changes of one entry the last counts."""
        by_record: dict[tuple[str, str, str, str], list[SetChange]] = {}
        for change in changes:
            if isinstance(change, SetChange):
                place = (change.kind, change.org_id, change.object, change.record_id)
                by_record.setdefault(place, []).append(change)
        removals: dict[str, list[str]] = defaultdict(list)
        additions: dict[str, list[str]] = defaultdict(list)
        for (kind, org_id, object_type, record_id), parts in by_record.items():
            keys = self._keys.get((kind, org_id, object_type))
            if keys is None:
                keys = self._keys[kind, org_id, object_type] = _KeysOf(kind, org_id, object_type)
            if len(parts) == 1:
                into = additions if parts[0].present else removals
                for user_id in parts[0].user_ids:
                    into[keys[user_id]].append(record_id)
            else:
                last = {user_id: part.present for part in parts for user_id in part.user_ids}
                for user_id, present in last.items():
                    (additions if present else removals)[keys[user_id]].append(record_id)
        return removals, additions

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

    async def _remove(self, key: str, strays: Iterable[SetChange], pipe: Pipe) -> None:
        ids = [stray.record_id for stray in strays]
        if ids:
            pipe.srem(key, *ids)
            metrics.INDEX_DRIFT.labels(kind="extra_member").inc(len(ids))
            if pipe.is_full:
                await pipe.execute()

    def _pipe(self, partitions: list[int]) -> Pipe:
        return Pipe(self._redis, self.fences, partitions, self._prefix)


class _KeysOf(dict[str, str]):
    """The keys of one kind of set, by user."""

    def __init__(self, kind: str, org_id: str, object_type: str) -> None:
        super().__init__()
        self._place = (kind, org_id, object_type)

    def __missing__(self, user_id: str) -> str:
        kind, org_id, object_type = self._place
        key = self[user_id] = SET_KEYS[kind](org_id, user_id, object_type)
        return key


def _observe(changes: Iterable[IndexChange]) -> None:
    now_ms = time.time() * 1000
    for change in changes:
        if isinstance(change, AdminsAre) or not change.since_ms:
            continue
        seconds = max(0.0, now_ms - change.since_ms) / 1000
        if isinstance(change, RecordStands):
            metrics.EVENT_TO_VISIBLE.observe(seconds)
        elif not change.present:
            for _ in change.user_ids:
                metrics.REVOCATION.observe(seconds)
