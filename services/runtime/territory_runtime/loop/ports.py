"""Ports of the loop: what it needs of Kafka and of time.

`Stage.store` (see `stage.py`) is the port to a sink such as Redis. Adapters are in `kafka/` and, for tests, in
memory (`tests/support/memory_log.py`); all pass the contract suite in `tests/contracts/log.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from territory.stage import Message
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.model_snapshot import ModelSnapshot


class TopicPartition(NamedTuple):
    """One partition of a topic. Equal to aiokafka's tuple of the same name."""

    topic: str
    partition: int


class ConsumedMessage(Protocol):
    """One message as it was read, undecoded."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    @property
    def partition(self) -> int:
        """The partition's number."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds of Unix time, set by the broker or the producer."""

    @property
    def key(self) -> bytes | None:
        """The key's bytes."""

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None is a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values."""


class Polled(NamedTuple):
    """What one poll brought."""

    messages: Mapping[TopicPartition, Sequence[ConsumedMessage]]
    positions: Mapping[TopicPartition, int]
    """By polled partition, the next offset to fetch. After the last message it passes a transaction's end marker."""


class Committed(NamedTuple):
    """An offset that a group has committed, and the text beside it."""

    offset: int
    metadata: str


class AssignmentListener(Protocol):
    """Is called while a rebalance waits for it."""

    async def on_revoked(self) -> None:
        """Finish what is under way: all partitions may go to other workers now."""

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Record the partitions that this worker has from now on."""


class LogReader(Protocol):
    """A member of a stage's consumer group, and a reader of whole partitions."""

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        """By address of a worker, the partition numbers that it owns, as of the last assignment."""

    async def start(self, topics: Collection[str], listener: AssignmentListener) -> None:
        """Join the group. Raises: KafkaError."""

    async def stop(self) -> None:
        """Leave the group, so that others get the partitions at once."""

    async def poll(self, partitions: Sequence[TopicPartition], seconds: float, records_max: int) -> Polled:
        """Return the next messages of some partitions, none after so many seconds. Raises: KafkaError."""

    def seek(self, where: TopicPartition, offset: int) -> None:
        """Fetch a partition from an offset on."""

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition. Raises: KafkaError."""

    def known_end(self, where: TopicPartition) -> int | None:
        """Return the same as the last fetch reported it, without asking; None: nothing was fetched yet."""

    def read_all(self, where: TopicPartition) -> AsyncIterator[Sequence[ConsumedMessage]]:
        """Iterate over a partition from its beginning to its end at the time of the call. Raises: KafkaError.

        The next messages are fetched while the caller works.
        """


class GroupOffsets(Protocol):
    """The committed offsets of consumer groups."""

    async def start(self) -> None:
        """Connect. Raises: KafkaError."""

    async def stop(self) -> None:
        """Disconnect."""

    async def committed(self, group: str) -> Mapping[TopicPartition, Committed]:
        """Return every offset that a group has committed. Raises: KafkaError."""

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commit for this member's group.

        Raises: KafkaError, UnknownMemberIdError or CommitFailedError when this worker is no member any more.
        """


class LogWriter(Protocol):
    """Sends messages, as long as the lease of this worker runs."""

    async def start(self) -> None:
        """Connect. Raises: KafkaError."""

    async def stop(self) -> None:
        """Send what is on its way, and disconnect."""

    async def send(self, messages: Sequence[Message], encoded: dict[int, bytes]) -> None:
        """Send messages in their order and await that all replicas have them.

        Args:
            messages: What to send.
            encoded: By `id` of a value, its bytes: for values that are sent more than once in a batch.

        Raises: KafkaError, LeaseEnded.
        """

    async def send_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Send refused messages to the dead letters and await that they are there. Raises: KafkaError, LeaseEnded."""


class Clock(Protocol):
    """Time."""

    def time(self) -> float:
        """Return seconds of Unix time."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class ModelSource(Protocol):
    """The models in effect; `model_watcher.py` follows the model topic."""

    was_replaced: bool
    """Whether output was produced under models of a deleted model topic."""

    async def caught_up(self) -> None:
        """Wait until everything that was on the topic at the start is in effect."""

    def in_effect(self, *, follows_days: bool) -> ModelSnapshot:
        """Return the newest snapshot, resolved for the present day if that matters."""

    async def reached(self, metadata: CommitMetadata, beat: Callable[[], None]) -> CommitMetadata:
        """Wait until the models that a commit names are in effect here; return what is known under them."""

    async def snapshots_of(
        self, metadata: CommitMetadata, *, follows_days: bool
    ) -> tuple[ModelSnapshot, ModelSnapshot]:
        """Return the snapshots that a commit names: the one applied to all records, and the target."""
