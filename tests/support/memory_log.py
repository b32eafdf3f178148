"""Kafka in memory: topics, consumer groups, and the ports of the task loop on them.

Every call of a port is a gate (`stepping.py`): a test lets it through, or never. Passes the contract suite of the
ports in `tests/contracts/log.py`, as the adapters for Kafka do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.errors import IllegalStateError, UnknownMemberIdError

from territory.stage import Message
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.keys import partition_of
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.kafka.lease import Lease, LeaseEnded
from territory_runtime.loop.ports import AssignmentListener, Committed, Polled, TopicPartition
from tests.support.stepping import Dice, Process

FIRST_MS = 1_500_000_000_000
POLLED_RECORDS_MAX = 6
READ_RECORDS_MAX = 20
CLOCK_MOVES = 1 / 3
"""With so many of the looks at a clock some time has passed."""
CHANGELOGS = frozenset({topics.RECORD_STATES.name, topics.RELEASES.name, topics.FROZEN.name})
"""Topics that are written after all other output of a batch."""


class Stored(NamedTuple):
    """One message of a log, as bytes."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Consumed(NamedTuple):
    """The same as a reader gets it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Log:
    """One partition of a topic. Offsets stay when messages go."""

    def __init__(self) -> None:
        self._messages: list[Stored | None] = []

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Stored) -> None:
        self._messages.append(message)

    def between(self, start: int, stop: int) -> Iterator[tuple[int, Stored]]:
        """Iterate over what is there of some offsets."""
        for offset in range(start, min(stop, len(self))):
            message = self._messages[offset]
            if message is not None:
                yield offset, message

    def trim(self, stop: int) -> None:
        """Drop everything before an offset, as retention does."""
        for offset in range(min(stop, len(self))):
            self._messages[offset] = None

    def compact(self, stop: int) -> None:
        """Of the messages before an offset keep the last of every key."""
        last: dict[bytes, int] = {}
        for offset, message in reversed(list(self.between(0, stop))):
            if last.setdefault(message.key, offset) != offset:
                self._messages[offset] = None


@dataclass
class Cluster:
    """All topics, what groups have committed, and the time."""

    partitions: int
    dice: Dice
    logs: dict[tuple[str, int], Log] = field(default_factory=dict)
    committed: dict[str, dict[TopicPartition, Committed]] = field(default_factory=dict)
    dead_letters: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """Codes by topic, partition and offset: a repeated batch sends them again."""
    now_ms: int = FIRST_MS
    commits: Counter[str] = field(default_factory=Counter)
    """How often each group has committed."""
    members: dict[str, dict[str, MemoryReader]] = field(default_factory=dict)
    """By group and name, who is a member as far as the group knows."""
    on_append: Callable[[str, int, Stored], None] | None = None

    def __post_init__(self) -> None:
        for topic in topics.TOPICS:
            for partition in range(topic.partitions or self.partitions):
                self.logs[topic.name, partition] = Log()

    def log(self, topic: str, partition: int) -> Log:
        """Return one partition of a topic."""
        return self.logs[topic, partition]

    def append(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Append a message; a millisecond passes."""
        self.now_ms += 1
        stored = Stored(key, value, tuple(headers), self.now_ms)
        self.log(topic, partition).append(stored)
        if self.on_append is not None:
            self.on_append(topic, partition, stored)

    def send(self, topic: str, partition: int, message: Message) -> None:
        """Append a fold's message, encoded."""
        value = None if message.value is None else encode(message.value)
        headers = tuple((name, text.encode(errors="surrogateescape")) for name, text in message.headers)
        self.append(topic, partition, message.key.encode(), value, headers)

    def place_of(self, message: Message) -> tuple[str, int]:
        """Return the topic and partition that a message goes to."""
        route = message.route
        return message.topic, route if isinstance(route, int) else partition_of(route, self.partitions)


class MemoryClock:
    """Time that passes a little with some of the looks at it, so that batches end anywhere."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process
        self._now = 0.0

    def time(self) -> float:
        return self._cluster.now_ms / 1000

    def monotonic(self) -> float:
        if self._cluster.dice.random() < CLOCK_MOVES:
            self._now += 0.002
        return self._now

    async def sleep(self, seconds: float) -> None:
        await self._process.gate("sleep")
        self._now += seconds


class MemoryReader:
    """The port `LogReader`."""

    def __init__(self, cluster: Cluster, process: Process, group: str, name: str = "worker") -> None:
        self._cluster = cluster
        self._process = process
        self._group = group
        self._name = name
        self._positions: dict[TopicPartition, int] = {}
        self.assigned: frozenset[int] = frozenset()
        self.topics: list[str] = []
        self.listener: AssignmentListener | None = None

    @property
    def has_input(self) -> bool:
        """Whether there is anything to poll."""
        logs = self._cluster.logs
        for where, position in self._positions.items():
            if len(logs[where]) != position:
                return True
        return False

    @property
    def is_member(self) -> bool:
        """Whether the group knows this member."""
        return self._cluster.members.get(self._group, {}).get(self._name) is self

    def is_assigned(self, where: TopicPartition) -> bool:
        """Whether the group has given this member a partition, of a topic that it reads."""
        return where.topic in self.topics and where.partition in self.assigned

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        return {}

    async def start(self, topics: Collection[str], listener: AssignmentListener) -> None:
        self.topics, self.listener = list(topics), listener
        self._cluster.members.setdefault(self._group, {})[self._name] = self
        await self.assign(self.assigned)

    async def assign(self, partitions: frozenset[int]) -> None:
        """Take over what the group gives; every fetch begins at the committed offset then."""
        self.assigned = partitions
        committed = self._cluster.committed.get(self._group, {})
        self._positions = {
            where: max(0, committed[where].offset) if where in committed else 0
            for number in partitions
            for where in (TopicPartition(topic, number) for topic in self.topics)
        }
        if self.listener is not None:
            await self.listener.on_assigned(partitions)

    async def stop(self) -> None:
        if self.is_member and not self._process.is_dead:
            del self._cluster.members[self._group][self._name]

    async def poll(self, partitions: Sequence[TopicPartition], seconds: float, records_max: int) -> Polled:
        await self._process.gate("poll" if seconds else "poll at once")
        dice, found, positions = self._cluster.dice, {}, {}
        for where in dice.sample(list(partitions), len(partitions)):
            if where not in self._positions:
                continue  # it was revoked while the poll waited
            start = self._positions[where]
            stop = min(len(self._cluster.log(*where)), start + dice.randint(1, min(records_max, POLLED_RECORDS_MAX)))
            if stop > start:
                found[where] = self._consumed(where, start, stop)
                self._positions[where] = stop
            positions[where] = self._positions[where]
        return Polled(found, positions)

    def _consumed(self, where: TopicPartition, start: int, stop: int) -> list[Consumed]:
        return [
            Consumed(*where, offset, stored.timestamp_ms, stored.key, stored.value, stored.headers)
            for offset, stored in self._cluster.log(*where).between(start, stop)
        ]

    def seek(self, where: TopicPartition, offset: int) -> None:
        if where not in self._positions:
            raise IllegalStateError(f"{where} is not assigned")
        self._positions[where] = offset

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        await self._process.gate("ask")
        return {where: len(self._cluster.log(*where)) for where in partitions}

    def known_end(self, where: TopicPartition) -> int | None:
        return len(self._cluster.logs[where]) if where in self._positions else None

    async def read_all(self, where: TopicPartition) -> AsyncIterator[Sequence[Consumed]]:
        await self._process.gate("restore")
        end, start = len(self._cluster.log(*where)), 0
        while start < end:
            stop = min(end, start + self._cluster.dice.randint(1, READ_RECORDS_MAX))
            yield self._consumed(where, start, stop)
            start = stop
            if self._cluster.dice.randint(0, 3) == 0:
                await self._process.gate("restore")


class MemoryOffsets:
    """The port `GroupOffsets`."""

    def __init__(self, cluster: Cluster, process: Process, group: str, reader: MemoryReader) -> None:
        self._cluster = cluster
        self._process = process
        self._group = group
        self._reader = reader

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def committed(self, group: str) -> Mapping[TopicPartition, Committed]:
        await self._process.gate("ask")
        return dict(self._cluster.committed.get(group, {}))

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        await self._process.gate("commit")
        if not self._reader.is_member or not all(map(self._reader.is_assigned, offsets)):
            raise UnknownMemberIdError("the group has given the partitions to others")
        self._cluster.committed.setdefault(self._group, {}).update(offsets)
        self._cluster.commits[self._group] += 1


class MemoryWriter:
    """The port `LogWriter`. A send reaches each partition in its order, partitions in any, and may end half-way."""

    def __init__(
        self, cluster: Cluster, process: Process, lease: Lease, confirm: Callable[[], Awaitable[None]]
    ) -> None:
        self._cluster = cluster
        self._process = process
        self._lease = lease
        self._confirm = confirm

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, messages: Sequence[Message], encoded: dict[int, bytes]) -> None:
        try:
            await self._send(messages)
        except LeaseEnded:
            await self._confirm()
            await self._send(messages)

    async def _send(self, messages: Sequence[Message]) -> None:
        groups: dict[tuple[str, int], list[Message]] = {}
        for message in messages:
            groups.setdefault(self._cluster.place_of(message), []).append(message)
        label = "changelog" if all(message.topic in CHANGELOGS for message in messages) else "send"
        waiting = list(groups.items())
        self._cluster.dice.shuffle(waiting)
        for (topic, partition), group in waiting:
            middle = self._cluster.dice.randint(1, len(group))
            for part in filter(None, (group[:middle], group[middle:])):
                await self._process.gate(label)
                self._lease.require()
                for message in part:
                    self._cluster.send(topic, partition, message)

    async def send_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._process.gate("send")
        self._lease.require()
        for letter in letters:
            self._cluster.dead_letters[letter.topic, letter.partition, letter.offset] = letter.code
