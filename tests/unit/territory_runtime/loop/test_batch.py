"""What one batch does, and where it ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models, SweepChunk
from territory.wire.codec import decode
from territory.wire.topics import ASSIGNMENTS
from territory_runtime.loop.batch import Batch, BatchProcessor
from territory_runtime.loop.budget import YIELD_SECONDS, Budget
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.stage import Stage
from tests.support.memory_log import Consumed

TOPIC = ASSIGNMENTS.name
LIMIT = 4


class Clock:
    """Shows what a test gives it."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now

    def time(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return self._now()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a batch never sleeps")


class Fold:
    """Emits one message for each message, or raises; its fan-outs and sweeps are a test's."""

    def __init__(self) -> None:
        self.processed: list[Any] = []
        self.unfinished = 0

    def __len__(self) -> int:
        return 1

    def restore(self, message: InputMessage) -> None: ...

    def restored(self, models: Models, unknown: frozenset[str]) -> None: ...

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        effects.messages.append(Message("out", message.key, message.event, message.key))
        effects.state.append(Message("kept", message.key, message.event, message.key))
        effects.changes.append(message.event)
        if message.event == "poison":
            raise ZeroDivisionError("the secret of acme")
        if message.event == "refused":
            effects.refused.append((message, "no_record", "publish the record first"))
        self.processed.append(message.event)

    @property
    def unfinished_from(self) -> int | None:
        return 0 if self.unfinished else None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        self.unfinished -= 1

    def flush(self, models: Models, effects: Effects) -> None: ...

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        return iter(())


def stage_of(**options: Any) -> Stage:
    return Stage("s", {ASSIGNMENTS: decode}, (ASSIGNMENTS, decode), make=lambda *_: Fold(), **options)


def tasks_of(*events: list[Any]) -> dict[int, PartitionTask]:
    """Return a task a partition, each with messages in its queue."""
    tasks = {}
    for number, values in enumerate(events):
        task = tasks[number] = PartitionTask(Fold(), {TOPIC: 0})
        task._limit = LIMIT
        messages = [
            Consumed(TOPIC, number, offset, 7, b"acme/deal/D", f'"{value}"'.encode(), ())
            for offset, value in enumerate(values)
        ]
        task.queue.add(TOPIC, messages, len(values))
    return tasks


def processed(task: PartitionTask) -> list[Any]:
    assert isinstance(task.fold, Fold)
    return task.fold.processed


def process(
    tasks: dict[int, PartitionTask],
    *,
    stage: Stage | None = None,
    stop_on_error: bool = False,
    now: Callable[[], float] = lambda: 0.0,
    effects_max: int = 1_000,
) -> Batch:
    """Fill a batch from messages."""
    batch = Batch()
    processor = BatchProcessor(stage or stage_of(), stop_on_error=stop_on_error)

    async def run() -> None:
        budget = Budget(Clock(now), batch.effects, seconds=1.0, effects_max=effects_max)
        await processor.process(tasks, batch, budget, set())

    asyncio.run(run())
    return batch


def reprocess(processor: BatchProcessor, tasks: dict[int, PartitionTask], chunks: float, now: Any = None) -> set[int]:
    """Take chunks; return of which partitions."""
    touched: set[int] = set()
    batch = Batch()

    async def run() -> None:
        budget = Budget(Clock(now or (lambda: 0.0)), batch.effects, seconds=2.0, effects_max=1_000)
        await processor.reprocess(tasks, batch, budget, touched, chunks=chunks)

    asyncio.run(run())
    return touched


# --- messages ---------------------------------------------------------------------------------


def test_a_batch_ends_when_its_effects_are_enough() -> None:
    """However many messages wait: the rest stays in the queue, and no offset beyond it is committed."""
    tasks = tasks_of([str(number) for number in range(10)])
    batch = process(tasks, effects_max=12)
    assert len(batch.effects) == 12
    assert processed(tasks[0]) == ["0", "1", "2", "3"]
    assert tasks[0].offsets_to_commit() == {TOPIC: 4}
    process(tasks)
    assert tasks[0].offsets_to_commit() == {TOPIC: 10}


def test_a_batch_ends_when_its_time_is_over() -> None:
    """A slow message ends it; the next batch takes the rest."""
    ticks = itertools.count(step=0.4)
    tasks = tasks_of([str(number) for number in range(10)])
    process(tasks, now=lambda: next(ticks))
    assert 1 <= len(processed(tasks[0])) < 4


def test_one_message_is_processed_in_any_case() -> None:
    """Also when the clock has jumped: otherwise a slow machine would never get on."""
    ticks = itertools.count(step=100)
    tasks = tasks_of(["a", "b"])
    process(tasks, now=lambda: next(ticks))
    assert processed(tasks[0]) == ["a"]


def test_partitions_are_served_in_turn() -> None:
    """A partition with a long queue does not hold back the others, within a batch and from batch to batch."""
    tasks = tasks_of([str(number) for number in range(200)], ["a"], ["b"])
    processor = BatchProcessor(stage_of(), stop_on_error=False)

    async def run() -> list[list[int]]:
        found = []
        for _ in range(3):
            batch = Batch()
            clock = Clock(itertools.count(step=100).__next__)
            touched: set[int] = set()
            await processor.process(tasks, batch, Budget(clock, batch.effects, seconds=1, effects_max=9), touched)
            found.append(sorted(touched))
        return found

    assert asyncio.run(run()) == [[0], [1], [2]]


def test_a_paused_input_is_left_in_its_queue() -> None:
    """The other partitions go on meanwhile, and so does the fan-out that the pause is for (C7)."""
    tasks = tasks_of(["a"], ["b"])
    tasks[0].is_input_paused = True
    fold = tasks[0].fold
    assert isinstance(fold, Fold)
    fold.unfinished = 1
    process(tasks)
    assert (processed(tasks[0]), processed(tasks[1])) == ([], ["b"])
    assert reprocess(BatchProcessor(stage_of(), stop_on_error=False), tasks, chunks=1) == {0}
    assert fold.unfinished == 0
    tasks[0].is_input_paused = False
    process(tasks)
    assert processed(tasks[0]) == ["a"]


def test_a_batch_yields_to_the_event_loop() -> None:
    """Heartbeats and other partitions' restores get control at least every 20 ms of a batch."""
    ticks = itertools.count(step=YIELD_SECONDS)
    tasks = tasks_of([str(number) for number in range(40)])
    batch, yields = Batch(), 0

    async def run() -> None:
        nonlocal yields
        processor = BatchProcessor(stage_of(), stop_on_error=False)
        budget = Budget(Clock(lambda: next(ticks)), batch.effects, seconds=100.0, effects_max=1_000)
        working = asyncio.create_task(processor.process(tasks, batch, budget, set()))
        await asyncio.sleep(0)
        while not working.done():
            yields += 1
            await asyncio.sleep(0)

    asyncio.run(run())
    assert yields >= 20


def test_unwanted_messages_are_skipped_undecoded() -> None:
    """A stage that counts deals looks at no other records; their offsets are committed all the same."""
    tasks = tasks_of(["a", "b"])
    process(tasks, stage=stage_of(wants=lambda key: "/account/" in key))
    assert processed(tasks[0]) == []
    assert tasks[0].offsets_to_commit() == {TOPIC: 2}


# --- refused messages -------------------------------------------------------------------------


def test_a_refused_message_is_a_dead_letter() -> None:
    """With its code, place and bytes; what the fold does besides is kept."""
    batch = process(tasks_of(["a", "refused", "b"]))
    (letter,) = batch.dead_letters
    assert (letter.topic, letter.offset, letter.value) == (TOPIC, 1, b'"refused"')
    assert (letter.stage, letter.code, letter.reason) == ("s", "no_record", "publish the record first")


def test_a_poison_message_does_not_stop_the_others() -> None:
    """It becomes a dead letter `processing_error`, its half-made output is dropped, and the stream goes on."""
    tasks = tasks_of(["a", "poison", "b"])
    batch = process(tasks)
    assert processed(tasks[0]) == ["a", "b"]
    assert [message.value for message in batch.effects.messages] == ["a", "b"]
    assert [message.value for message in batch.effects.state] == ["a", "b"]
    assert batch.effects.changes == ["a", "b"]
    (letter,) = batch.dead_letters
    assert (letter.code, letter.offset) == ("processing_error", 1)


def test_a_poison_message_is_reported_without_its_data() -> None:
    """Its letter names the exception's type and place. The exception's text may quote a record."""
    (letter,) = process(tasks_of(["poison"])).dead_letters
    assert "ZeroDivisionError in Fold.apply, line " in letter.reason
    assert "secret" not in letter.reason


def test_a_poison_message_stops_the_worker_where_that_is_wanted() -> None:
    """TERRITORY_ON_PROCESSING_ERROR=stop: nothing of the batch is committed then."""
    with pytest.raises(ZeroDivisionError):
        process(tasks_of(["poison"]), stop_on_error=True)


# --- fan-outs and sweeps ----------------------------------------------------------------------


def sweeping(*chunks: Effects) -> dict[int, PartitionTask]:
    """Return three partitions, each with a sweep of these chunks."""
    tasks = tasks_of([], [], [])
    for task in tasks.values():
        task.sweeps = {"acme": iter(chunks)}
    return tasks


def test_partitions_take_turns_in_chunks() -> None:
    """A batch takes so many chunks in all, however many partitions there are; the next one begins after the last."""
    tasks, processor = (
        sweeping(Effects(cost=LIMIT), Effects(cost=3 * LIMIT)),
        BatchProcessor(stage_of(), stop_on_error=False),
    )
    assert reprocess(processor, tasks, 0) == set()
    assert [reprocess(processor, tasks, 1) for _ in range(4)] == [{0}, {1}, {2}, {0}]
    assert [reprocess(processor, tasks, chunks) for chunks in (100, 1)] == [{0, 1, 2}, set()]
    assert not any(task.sweeps for task in tasks.values())


def test_parts_of_chunks_add_up() -> None:
    """Organisations with few records in a partition, or none, need no batch each."""
    tasks, processor = sweeping(), BatchProcessor(stage_of(), stop_on_error=False)
    for task in tasks.values():
        task.sweeps = {f"org{number}": iter([Effects(cost=LIMIT / 8)]) for number in range(10)}
    reprocess(processor, tasks, 1)
    assert sum(len(task.sweeps) for task in tasks.values()) == 30
    for task in tasks.values():
        task.sweeps = {f"org{number}": iter([Effects()]) for number in range(10)}
    reprocess(processor, tasks, 1)
    assert not any(task.sweeps for task in tasks.values())


def test_a_batch_does_not_sweep_for_long() -> None:
    """Chunks that take long end it; the next batch goes on."""
    for cost in (0, LIMIT):
        tasks = sweeping(*[Effects(cost=cost)] * 3)
        processor = BatchProcessor(stage_of(), stop_on_error=False)
        assert len(reprocess(processor, tasks, 100, itertools.count().__next__)) <= 2


def test_fan_outs_come_before_sweeps() -> None:
    """Consequences of a message are older than a sweep's, and are throttled like it."""
    tasks, processor = sweeping(Effects(cost=LIMIT)), BatchProcessor(stage_of(), stop_on_error=False)
    fold = tasks[0].fold
    assert isinstance(fold, Fold)
    fold.unfinished = 2
    for left in (1, 0):
        tasks_of_one = {0: tasks[0]}
        reprocess(processor, tasks_of_one, 1)
        assert (fold.unfinished, len(tasks[0].sweeps)) == (left, 1)


def test_no_offset_is_committed_beyond_an_unfinished_fan_out() -> None:
    """A successor applies its message again. What was committed before is not taken back."""
    tasks = tasks_of(["a", "b", "c"])
    process(tasks)
    fold = tasks[0].fold
    assert isinstance(fold, Fold)
    fold.unfinished = 1
    assert tasks[0].offsets_to_commit() == {TOPIC: 0}
    tasks[0].committed_offsets = {TOPIC: 2}
    assert tasks[0].offsets_to_commit() == {TOPIC: 2}
    fold.unfinished = 0
    assert tasks[0].offsets_to_commit() == {TOPIC: 3}


def test_what_others_do_meanwhile_does_not_count() -> None:
    """The stages of a process share a thread: a batch that yields to another's keeps its own time."""
    now = 0.0

    async def run() -> tuple[bool, bool]:
        nonlocal now
        budget = Budget(Clock(lambda: now), Effects(), seconds=1.0, effects_max=1)

        async def other() -> None:
            nonlocal now
            now += 5.0

        working = asyncio.create_task(other())
        now += 0.6
        await budget.breathe()
        await working
        early = budget.is_spent
        now += 0.4
        return early, budget.is_spent

    assert asyncio.run(run()) == (False, True)
