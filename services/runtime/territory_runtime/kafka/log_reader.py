"""Reads Kafka for the task loop: as a member of a consumer group, and whole partitions for restores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition

from territory_runtime.kafka import clients
from territory_runtime.kafka.assignor import CopartitionedAssignor
from territory_runtime.loop.ports import AssignmentListener, ConsumedMessage, Polled, TopicPartition
from territory_runtime.settings import Settings

FETCHED_RECORDS_MAX = 5_000


class AssignmentForwarder(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Passes rebalances on, as partition numbers: all topics of a stage are assigned by number.

    Beside workers of a version with fewer inputs, a member may get a partition of some of its topics alone. It leaves
    that to the others, until they are gone.
    """

    def __init__(self, listener: AssignmentListener, topics: Collection[str]) -> None:
        self._listener = listener
        self._topics = frozenset(topics)

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:
        """Called before partitions may go to others."""
        await self._listener.on_revoked()

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        """Called with all partitions of this member."""
        numbers = {place.partition for place in assigned}
        whole = {
            number for number in numbers if self._topics <= {at.topic for at in assigned if at.partition == number}
        }
        await self._listener.on_assigned(frozenset(whole))


class KafkaLogReader:
    """The port `LogReader` on aiokafka."""

    def __init__(self, settings: Settings, group: str) -> None:
        """Take what makes a member of a group; nothing is connected yet."""
        self._settings = settings
        self._group = group
        self.assignor = CopartitionedAssignor()
        self.consumer: AIOKafkaConsumer | None = None
        """The member, once started; `KafkaGroupOffsets` commits through it."""

    @property
    def _member(self) -> AIOKafkaConsumer:
        if self.consumer is None:
            raise RuntimeError("the reader is not started")
        return self.consumer

    async def start(self, topics: Collection[str], listener: AssignmentListener) -> None:
        """Join the group. Raises: KafkaError."""
        consumer = clients.group_consumer(self._settings, self._group, self.assignor)
        await consumer.start()
        consumer.subscribe(list(topics), listener=AssignmentForwarder(listener, topics))
        self.consumer = consumer

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        """By address of a worker, the partition numbers that it owns, as of the last assignment."""
        return self.assignor.owners

    async def stop(self) -> None:
        """Leave the group."""
        if self.consumer is not None:
            await self.consumer.stop()

    async def poll(self, partitions: Sequence[TopicPartition], seconds: float, records_max: int) -> Polled:
        """Return the next messages of some partitions, none after so many seconds. Raises: KafkaError."""
        places = [KafkaPartition(*where) for where in partitions]
        found = await self._member.getmany(*places, timeout_ms=int(seconds * 1000), max_records=records_max)
        positions = {
            where: await self._member.position(place)
            for where, place in zip(partitions, places, strict=True)
            if place in self._member.assignment()  # else it was revoked while the poll waited
        }
        return Polled({TopicPartition(*where): messages for where, messages in found.items()}, positions)

    def seek(self, where: TopicPartition, offset: int) -> None:
        """Fetch a partition from an offset on. Raises: IllegalStateError when it is not assigned."""
        self._member.seek(KafkaPartition(*where), offset)

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition that can be read: its last stable offset.

        Raises: KafkaError.
        """
        ends = await self._member.end_offsets([KafkaPartition(*where) for where in partitions])
        return {TopicPartition(*where): end for where, end in ends.items()}

    def known_end(self, where: TopicPartition) -> int | None:
        """Return the same as the last fetch reported it, without asking; None: nothing was fetched yet."""
        place, consumer = KafkaPartition(*where), self.consumer
        if consumer is None or place not in consumer.assignment():
            return None
        end: int | None = consumer.last_stable_offset(place)  # later messages belong to open transactions
        return end if end is not None and end >= 0 else consumer.highwater(place)

    async def read_all(self, where: TopicPartition) -> AsyncIterator[Sequence[ConsumedMessage]]:
        """Iterate over a partition up to its present end; aiokafka fetches the next messages meanwhile.

        Raises: KafkaError.
        """
        place = KafkaPartition(*where)
        consumer = clients.reader(self._settings)
        await consumer.start()
        try:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < end:
                found = await consumer.getmany(place, timeout_ms=500, max_records=FETCHED_RECORDS_MAX)
                yield found.get(place, ())
        finally:
            await consumer.stop()
