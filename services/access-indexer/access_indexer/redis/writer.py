"""The access index in Redis: sets of record ids by user, and where each record stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, Revoked, SetChange, SetKind, record_hash
from access_indexer.core.drift import Place
from access_indexer.core.stage import AccessFold
from access_indexer.redis.reader import SET_KEYS, RedisIndexReader
from territory.stage import Models
from territory.wire.keys import admins_key, record_hash_key
from territory_runtime import metrics
from territory_runtime.loop.stage import Progress
from territory_runtime.redis.fencing import Fences
from territory_runtime.redis.nodes import Client
from territory_runtime.redis.pipe import Pipe
from territory_runtime.redis.store import CHUNK_MEMBERS, ProgressBook


class RedisIndexWriter:
    """Applies changes of the index. Every call may be repeated."""

    def __init__(self, client: Client, stage: str, partitions: int, prefix: str = "") -> None:
        """Write for a stage; the whole index is under a prefix while it is being built beside the one in use."""
        self._look = RedisIndexReader(client)
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
            if isinstance(change, AdminsState):
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
            await pipe.barrier()
        records = {
            (change.org_id, change.object, change.record_id): change
            for change in changes
            if isinstance(change, RecordState)
        }
        for stands in records.values():
            key = record_hash_key(stands.org_id, stands.object, stands.record_id)
            if stands.version is None:
                pipe.delete(key)
            else:
                pipe.hset(key, *record_hash(stands, stands.version))
            if pipe.is_full:
                await pipe.execute()
        await pipe.barrier()
        touched = frozenset(org for org, _, _ in records)
        for one in progress:
            self._book.add(pipe, one, touched)
        await pipe.execute()
        await self._book.settle(progress, self._partitions)
        _observe(changes)

    async def reconcile(self, requests: Any, beat: Callable[[], None] = lambda: None) -> None:
        """Temporary."""
        for one in requests:
            await self._reconcile_one(one.partition, one.fold, one.models, one.orgs, beat)

    async def _reconcile_one(
        self,
        partition: int,
        fold: AccessFold,
        models: Models,
        unknown: frozenset[str],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Take out what the sets and hashes hold of a partition's records of unknown organisations and must not."""
        self._book.forget(partition)
        if not unknown:
            return
        pipe = self._pipe([partition])
        async for page in self._look.entries(unknown):
            beat()
            if page and page[0].word == "record":
                _remove_records([place for place in page if fold.is_stray(*place[1:4])], pipe)
            elif page:
                _remove_members(page, fold, models, pipe)
            if pipe.is_full:
                await pipe.execute()
        await pipe.execute()

    def _pipe(self, partitions: list[int]) -> Pipe:
        return Pipe(self.fences, partitions, self._prefix)


def _replace(pipe: Pipe, admins: AdminsState) -> None:
    """Queue the administrators whole, in one script: no reader sees the moment between."""
    key, users = admins_key(admins.org_id), sorted(admins.users)
    pipe.delete(key)
    for start in range(0, len(users), CHUNK_MEMBERS):
        pipe.sadd(key, *users[start : start + CHUNK_MEMBERS])


def _remove_records(strays: Iterable[Place], pipe: Pipe) -> None:
    for place in strays:
        pipe.delete(record_hash_key(*place[1:4]))
        metrics.INDEX_DRIFT.labels(kind="stray_record").inc()


def _remove_members(page: Sequence[Place], fold: AccessFold, models: Models, pipe: Pipe) -> None:
    word, org_id, object_type, _, user_id = page[0]
    kind: SetKind = "visible" if word == "visible" else "editable"
    ids = [place.record_id for place in page]
    strays = fold.strays(org_id, kind, user_id, object_type, record_ids=ids, models=models)
    if strays:
        pipe.srem(SET_KEYS[kind](org_id, user_id, object_type), *strays)
        metrics.INDEX_DRIFT.labels(kind="extra_member").inc(len(strays))


def _observe(changes: Iterable[IndexChange]) -> None:
    now_ms = time.time() * 1000
    visible: list[tuple[float, int]] = []
    revoked: list[tuple[float, int]] = []
    for change in changes:
        if isinstance(change, RecordState) and change.since_ms:
            visible.append((max(0.0, now_ms - change.since_ms) / 1000, 1))
        elif isinstance(change, Revoked):
            revoked.append((max(0.0, now_ms - change.since_ms) / 1000, change.users))
    metrics.EVENT_TO_VISIBLE.observe_all(visible)
    metrics.REVOCATION.observe_all(revoked)
