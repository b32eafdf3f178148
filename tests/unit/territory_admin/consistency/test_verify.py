"""What is drift and what is only on its way, with a log and a store in memory that change at will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from territory.model.compiled import compile_model
from territory.stage import Effects, InputMessage, Models
from territory.wire.keys import partition_of
from territory_admin.consistency.comparison import INDEXER, Comparison, Drift
from territory_admin.consistency.stage_log import NotComparable, StageLog
from territory_admin.consistency.verify import NAMED_MAX, ROUNDS_MAX, Comparing, Pace, Task, Verified
from territory_admin.records.wait import Goal, StageGroup
from territory_runtime.loop.stage import Reader

PARTITIONS = 2
TOPIC = INDEXER.topics[0].name
Moments = list[Callable[["House"], None]]


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


class House:
    """A log, a store, and a stage that stores what it has taken; acts come between looks at the store."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str | None]] = []
        self.store: dict[str, str] = {}
        self.taken = 0
        self.before_looks: Moments = []
        self.before_mends: Moments = []
        self.mends: list[list[str]] = []
        self.activations = 1

    def say(self, record_id: str, value: str | None) -> None:
        """Put a word on the log."""
        self.log.append((f"acme/account/{record_id}", value))

    def take(self) -> None:
        """Let the stage store all that is on the log."""
        for key, value in self.log[self.taken :]:
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        self.taken = len(self.log)


class MemoryLog(StageLog):
    """The log of a house, on partitions by key; whoever asks lets the stage go on."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._began = house.activations

    async def goal(self, stage: StageGroup, numbers: Collection[int]) -> Goal:
        if self._house.activations != self._began:
            raise NotComparable("another model")
        places = [TopicPartition(TOPIC, number) for number in numbers]
        end = len(self._house.log)
        return Goal(stage, dict.fromkeys(places, 0), dict.fromkeys(places, end), 0)

    async def reach(self, goal: Goal) -> None:
        self._house.take()

    async def read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        reader: Reader,
        take: Callable[[int, InputMessage], None],
    ) -> None:
        for where, start in starts.items():
            for offset in range(start, ends[where]):
                key, value = self._house.log[offset]
                if partition_of(key, PARTITIONS) == where.partition:
                    event = None if value is None else reader(value.encode())
                    take(where.partition, InputMessage(TOPIC, key, event, {}, offset=offset))


class MemoryComparison(Comparison[str]):
    stage = INDEXER

    def __init__(self, house: House) -> None:
        self._house = house

    def make(self, partition: int, partitions: int) -> Values:
        return Values()

    def read(self, value: bytes) -> str:
        return value.decode()

    def subject(self, place: str) -> str:
        return place

    def places(self, fold: Values) -> Iterator[list[str]]:
        yield from ([key] for key in fold.values)

    async def found(self) -> AsyncIterator[list[str]]:
        yield list(self._house.store)

    async def look(self, places: Sequence[str]) -> list[str | None]:
        if places and self._house.before_looks:
            self._house.before_looks.pop(0)(self._house)
        return [self._house.store.get(place) for place in places]

    def expected(self, fold: Values, place: str) -> str | None:
        return fold.values.get(place)

    def drift(self, fold: Values, place: str, expected: str | None, seen: str | None) -> Drift:
        return Drift("missing" if seen is None else "extra" if expected is None else "wrong", place, "")

    async def mend(self, places: Sequence[tuple[Values, str]]) -> None:
        if self._house.before_mends:
            self._house.before_mends.pop(0)(self._house)
        self._house.mends.append([place for _, place in places])
        for fold, place in places:
            value = fold.values.get(place)
            if value is None:
                self._house.store.pop(place, None)
            else:
                self._house.store[place] = value


def verified(house: House, *, repair: bool = False) -> Verified:
    found = Verified("acme", 1)
    model = compile_model({"org": "acme"}, 1)
    task = Task(MemoryLog(house), PARTITIONS, model, Pace(0), repair, found, lambda _: None)
    asyncio.run(Comparing(task, MemoryComparison(house)).run())
    return found


@pytest.fixture
def house() -> House:
    """Give a house with ten records in its log and its store."""
    house = House()
    for number in range(10):
        house.say(f"A-{number}", "1")
    house.take()
    return house


A_1, A_2, NEW = "acme/account/A-1", "acme/account/A-2", "acme/account/new"


def test_what_is_right_is_no_drift(house: House) -> None:
    """Every entry is looked at from both sides."""
    found = verified(house)
    assert (found.is_clean, found.looked_at, found.named) == (True, 20, [])


def test_drift_is_counted_once_and_left_alone(house: House) -> None:
    """By kind, though looked at from both sides; nothing is mended unasked."""
    del house.store[A_1]
    house.store[A_2] = "2"
    house.store[NEW] = "1"
    found = verified(house)
    assert dict(found.drift) == {"missing": 1, "wrong": 1, "extra": 1}
    assert (found.mended, found.is_clean, house.mends) == (0, False, [])


def test_removals_come_before_additions(house: House) -> None:
    """A repair takes out what must not be there before it puts in what should (V8)."""
    del house.store[A_1]
    house.store[NEW] = "1"
    found = verified(house, repair=True)
    assert (found.mended, house.mends) == (2, [[NEW], [A_1]])
    assert verified(house).is_clean


def test_what_is_not_stored_yet_is_waited_for(house: House) -> None:
    """The log is ahead of the store at the first look, and the store ahead of what was read (A9)."""

    def goes_on(house: House) -> None:
        house.say("A-1", "2")
        house.say("new", "1")
        house.say("A-2", None)

    def is_ahead(house: House) -> None:
        house.say("A-1", "3")
        house.take()

    for act in (goes_on, is_ahead):
        house.before_looks = [act]
        assert verified(house).is_clean


def test_what_changes_at_every_look_is_neither_right_nor_wrong(house: House) -> None:
    """It is counted as not settled, and nothing is said of it or done to it."""

    def changes(house: House) -> None:
        house.say("A-1", f"{len(house.log)}")
        house.take()

    house.before_looks = [changes] * (ROUNDS_MAX + 2)
    found = verified(house, repair=True)
    assert (found.is_clean, found.unsettled, house.mends) == (True, 1, [])


def test_a_repair_that_came_late_is_taken_back(house: House) -> None:
    """The stage stores a newer word between the last look and the repair: the newer one stands at the end (A9)."""

    def is_overtaken(house: House) -> None:
        house.say("A-1", "2")
        house.take()

    del house.store[A_1]
    house.before_mends = [is_overtaken]
    found = verified(house, repair=True)
    assert house.mends == [[A_1], [A_1]]
    assert house.store[A_1] == "2"
    assert (dict(found.drift), found.mended) == ({"missing": 1}, 1)


def test_a_record_that_goes_while_it_is_mended_stays_gone(house: House) -> None:
    """A revocation is never undone by a repair that was decided before it (V7)."""

    def is_deleted(house: House) -> None:
        house.say("A-1", None)
        house.take()

    house.store[A_1] = "0"
    house.before_mends = [is_deleted]
    verified(house, repair=True)
    assert A_1 not in house.store
    assert verified(house).is_clean


def test_another_model_ends_the_comparison(house: House) -> None:
    """What follows can't be compared; nothing is called drift for it (V8)."""

    def activates(house: House) -> None:
        house.store.clear()
        house.activations += 1

    house.before_looks = [activates]
    with pytest.raises(NotComparable, match="another model"):
        verified(house)


def test_the_first_are_named_and_all_are_counted(house: House) -> None:
    """However many there are."""
    house.store |= {f"acme/account/N-{number}": "1" for number in range(NAMED_MAX + 5)}
    found = verified(house)
    assert (dict(found.drift), len(found.named)) == ({"extra": NAMED_MAX + 5}, NAMED_MAX)


def test_pace() -> None:
    """Work waits for what was done before it, at the rate, and for nothing without one."""
    pace = Pace(8)
    assert [pace.delay(2, now=0.0), pace.delay(2, now=0.0), pace.delay(2, now=5.0)] == [0.25, 0.5, 0.25]
    assert Pace(0).delay(1_000_000, now=0.0) == 0.0
