"""Reads the input of a stage for one organisation, and waits until the stage has stored what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory_admin.log.topic_reader import read_on
from territory_admin.models.topic import Activated
from territory_admin.records.wait import Goal, Pipeline, StageGroup
from territory_runtime.loop.decoding import decode_message


class NotComparable(Exception):
    """Raised when Redis and the topics can't be compared now; the text gives the reason, and what to do."""


class StageLog:
    """The topics as the stages read them, for as long as one model is active."""

    def __init__(
        self, consumer: AIOKafkaConsumer, stages: Pipeline, activated: Activated, timeout_seconds: float
    ) -> None:
        """Read for an activation's organisation and model; wait for a stage so many seconds each time."""
        self._consumer = consumer
        self._stages = stages
        self._activated = activated
        self._timeout_seconds = timeout_seconds

    async def goal(self, stage: StageGroup, numbers: Collection[int]) -> Goal:
        """Return the present ends of some partitions of a stage's first input, as a goal of the stage.

        Raises: NotComparable when another model was activated; KafkaError.
        """
        org_id = self._activated.activation.org_id
        now = await self._stages.activated(org_id)
        if now.offset != self._activated.offset:
            raise NotComparable(
                f"revision {now.activation.revision} was activated meanwhile; wait until it is in effect "
                "(territory wait) and try again"
            )
        goal = await self._stages.goal(stage, now.offset)
        partitions = [TopicPartition(stage.topics[0].name, number) for number in numbers]
        begins = {where: goal.begins[where] for where in partitions}
        return Goal(stage, begins, {where: goal.ends[where] for where in partitions}, now.offset)

    async def reach(self, goal: Goal) -> None:
        """Wait until a stage has committed a goal, its sweep for the model included.

        Raises: NotComparable after the timeout; KafkaError.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._stages.reach(goal, lambda *_: None)
        except TimeoutError as late:
            behind = await self._stages.behind(goal)
            absent = await self._stages.absent([goal.stage.name])
            work = f"{behind[0]} behind" if behind else f"{goal.stage.name} was behind"
            hint = f"; no service is running for {absent[0]}: start it" if absent else ""
            raise NotComparable(f"after {self._timeout_seconds:g} s, {work}{hint}") from late

    async def read_all(
        self, where: TopicPartition, read: Callable[[bytes], Any], take: Callable[[int, InputMessage], None]
    ) -> None:
        """Pass all of the organisation's messages that a partition has now to `take`. Raises: KafkaError."""
        await self.read({where: 0}, await self._consumer.end_offsets([where]), read, take)

    async def read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        read: Callable[[bytes], Any],
        take: Callable[[int, InputMessage], None],
    ) -> None:
        """Pass the organisation's messages of some partitions to `take`.

        Args:
            starts: The offset to begin at, by partition.
            ends: The offset to stop before, by partition.
            read: Decodes a message's value; a message that it refuses with BadMessage is ignored.
            take: Called with the number of the partition and the message.

        Raises: KafkaError.
        """
        key_prefix = f"{self._activated.activation.org_id}/".encode()

        def take_message(message: ConsumerRecord) -> None:
            if message.key is None or not message.key.startswith(key_prefix):
                return
            try:
                decoded = decode_message(message, read)
            except BadMessage:
                return  # the stage sent it to the dead letters
            take(message.partition, decoded)

        await read_on(self._consumer, starts, take_message, ends)
