"""Continuous verification by the access indexer, on a real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import redis.asyncio

from access_indexer.core.stage import AccessFold
from access_indexer.drift_monitor import AGAIN_SECONDS, LOOKED_AT_MAX, Watch
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


class Place:
    """An organisation's index in Redis and in memory, and a watch whose clock the test sets."""

    def __init__(self, client: redis.asyncio.Redis, org: str, partitions: int) -> None:
        self.client = client
        self.org = org
        self.partitions = partitions
        self.now = 0.0
        self.watch = Watch(client, partitions, lambda: self.now)
        self._index = RedisIndexWriter(client, "access-indexer", partitions)
        self.models = {org: _model(org)}
        self.folds = self.empty()

    def empty(self) -> dict[int, AccessFold]:
        """Return folds under the model, without records."""
        folds = {number: AccessFold(number, self.partitions) for number in range(self.partitions)}
        for fold in folds.values():
            fold.restored(self.models, frozenset())
        return folds

    async def say(self, record_id: str, owner_id: str | None, *, into: str = "west", stored: bool = True) -> None:
        """Have an account decided, and stored."""
        assignment = Assignment(self.org, "account", record_id, 1, 1, owner_id, (Link(into, ("rule",), ()),))
        effects = Effects()
        fold = self.folds[partition_of(assignment.key, self.partitions)]
        fold.apply(InputMessage(ASSIGNMENTS.name, assignment.key, assignment, {}), self.models, effects)
        fold.flush(self.models, effects)
        if stored:
            await self._index.apply(effects.changes, [])

    async def walk(self, held: set[int] | None = None) -> Counter[str]:
        """Go round everything once, and once more after what differed is due again; return what was counted."""
        counted: Counter[str] = Counter()
        folds = {number: fold for number, fold in self.folds.items() if held is None or number in held}
        for _ in range(2):
            for _ in range(60):
                counted += await self.watch.step(folds, await self.watch.found(100), 10)
            self.now += AGAIN_SECONDS
        counted += await self.watch.step(folds, [], 0)
        return counted


def _model(org: str) -> Model:
    crowd: list[JSON] = [f"u{number}" for number in range(LOOKED_AT_MAX + 100)]
    return compile_model(
        {
            "org": org, "roles": [{"id": "rep"}],
            "users": [{"id": user_id, "role": "rep"} for user_id in ("ann", "bob", "wes", *crowd)],
            "territories": [{"id": "west", "users": ["wes"]}, {"id": "crowd", "users": crowd}],
        },
        1,
    )  # fmt: skip


def play(redis_at: Mapping[str, str], org: str, acts: Callable[[Place], Awaitable[None]], partitions: int = 2) -> None:
    async def acted() -> None:
        async with redis_client(redis_at) as client:
            await client.flushdb()  # the walk goes over all that there is
            place = Place(client, org, partitions)
            for number in range(RECORDS):
                await place.say(f"A-{number}", "ann")
            await acts(place)

    asyncio.run(acted())


def test_what_was_said_is_there(redis_at: Mapping[str, str], org: str) -> None:
    """Nothing is counted, and live changes in between are none of its business (A9)."""

    async def acts(place: Place) -> None:
        assert await place.walk() == Counter()
        await place.say("A-1", "bob")
        assert await place.walk() == Counter()

    play(redis_at, org, acts)


def test_every_kind_of_drift_is_counted(redis_at: Mapping[str, str], org: str) -> None:
    """Once in every round, by kind: what is missing, and what nothing gives (V1, V7)."""

    async def acts(place: Place) -> None:
        org, client = place.org, place.client
        await client.srem(visible_key(org, "wes", "account"), "A-3")
        await client.srem(editable_key(org, "ann", "account"), "A-3")
        await client.sadd(visible_key(org, "bob", "account"), "A-4", "never-was")
        await client.sadd(visible_key(org, "ghost", "account"), "A-4")
        await client.delete(record_hash_key(org, "account", "A-5"))
        await client.hset(record_hash_key(org, "account", "A-6"), "owner_id", "bob")
        await client.hset(record_hash_key(org, "account", "never-was"), "version", "1")
        before = _counted()
        found = await place.walk()
        kinds = {"missing_member", "extra_member", "missing_record", "wrong_record", "stray_record"}
        assert set(found) == kinds
        assert {kind: count - before[kind] for kind, count in _counted().items() if count > before[kind]} == found

    play(redis_at, org, acts)


def test_what_comes_right_by_itself_is_no_drift(redis_at: Mapping[str, str], org: str) -> None:
    """A writer may know a message that this worker has yet to take: it is looked at again (A9)."""

    async def acts(place: Place) -> None:
        await place.client.sadd(visible_key(place.org, "bob", "account"), "A-1")
        folds = place.folds
        for _ in range(30):
            assert not await place.watch.step(folds, await place.watch.found(100), 10)
        await place.say("A-1", "bob")
        place.now += AGAIN_SECONDS
        assert not await place.watch.step(folds, [], 0)

    play(redis_at, org, acts)


def test_other_workers_partitions_are_theirs(redis_at: Mapping[str, str], org: str) -> None:
    """A worker says nothing of records in partitions that it does not have, or has no more."""

    async def acts(place: Place) -> None:
        await place.walk()
        ids = {number: _id_in(place, number) for number in (0, 1)}
        for record_id in ids.values():
            await place.client.srem(visible_key(place.org, "wes", "account"), record_id)
            await place.client.sadd(visible_key(place.org, "bob", "account"), record_id)
        for held in ({0}, {1}):
            found = await place.walk(held)
            assert set(found) == {"missing_member", "extra_member"}
        assert await place.walk(set()) == Counter()

    play(redis_at, org, acts)


def test_what_is_to_be_said_again_is_left_alone(redis_at: Mapping[str, str], org: str) -> None:
    """Of an unknown organisation the sets may lack anything until the sweep has come by (V8)."""

    async def acts(place: Place) -> None:
        await place.client.flushdb()
        for fold in place.folds.values():
            fold.restored(place.models, frozenset({place.org}))
        assert await place.walk() == Counter()
        for fold in place.folds.values():
            list(fold.sweep(place.models[place.org], 100))
        assert set(await place.walk()) == {"missing_member", "missing_record"}

    play(redis_at, org, acts)


def test_one_look_is_bounded(redis_at: Mapping[str, str], org: str) -> None:
    """However many records are asked for, and however many see one: no turn waits long, and all come round (V1)."""

    async def acts(place: Place) -> None:
        place.folds = place.empty()
        await place.say("C-1", "ann", into="crowd", stored=False)
        entries = 3 + LOOKED_AT_MAX + 100  # the hash, the owner's two, the crowd's
        for looks, suspected in enumerate((LOOKED_AT_MAX, entries), 1):
            await place.watch.step(place.folds, [], 100_000 if looks == 1 else 0)
            assert len(place.watch._suspects) == suspected
        for number in range(LOOKED_AT_MAX):
            await place.say(f"B-{number}", "ann", stored=False)
        await place.watch.step(place.folds, [], 100_000)
        assert len(place.watch._suspects) <= entries + LOOKED_AT_MAX

    play(redis_at, org, acts)


def test_foreign_keys_are_passed_over(redis_at: Mapping[str, str], org: str) -> None:
    """Of keys that are not ours, and of those of other stores."""

    async def acts(place: Place) -> None:
        for key in ("somebody-else", "record:{mine", "visible:{mine}", "editable:{mine"):
            await place.client.set(key, "1")
        await place.client.hset(f"attainment:{{{place.org}}}:west:2017-Q1", "won", "1")
        assert await place.walk() == Counter()

    play(redis_at, org, acts)


def _id_in(place: Place, partition: int) -> str:
    return next(
        f"A-{number}"
        for number in range(RECORDS)
        if partition_of(record_key(place.org, "account", f"A-{number}"), place.partitions) == partition
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
