"""Workers of one stage in a consumer group in memory: they join, stop, freeze and lose their partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models, SweepChunk, WithoutFanOut
from territory.wire import topics
from territory.wire.codec import decode
from territory_runtime.health import Health
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import NO_SNAPSHOT, ModelSnapshot
from territory_runtime.loop.ports import TopicPartition
from territory_runtime.loop.stage import Progress, ReconcileRequest, Sink, Stage
from territory_runtime.loop.task_loop import Ports, TaskLoop
from territory_runtime.settings import read_settings
from tests.support.memory_log import Cluster, MemoryClock, MemoryOffsets, MemoryReader, MemoryWriter
from tests.support.memory_redis import MemorySink
from tests.support.stepping import Dice, Gate, Process

GROUP = "counting"
INPUT, OUTPUT, CHANGELOG = topics.RECORDS.name, topics.ASSIGNMENTS.name, topics.RECORD_STATES.name
SESSION_SECONDS = 30.0
IDLE = frozenset({"poll", "sleep"})
STEPS_MAX = 10_000


class CountingFold(WithoutFanOut):
    """Counts the messages of each key; it emits the count, keeps it in the changelog and writes it to the sink.

    Counting is not idempotent: a message that is lost, repeated or applied to old state shows in the counts. So it
    keeps beside each count the offset of the last message, and skips what it has counted.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.counts: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.counts)

    def restore(self, message: InputMessage) -> None:
        self.counts[message.key] = tuple(message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None: ...

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        count, last = self.counts.get(message.key, (0, -1))
        if message.offset > last:
            count, last = count + 1, message.offset
        self.counts[message.key] = (count, last)
        effects.messages.append(Message(OUTPUT, message.key, count, self.partition))
        effects.changes.append((message.key, count))
        effects.state.append(Message(CHANGELOG, message.key, [count, last], self.partition))

    def flush(self, models: Models, effects: Effects) -> None: ...

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        return iter(())


@dataclass
class Counts:
    """The sink: the last count of each key, with the fences of a real one."""

    found: dict[str, int] = field(default_factory=dict)
    fences: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    progress: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    reconciled: list[list[int]] = field(default_factory=list)
    """The partitions of each walk."""

    def make(self, change: tuple[str, int]) -> None:
        self.found[change[0]] = change[1]


class CountsSink(MemorySink):
    """Notes which partitions were reconciled together."""

    async def reconcile(self, requests: Iterable[ReconcileRequest], beat: Callable[[], None]) -> None:
        requests = list(requests)
        if any(request.orgs for request in requests):
            await self._process.gate("reconcile")
            cast(Counts, self._find()).reconciled.append([request.partition for request in requests])


class NoModels:
    """A model topic on which a test activates models."""

    def __init__(self) -> None:
        self.newest: ModelSnapshot = NO_SNAPSHOT
        self.was_replaced = False
        self.before_reached: Callable[[], Awaitable[None]] | None = None
        """Where a restore waits for a model, if a test says so."""

    async def caught_up(self) -> None: ...

    def in_effect(self, *, follows_days: bool) -> ModelSnapshot:
        return self.newest

    async def reached(self, metadata: CommitMetadata, beat: Callable[[], None]) -> CommitMetadata:
        if self.before_reached is not None:
            await self.before_reached()
        return metadata

    async def snapshots_of(
        self, metadata: CommitMetadata, *, follows_days: bool
    ) -> tuple[ModelSnapshot, ModelSnapshot]:
        return self.newest, self.newest


class Member:
    """One worker of the group."""

    def __init__(self, group: Group, name: str, partitions: Iterable[int]) -> None:
        self.process = Process()
        self.health = Health(lambda: 0.0)
        self.name = name
        cluster, process = group.cluster, self.process
        self.reader = MemoryReader(cluster, process, GROUP, name)
        self.reader.assigned = frozenset(partitions)
        sink = CountsSink(lambda: cast(Any, group.sink), process, GROUP, lambda: cluster.dice)
        ports = Ports(
            reader=self.reader,
            offsets=MemoryOffsets(cluster, process, GROUP, self.reader),
            make_writer=lambda lease, confirm: MemoryWriter(cluster, process, lease, confirm),
            clock=MemoryClock(cluster, process),
            lease_clock=lambda: group.seconds,
        )
        stage = Stage(
            GROUP,
            {topics.RECORDS: decode},
            (topics.RECORD_STATES, decode),
            make=lambda partition, _: CountingFold(partition),
            store=cast(Sink, sink),
        )
        self.loop = TaskLoop(
            stage,
            read_settings({"TERRITORY_KAFKA_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS)} | group.settings),
            models=group.models,
            health=self.health,
            partitions=cluster.partitions,
            ports=ports,
        )
        self._main = process.start(self.loop.run())

    @property
    def labels(self) -> set[str]:
        """What it waits for."""
        return {gate.label for gate in self.process.gates}

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more; what it ended with is raised."""
        if self._main.done():
            self._main.result()
        return self._main.done()

    @property
    def active(self) -> set[int]:
        """The partitions that it processes."""
        return set(self.loop._tasks)

    def fold(self, partition: int) -> CountingFold:
        """Return its memory of a partition."""
        return cast(CountingFold, self.loop._tasks[partition].fold)

    def gate(self, label: str) -> Gate:
        """Return the call of a kind that it is about to make; there must be one."""
        return next(gate for gate in self.process.gates if gate.label == label)

    def open(self, label: str) -> None:
        """Let a call through."""
        self.process.open(self.gate(label))

    def go_on_until(self, label: str) -> None:
        """Let everything else through until it is about to make a call of a kind."""
        for _ in range(STEPS_MAX):
            if label in self.labels:
                return
            self.process.open(self.process.gates[0])
        raise AssertionError(f"{self.name} is never about to {label}; it waits for {self.labels}")

    def idle(self) -> None:
        """Let everything through until it only waits for messages, and all of its partitions are active."""
        looks = 0
        for _ in range(STEPS_MAX):
            if self.has_ended:
                return
            at_rest = self.labels <= IDLE and not self.reader_has_input and self.loop._is_settled
            looks = looks + 1 if at_rest and self.active == self.reader.assigned else 0
            if looks > 3:
                return
            self.process.open(self.process.gates[0])
        raise AssertionError(f"{self.name} never rests; it waits for {self.labels}")

    @property
    def reader_has_input(self) -> bool:
        """Whether there is something that it has not polled."""
        return any(self.reader.known_end(where) != at for where, at in self.reader._positions.items())


class Group:
    """A consumer group: a test decides who has which partitions, and what time it is."""

    def __init__(self, partitions: int = 2, seed: int = 0, **settings: str) -> None:
        self.cluster = Cluster(partitions, Dice(seed))
        self.sink = Counts()
        self.models = NoModels()
        self.settings = {f"TERRITORY_{name.upper()}": value for name, value in settings.items()}
        self.seconds = 0.0
        self.members: list[Member] = []

    def join(self, name: str, partitions: Iterable[int]) -> Member:
        """Start a worker that is assigned partitions at once."""
        member = Member(self, name, partitions)
        self.members.append(member)
        return member

    def revoke(self, member: Member) -> None:
        """Begin a rebalance for a member: it lets its batch end."""
        listener = member.reader.listener
        assert listener is not None
        member.process.start(listener.on_revoked())

    def assign(self, member: Member, partitions: Iterable[int]) -> None:
        """End a rebalance for a member."""
        member.process.start(member.reader.assign(frozenset(partitions)))

    def expel(self, member: Member) -> None:
        """Take a member that was silent for its session for dead; it does not notice."""
        self.seconds += SESSION_SECONDS + 1
        del self.cluster.members[GROUP][member.name]

    def publish(self, key: str, partition: int = 0) -> None:
        """Publish one message."""
        self.cluster.append(INPUT, partition, f"acme/account/{key}".encode(), b"1")

    def committed(self, partition: int = 0) -> int:
        """Return the committed offset."""
        found = self.cluster.committed.get(GROUP, {}).get(TopicPartition(INPUT, partition))
        return 0 if found is None else found.offset

    def outputs(self, partition: int = 0) -> dict[str, int]:
        """Return the last count of each key on the output topic."""
        log = self.cluster.log(OUTPUT, partition)
        return {
            stored.key.decode().rpartition("/")[2]: cast(int, decode(stored.value or b"0"))
            for _, stored in log.between(0, len(log))
        }

    def sunk(self) -> dict[str, int]:
        """Return the counts in the sink."""
        return {key.rpartition("/")[2]: count for key, count in self.sink.found.items()}

    def close(self) -> None:
        """End all members."""
        for member in self.members:
            member.process.kill()


__all__ = ["Group", "Member", "Progress"]
