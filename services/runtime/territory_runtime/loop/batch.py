"""What one batch does: messages first, then chunks of fan-outs and sweeps. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from territory.stage import Effects
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.loop.budget import Budget
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import TopicPartition
from territory_runtime.loop.stage import Stage

RUN_MESSAGES = 50
"""Messages of one partition before it is the next one's turn."""

Taken = dict[TopicPartition, tuple[int, int]]
"""By partition, how many messages were processed, and the timestamp of the last one in milliseconds."""


@dataclass(slots=True)
class Batch:
    """What a batch has produced, and the partitions it is of."""

    effects: Effects = field(default_factory=Effects)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    tasks: Mapping[int, PartitionTask] = field(default_factory=dict)
    """By partition, the tasks that processed or reprocessed something."""


class BatchProcessor:
    """Fills batches from the active tasks of one stage."""

    def __init__(self, stage: Stage, *, stop_on_error: bool) -> None:
        """Process messages for a stage; `stop_on_error` lets an exception of the fold stop the worker."""
        self._stage = stage
        self._stop_on_error = stop_on_error
        self._last = -1
        """The partition that was last at work; the next batch begins after it."""

    async def process(
        self, tasks: Mapping[int, PartitionTask], batch: Batch, budget: Budget, touched: set[int]
    ) -> Taken:
        """Process queued messages until the budget is spent; partitions take turns."""
        taken: Taken = {}
        waiting = self._in_turn([number for number, task in tasks.items() if task.has_input])
        while waiting and not (taken and budget.is_spent):
            number = self._last = waiting.pop(0)
            touched.add(number)
            await self._process_run(number, tasks[number], batch, budget, taken)
            if len(tasks[number].queue):
                waiting.append(number)
        return taken

    async def _process_run(
        self,
        number: int,
        task: PartitionTask,
        batch: Batch,
        budget: Budget,
        taken: dict[TopicPartition, tuple[int, int]],
    ) -> None:
        stage, effects = self._stage, batch.effects
        messages = []
        for _ in range(RUN_MESSAGES):
            message = task.queue.pop()
            if message is None:
                break
            messages.append(message)
            if stage.is_wanted(message.key):
                letter = task.process(message, stage, effects, stop_on_error=self._stop_on_error)
                if letter is not None:
                    batch.dead_letters.append(letter)
            now = budget.now()
            if budget.is_breath_due(now):
                await budget.breathe()
                now = budget.now()
            if budget.is_spent_at(now):
                break
        for topic in {message.topic for message in messages}:
            where = TopicPartition(topic, number)
            of_topic = [message.timestamp for message in messages if message.topic == topic]
            taken[where] = (taken.get(where, (0, 0))[0] + len(of_topic), of_topic[-1])

    async def reprocess(
        self, tasks: Mapping[int, PartitionTask], batch: Batch, budget: Budget, touched: set[int], *, chunks: float
    ) -> None:
        """Take so many whole chunks of fan-outs and sweeps, fewer when time runs out; partitions take turns.

        At least one is taken, if any are allowed. Parts of chunks add up: otherwise thousands of organisations with
        few records would need as many batches.
        """
        busy = self._in_turn([number for number, task in tasks.items() if task.has_background_work])
        # Between batches far apart there is time.
        seconds = max(budget.seconds, self._stage.interval_seconds / 2)
        is_first = True
        while busy and chunks > 0 and (is_first or not budget.has_lasted(seconds)):
            is_first = False
            number = self._last = busy.pop(0)
            chunks -= tasks[number].reprocess(batch.effects)
            touched.add(number)
            if tasks[number].has_background_work:
                busy.append(number)
            await budget.breathe()

    def expire(self, tasks: Mapping[int, PartitionTask], batch: Batch, now_ms: int, touched: set[int]) -> None:
        """Let folds give up what has waited until now; it goes to the dead letters."""
        for number, task in tasks.items():
            if task.is_due(now_ms):
                task.expire(now_ms, batch.effects)
                touched.add(number)
        batch.dead_letters += [DeadLetter.of_expired(each, self._stage.name) for each in batch.effects.expired]

    def _in_turn(self, numbers: list[int]) -> list[int]:
        """Return partitions in the order in which they are served: those after the last one first."""
        return sorted(numbers, key=lambda number: (number <= self._last, number))
