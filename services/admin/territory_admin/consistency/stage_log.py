"""What a stage reads, of one organisation, and whether the stage has stored what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory_admin.log.topic_reader import read_on
from territory_admin.models.topic import Activated
from territory_admin.records.wait import Goal, Pipeline, StageGroup, reach
from territory_runtime.loop.decoding import decode_message
from territory_runtime.loop.stage import Reader


class NotComparable(Exception):
    """Raised when Redis and the log can't be compared now; the text says why, and what to do."""


class StageLog:
    """The log as the stages read it, for as long as one model is in effect."""

    def __init__(
        self, consumer: AIOKafkaConsumer, stages: Pipeline, activated: Activated, timeout_seconds: float
    ) -> None:
        """Go by the organisation and the model of an activation; give a stage so many seconds, each time."""
        self._consumer = consumer
        self._stages = stages
        self._activated = activated
        self._timeout_seconds = timeout_seconds

    async def goal(self, stage: StageGroup, numbers: Collection[int]) -> Goal:
        """Return where a stage's partitions end now, as what it has to reach.

        Raises: NotComparable when another model was activated.
        """
        org_id = self._activated.activation.org_id
        now = await self._stages.activated(org_id)
        if now.offset != self._activated.offset:
            raise NotComparable(
                f"revision {now.activation.revision} was activated meanwhile; wait until it is in effect "
                "(territory wait) and try again"
            )
        goal = await self._stages.goal(stage, now.offset)
        places = [TopicPartition(stage.topics[0].name, number) for number in numbers]
        begins = {where: goal.begins[where] for where in places}
        return Goal(stage, begins, {where: goal.ends[where] for where in places}, now.offset)

    async def reach(self, goal: Goal) -> None:
        """Wait until a stage has stored and committed what a goal asks for, its sweep under the model too.

        Raises: NotComparable after the timeout.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await reach(self._stages, goal, lambda *_: None)
        except TimeoutError as late:
            behind = await self._stages.behind(goal)
            absent = await self._stages.absent([goal.stage.name])
            said = f"{behind[0]} behind" if behind else f"{goal.stage.name} was behind"
            also = f"; no service is running for {absent[0]}: start it" if absent else ""
            raise NotComparable(f"after {self._timeout_seconds:g} s, {said}{also}") from late

    async def read_all(self, place: TopicPartition, reader: Reader, take: Callable[[int, InputMessage], None]) -> None:
        """Hand over all of the organisation's messages of one partition that are there now. Raises: KafkaError."""
        await self.read({place: 0}, await self._consumer.end_offsets([place]), reader, take)

    async def read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        reader: Reader,
        take: Callable[[int, InputMessage], None],
    ) -> None:
        """Hand over the organisation's messages of some partitions, each from an offset up to one.

        Args:
            starts: Where to begin.
            ends: Where to stop.
            reader: Makes an event of a message's value; what it refuses with BadMessage is passed over.
            take: Is given a message and the number of its partition.

        Raises: KafkaError.
        """
        ours = f"{self._activated.activation.org_id}/".encode()

        def taken(message: ConsumerRecord) -> None:
            if message.key is None or not message.key.startswith(ours):
                return
            try:
                incoming = decode_message(message, reader)
            except BadMessage:
                return  # it went to the dead letters in its time
            take(message.partition, incoming)

        if any(start < ends[where] for where, start in starts.items()):
            await read_on(self._consumer, starts, taken, ends)
