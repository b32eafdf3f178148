"""Writes the access index to Redis: a set of record ids per user, and a hash per record."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, Revoked, SetChange, record_hash
from access_indexer.core.drift import IndexEntry
from access_indexer.redis.reader import SET_KEYS, RedisIndexReader
from territory.wire.keys import admins_key, partition_of, record_hash_key
from territory_runtime import metrics
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fences
from territory_runtime.redis.nodes import Client
from territory_runtime.redis.pipe import FencedPipeline
from territory_runtime.redis.store import CHUNK_MEMBERS, ProgressWriter


class RedisIndexWriter:
    """The sink of the access indexer. Every call may be repeated."""

    def __init__(self, client: Client, stage: str, partitions: int, prefix: str = "") -> None:
        """Write for a stage. A rebuild writes its whole index under a prefix, beside the live one."""
        self._reader = RedisIndexReader(client)
        self._prefix = prefix
        self.fences = Fences(client, stage)
        self._partitions = partitions
        self._progress = ProgressWriter(client)

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Apply changes: administrators, revocations, grants, record hashes, then the progress (V8).

        They go out in scripts of bounded size, so that no reader waits long for one.
        """
        pipeline = FencedPipeline(self.fences, [one.partition for one in progress], self._prefix)
        for change in changes:
            if isinstance(change, AdminsState):
                _replace_admins(pipeline, change)
        sets = [change for change in changes if isinstance(change, SetChange)]
        for add_command, present in ((pipeline.srem, False), (pipeline.sadd, True)):
            for change in sets:
                if change.present is present:
                    key = SET_KEYS[change.kind](change.org_id, change.user_id, change.object)
                    for start in range(0, len(change.record_ids), CHUNK_MEMBERS):
                        add_command(key, *change.record_ids[start : start + CHUNK_MEMBERS])
                        if pipeline.is_full:
                            await pipeline.execute()
            await pipeline.barrier()
        records = {
            (change.org_id, change.object, change.record_id): change
            for change in changes
            if isinstance(change, RecordState)
        }
        for state in records.values():
            key = record_hash_key(state.org_id, state.object, state.record_id)
            if state.version is None:
                pipeline.delete(key)
            else:
                pipeline.hset(key, *record_hash(state, state.version))
            if pipeline.is_full:
                await pipeline.execute()
        changed_orgs = frozenset(org for org, _, _ in records)
        await self._progress.write(pipeline, progress, changed_orgs)
        await self._progress.settle(progress, self._partitions)
        _observe(changes)

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None] = lambda: None) -> None:
        """Remove the orphans of all requests in one walk over Redis, each under the fence of its partition."""
        for request in requests:
            self._progress.forget(request.partition)
        by_partition = {request.partition: request for request in requests if request.orgs}
        if not by_partition:
            return
        pipelines = {number: FencedPipeline(self.fences, [number], self._prefix) for number in by_partition}
        async for page in self._reader.entries(frozenset().union(*(each.orgs for each in by_partition.values()))):
            beat()
            entries: dict[int, list[IndexEntry]] = defaultdict(list)
            for entry in page:
                entries[partition_of(entry.key, self._partitions)].append(entry)
            for number in entries.keys() & by_partition.keys():
                _remove_orphans(entries[number], by_partition[number], pipelines[number])
                if pipelines[number].is_full:
                    await pipelines[number].execute()
        for pipeline in pipelines.values():
            await pipeline.execute()


def _replace_admins(pipeline: FencedPipeline, admins: AdminsState) -> None:
    """Queue the whole set of administrators in one script: no reader sees it half written."""
    key, users = admins_key(admins.org_id), sorted(admins.users)
    pipeline.delete(key)
    for start in range(0, len(users), CHUNK_MEMBERS):
        pipeline.sadd(key, *users[start : start + CHUNK_MEMBERS])


def _remove_orphans(entries: list[IndexEntry], request: ReconcileRequest, pipeline: FencedPipeline) -> None:
    """Queue the removal of the orphans among some hashes, or among some members of one set."""
    kind, org_id, object_type, _, user_id = entries[0]
    if kind == "record":
        for entry in entries:
            if entry.org_id in request.orgs and request.fold.is_orphan(*entry[1:4]):
                pipeline.delete(record_hash_key(*entry[1:4]))
                metrics.INDEX_DRIFT.labels(kind="stray_record").inc()
    elif org_id in request.orgs:
        ids = [entry.record_id for entry in entries]
        orphans = request.fold.orphans(org_id, kind, user_id, object_type, record_ids=ids, models=request.models)
        if orphans:
            pipeline.srem(SET_KEYS[kind](org_id, user_id, object_type), *orphans)
            metrics.INDEX_DRIFT.labels(kind="extra_member").inc(len(orphans))


def _observe(changes: Iterable[IndexChange]) -> None:
    """Measure how long changes took from their cause to Redis."""
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
