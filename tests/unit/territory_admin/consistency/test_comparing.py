"""Drift is told apart from changes in progress; the topic and the store in memory change during comparisons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from territory.model.compiled import compile_model
from territory.stage import Effects, InputMessage, Models
from territory.wire.keys import partition_of
from territory_admin.consistency.comparing import NAMED_MAX, ROUNDS_MAX, ComparisonRun, RateLimit, Run, Verified
from territory_admin.consistency.comparison import INDEXER, Drift, StoreComparison
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.records.wait import Goal, StageGroup

PARTITIONS = 2
TOPIC = INDEXER.topics[0].name
Acts = list[Callable[["World"], None]]


class Values:
    """A fold that keeps the last value of each key."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.values)

    def restore(self, message: InputMessage) -> None:
        if message.event is None:
            self.values.pop(message.key, None)
        else:
            self.values[message.key] = message.event

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        pass

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        self.restore(message)

    def flush(self, models: Models, effects: Effects) -> None:
        pass


class World:
    """A topic, a store, and a stage between them; acts run before reads of the store and before repairs."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str | None]] = []
        self.store: dict[str, str] = {}
        self.stored_to = 0
        self.before_looks: Acts = []
        self.before_repairs: Acts = []
        self.repairs: list[list[str]] = []
        self.activations = 1

    def publish(self, record_id: str, value: str | None) -> None:
        """Append a message to the topic."""
        self.log.append((f"acme/account/{record_id}", value))

    def store_all(self) -> None:
        """Let the stage store everything that is on the topic."""
        for key, value in self.log[self.stored_to :]:
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        self.stored_to = len(self.log)


class MemoryLog(StageLog):
    """The topic of a world, partitioned by key; waiting for the stage lets it store everything."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._began = world.activations

    async def goal(self, stage: StageGroup, numbers: Collection[int]) -> Goal:
        if self._world.activations != self._began:
            raise NotComparable("another model")
        places = [TopicPartition(TOPIC, number) for number in numbers]
        end = len(self._world.log)
        return Goal(stage, dict.fromkeys(places, 0), dict.fromkeys(places, end), 0)

    async def reach(self, goal: Goal) -> None:
        self._world.store_all()

    async def read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        read: Callable[[bytes], Any],
        take: Callable[[int, InputMessage], None],
    ) -> None:
        for where, start in starts.items():
            for offset in range(start, ends[where]):
                key, value = self._world.log[offset]
                if partition_of(key, PARTITIONS) == where.partition:
                    event = None if value is None else read(value.encode())
                    take(where.partition, InputMessage(TOPIC, key, event, {}, offset=offset))


class MemoryComparison(StoreComparison[str]):
    stage = INDEXER

    def __init__(self, world: World) -> None:
        self._world = world

    def make_fold(self, partition: int, partitions: int) -> Values:
        return Values()

    def read_event(self, value: bytes) -> str:
        return value.decode()

    def subject(self, entry: str) -> str:
        return entry

    def implied_entries(self, fold: Values) -> Iterator[list[str]]:
        yield from ([key] for key in fold.values)

    async def stored_entries(self) -> AsyncIterator[list[str]]:
        yield list(self._world.store)

    async def read_entries(self, entries: Sequence[str]) -> list[str | None]:
        if entries and self._world.before_looks:
            self._world.before_looks.pop(0)(self._world)
        return [self._world.store.get(entry) for entry in entries]

    def expected(self, fold: Values, entry: str) -> str | None:
        return fold.values.get(entry)

    def drift(self, fold: Values, entry: str, expected: str | None, stored: str | None) -> Drift:
        return Drift("missing" if stored is None else "extra" if expected is None else "wrong", entry, "")

    async def repair(self, entries: Sequence[tuple[Values, str]]) -> None:
        if self._world.before_repairs:
            self._world.before_repairs.pop(0)(self._world)
        self._world.repairs.append([entry for _, entry in entries])
        for fold, entry in entries:
            value = fold.values.get(entry)
            if value is None:
                self._world.store.pop(entry, None)
            else:
                self._world.store[entry] = value


def verified(world: World, *, repair: bool = False) -> Verified:
    found = Verified("acme", 1)
    model = compile_model({"org": "acme"}, 1)
    run = Run(MemoryLog(world), PARTITIONS, model, RateLimit(0), repair, found, lambda _: None)
    asyncio.run(ComparisonRun(run, MemoryComparison(world)).run())
    return found


@pytest.fixture
def world() -> World:
    """Return a world with ten records on its topic and in its store."""
    world = World()
    for number in range(10):
        world.publish(f"A-{number}", "1")
    world.store_all()
    return world


A_1, A_2, NEW = "acme/account/A-1", "acme/account/A-2", "acme/account/new"


def test_equal_stores_have_no_drift(world: World) -> None:
    """Every entry is compared from both sides."""
    found = verified(world)
    assert (found.is_clean, found.looked_at, found.named) == (True, 20, [])


def test_drift_is_counted_once_and_not_repaired_unasked(world: World) -> None:
    """It is counted by kind, once although it is compared from both sides; without repair nothing is written."""
    del world.store[A_1]
    world.store[A_2] = "2"
    world.store[NEW] = "1"
    found = verified(world)
    assert dict(found.drift) == {"missing": 1, "wrong": 1, "extra": 1}
    assert (found.mended, found.is_clean, world.repairs) == (0, False, [])


def test_removals_come_before_additions(world: World) -> None:
    """A repair removes entries before it adds any (V8)."""
    del world.store[A_1]
    world.store[NEW] = "1"
    found = verified(world, repair=True)
    assert (found.mended, world.repairs) == (2, [[NEW], [A_1]])
    assert verified(world).is_clean


def test_changes_in_progress_are_waited_for(world: World) -> None:
    """Neither a topic that is ahead of the store nor a store that is ahead of what was read is drift (A9)."""

    def goes_on(world: World) -> None:
        world.publish("A-1", "2")
        world.publish("new", "1")
        world.publish("A-2", None)

    def is_ahead(world: World) -> None:
        world.publish("A-1", "3")
        world.store_all()

    for act in (goes_on, is_ahead):
        world.before_looks = [act]
        assert verified(world).is_clean


def test_an_entry_that_changes_at_every_look_is_unsettled(world: World) -> None:
    """It is neither drift nor repaired."""

    def changes(world: World) -> None:
        world.publish("A-1", f"{len(world.log)}")
        world.store_all()

    world.before_looks = [changes] * (ROUNDS_MAX + 2)
    found = verified(world, repair=True)
    assert (found.is_clean, found.unsettled, world.repairs) == (True, 1, [])


def test_a_repair_that_was_overtaken_is_repaired_again(world: World) -> None:
    """If the stage stores a newer value between the last look and the repair, the newer value wins (A9)."""

    def is_overtaken(world: World) -> None:
        world.publish("A-1", "2")
        world.store_all()

    del world.store[A_1]
    world.before_repairs = [is_overtaken]
    found = verified(world, repair=True)
    assert world.repairs == [[A_1], [A_1]]
    assert world.store[A_1] == "2"
    assert (dict(found.drift), found.mended) == ({"missing": 1}, 1)


def test_a_record_that_is_deleted_during_a_repair_stays_deleted(world: World) -> None:
    """A repair that was decided before a revocation never undoes it (V7)."""

    def is_deleted(world: World) -> None:
        world.publish("A-1", None)
        world.store_all()

    world.store[A_1] = "0"
    world.before_repairs = [is_deleted]
    verified(world, repair=True)
    assert A_1 not in world.store
    assert verified(world).is_clean


def test_another_model_ends_the_comparison(world: World) -> None:
    """The rest can't be compared, and is not reported as drift (V8)."""

    def activates(world: World) -> None:
        world.store.clear()
        world.activations += 1

    world.before_looks = [activates]
    with pytest.raises(NotComparable, match="another model"):
        verified(world)


def test_the_first_are_named_and_all_are_counted(world: World) -> None:
    """All differences are counted by kind, however many there are."""
    world.store |= {f"acme/account/N-{number}": "1" for number in range(NAMED_MAX + 5)}
    found = verified(world)
    assert (dict(found.drift), len(found.named)) == ({"extra": NAMED_MAX + 5}, NAMED_MAX)


def test_a_rate_limit_delays_work() -> None:
    """Work waits until the work before it has taken its time at the rate; without a rate nothing waits."""
    limit = RateLimit(8)
    assert [limit.delay(2, now=0.0), limit.delay(2, now=0.0), limit.delay(2, now=5.0)] == [0.25, 0.5, 0.25]
    assert RateLimit(0).delay(1_000_000, now=0.0) == 0.0
