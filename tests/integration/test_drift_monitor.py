"""Continuous verification by the access indexer, on a real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import redis.asyncio

from access_indexer.core.stage import AccessFold
from access_indexer.drift_monitor import RECHECK_SECONDS, STEP_ENTRIES_MAX, IndexComparer
from access_indexer.redis.writer import RedisIndexWriter
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage
from territory.wire.codec import JSON
from territory.wire.events import Assignment, Link
from territory.wire.keys import editable_key, partition_of, record_hash_key, record_key, visible_key
from territory.wire.topics import ASSIGNMENTS
from territory_runtime.metrics import REGISTRY
from tests.integration.examples import redis_client

RECORDS = 40


class Verified:
    """An organisation's index in Redis and in memory, and a comparison whose clock the test sets."""

    def __init__(self, client: redis.asyncio.Redis, org: str, partitions: int) -> None:
        self.client = client
        self.org = org
        self.partitions = partitions
        self.now = 0.0
        self.comparer = IndexComparer(client, partitions, lambda: self.now)
        self._index = RedisIndexWriter(client, "access-indexer", partitions)
        self.models = {org: _model(org)}
        self.folds = self.empty_folds()

    def empty_folds(self) -> dict[int, AccessFold]:
        """Return folds under the model, without records."""
        folds = {number: AccessFold(number, self.partitions) for number in range(self.partitions)}
        for fold in folds.values():
            fold.restored(self.models, frozenset())
        return folds

    async def assign(self, record_id: str, owner_id: str | None, *, to: str = "west", write: bool = True) -> None:
        """Assign an account in memory, and in Redis unless `write` is false."""
        assignment = Assignment(self.org, "account", record_id, 1, 1, owner_id, (Link(to, ("rule",), ()),))
        effects = Effects()
        fold = self.folds[partition_of(assignment.key, self.partitions)]
        fold.apply(InputMessage(ASSIGNMENTS.name, assignment.key, assignment, {}), self.models, effects)
        fold.flush(self.models, effects)
        if write:
            await self._index.apply(effects.changes, [])

    async def compare_all(self, partitions: set[int] | None = None) -> Counter[str]:
        """Compare everything once, and once more when the suspects are due again; return the drift counted."""
        counted: Counter[str] = Counter()
        folds = {number: fold for number, fold in self.folds.items() if partitions is None or number in partitions}
        for _ in range(2):
            for _ in range(60):
                counted += await self.comparer.compare(folds, await self.comparer.next_entries(100), 10)
            self.now += RECHECK_SECONDS
        counted += await self.comparer.compare(folds, [], 0)
        return counted


def _model(org: str) -> Model:
    crowd: list[JSON] = [f"u{number}" for number in range(STEP_ENTRIES_MAX + 100)]
    return compile_model(
        {
            "org": org, "roles": [{"id": "rep"}],
            "users": [{"id": user_id, "role": "rep"} for user_id in ("ann", "bob", "wes", *crowd)],
            "territories": [{"id": "west", "users": ["wes"]}, {"id": "crowd", "users": crowd}],
        },
        1,
    )  # fmt: skip


def play(
    redis_at: Mapping[str, str], org: str, acts: Callable[[Verified], Awaitable[None]], partitions: int = 2
) -> None:
    """Run a test with an index of forty accounts of Ann."""

    async def acted() -> None:
        async with redis_client(redis_at) as client:
            await client.flushdb()  # the walk over Redis sees every key
            verified = Verified(client, org, partitions)
            for number in range(RECORDS):
                await verified.assign(f"A-{number}", "ann")
            await acts(verified)

    asyncio.run(acted())


def test_equal_index_has_no_drift(redis_at: Mapping[str, str], org: str) -> None:
    """Nothing is counted while Redis and the folds agree, also after a live change (A9)."""

    async def acts(verified: Verified) -> None:
        assert await verified.compare_all() == Counter()
        await verified.assign("A-1", "bob")
        assert await verified.compare_all() == Counter()

    play(redis_at, org, acts)


def test_every_kind_of_drift_is_counted(redis_at: Mapping[str, str], org: str) -> None:
    """Missing and extra entries are counted by kind, in the result and in the metric (V1, V7)."""

    async def acts(verified: Verified) -> None:
        org, client = verified.org, verified.client
        await client.srem(visible_key(org, "wes", "account"), "A-3")
        await client.srem(editable_key(org, "ann", "account"), "A-3")
        await client.sadd(visible_key(org, "bob", "account"), "A-4", "never-was")
        await client.sadd(visible_key(org, "ghost", "account"), "A-4")
        await client.delete(record_hash_key(org, "account", "A-5"))
        await client.hset(record_hash_key(org, "account", "A-6"), "owner_id", "bob")
        await client.hset(record_hash_key(org, "account", "never-was"), "version", "1")
        before = _counted()
        found = await verified.compare_all()
        assert set(found) == {"missing_member", "extra_member", "missing_record", "wrong_record", "stray_record"}
        assert {kind: count - before[kind] for kind, count in _counted().items() if count > before[kind]} == found

    play(redis_at, org, acts)


def test_a_difference_that_disappears_is_no_drift(redis_at: Mapping[str, str], org: str) -> None:
    """A writer may be ahead of this worker, so a difference is compared again before it is counted (A9)."""

    async def acts(verified: Verified) -> None:
        await verified.client.sadd(visible_key(verified.org, "bob", "account"), "A-1")
        for _ in range(30):
            assert not await verified.comparer.compare(verified.folds, await verified.comparer.next_entries(100), 10)
        await verified.assign("A-1", "bob")
        verified.now += RECHECK_SECONDS
        assert not await verified.comparer.compare(verified.folds, [], 0)

    play(redis_at, org, acts)


def test_other_workers_partitions_are_ignored(redis_at: Mapping[str, str], org: str) -> None:
    """A worker compares no record of a partition that it does not have, or no longer has."""

    async def acts(verified: Verified) -> None:
        await verified.compare_all()
        ids = {number: _id_in(verified, number) for number in (0, 1)}
        for record_id in ids.values():
            await verified.client.srem(visible_key(verified.org, "wes", "account"), record_id)
            await verified.client.sadd(visible_key(verified.org, "bob", "account"), record_id)
        for partitions in ({0}, {1}):
            found = await verified.compare_all(partitions)
            assert set(found) == {"missing_member", "extra_member"}
        assert await verified.compare_all(set()) == Counter()

    play(redis_at, org, acts)


def test_organisation_in_transition_is_ignored(redis_at: Mapping[str, str], org: str) -> None:
    """The sets of an unknown organisation may lack anything until its sweep has ended (V8)."""

    async def acts(verified: Verified) -> None:
        await verified.client.flushdb()
        for fold in verified.folds.values():
            fold.restored(verified.models, frozenset({verified.org}))
        assert await verified.compare_all() == Counter()
        for fold in verified.folds.values():
            list(fold.sweep(verified.models[verified.org], 100))
        assert set(await verified.compare_all()) == {"missing_member", "missing_record"}

    play(redis_at, org, acts)


def test_one_step_is_bounded(redis_at: Mapping[str, str], org: str) -> None:
    """However many records are asked for, and however many users see one, a step compares a bounded number (V1)."""

    async def acts(verified: Verified) -> None:
        verified.folds = verified.empty_folds()
        await verified.assign("C-1", "ann", to="crowd", write=False)
        entries = 3 + STEP_ENTRIES_MAX + 100  # the hash, the owner's two, the crowd's
        for steps, suspected in enumerate((STEP_ENTRIES_MAX, entries), 1):
            await verified.comparer.compare(verified.folds, [], 100_000 if steps == 1 else 0)
            assert len(verified.comparer._suspects) == suspected
        for number in range(STEP_ENTRIES_MAX):
            await verified.assign(f"B-{number}", "ann", write=False)
        await verified.comparer.compare(verified.folds, [], 100_000)
        assert len(verified.comparer._suspects) <= entries + STEP_ENTRIES_MAX

    play(redis_at, org, acts)


def test_keys_of_other_applications_are_ignored(redis_at: Mapping[str, str], org: str) -> None:
    """Keys that begin like ours, and keys of other sinks, are no drift."""

    async def acts(verified: Verified) -> None:
        for key in ("somebody-else", "record:{mine", "visible:{mine}", "editable:{mine"):
            await verified.client.set(key, "1")
        await verified.client.hset(f"attainment:{{{verified.org}}}:west:2017-Q1", "won", "1")
        assert await verified.compare_all() == Counter()

    play(redis_at, org, acts)


def _id_in(verified: Verified, partition: int) -> str:
    return next(
        f"A-{number}"
        for number in range(RECORDS)
        if partition_of(record_key(verified.org, "account", f"A-{number}"), verified.partitions) == partition
    )


def _counted() -> Counter[str]:
    return Counter(
        {
            sample.labels["kind"]: int(sample.value)
            for metric in REGISTRY.collect()
            if metric.name == "territory_index_drift"
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
    )
