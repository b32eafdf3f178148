"""The interface between a stage and the loop that runs it: input messages in, effects out, both as data.

A stage is one step of a service: it consumes some topics and keeps a state per partition. Its
`Fold` holds that state and decides; it does no I/O. The loop around it decodes messages, calls
the fold, publishes the effects and commits offsets. So the same fold runs under Kafka, in tests
with lists, and in a replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from territory.model.compiled import Model

Models = Mapping[str, Model]
"""The active model of each organisation, by its id."""


class InputMessage(NamedTuple):
    """One decoded message from a topic of the stage. `event` is None for a tombstone."""

    topic: str
    key: str
    event: Any
    headers: Mapping[str, str]
    timestamp_ms: int = 0
    """The timestamp of the Kafka record."""
    size: int = 0
    """Bytes of the value; 0: not known."""
    offset: int = -1
    """Offset in its partition; -1: not known."""
    raw: bytes | None = None
    """The value's bytes, for a message that is passed on or kept; None: a tombstone, or not known."""


class Message(NamedTuple):
    """One message to publish.

    Attributes:
        value: The event; None for a tombstone.
        route: A routing key whose hash selects the partition, or the number of the partition.
        is_part: True if messages with the same key add up. A later one then doesn't replace it.
    """

    topic: str
    key: str
    value: object
    route: str | int
    headers: tuple[tuple[str, str], ...] = ()
    is_part: bool = False


class ExpiredMessage(NamedTuple):
    """A message of an earlier batch that a fold has given up: it becomes a dead letter."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    code: str
    reason: str


@dataclass(slots=True)
class Effects:
    """The output of one or more steps of a fold. Offsets are committed after all of it is done.

    The loop publishes `messages` and waits for their acknowledgement, then publishes `state`.
    Meanwhile it writes `changes` to the sink.
    """

    messages: list[Message] = field(default_factory=list)
    """Output for other stages and for the outside."""
    state: list[Message] = field(default_factory=list)
    """The fold's changelog, and messages that must not become visible before `messages`."""
    changes: list[Any] = field(default_factory=list)
    """Writes for the stage's sink, in order."""
    refused: list[tuple[InputMessage, str, str]] = field(default_factory=list)
    """Messages for the dead letters, each with a code and a reason."""
    expired: list[ExpiredMessage] = field(default_factory=list)
    """Messages of earlier batches for the dead letters."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Counts of messages by outcome, for the metrics."""
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Counts of unreadable values by object and field, for the metrics (C6)."""
    swept: int = 0
    """Records that a sweep chunk brought under its model, including those that did not change."""
    cost: float = 0.0
    """Estimated work of a sweep chunk in records, downstream work included; a full chunk costs `limit`.
    The loop combines cheaper chunks in one batch."""

    def __len__(self) -> int:
        """How many messages and changes of the sink there are."""
        return len(self.messages) + len(self.state) + len(self.changes)

    def mark(self) -> tuple[int, int, int, int]:
        """Return the present length, for `roll_back`."""
        return len(self.messages), len(self.state), len(self.changes), len(self.expired)

    def roll_back(self, mark: tuple[int, int, int, int]) -> None:
        """Drop what was added since a mark. Counts of outcomes stay."""
        del self.messages[mark[0] :], self.state[mark[1] :], self.changes[mark[2] :], self.expired[mark[3] :]
        self.refused.clear()

    def add(self, other: Effects) -> None:
        """Append the effects of a later step."""
        self.messages += other.messages
        self.state += other.state
        self.changes += other.changes
        self.refused += other.refused
        self.expired += other.expired
        self.outcomes += other.outcomes
        self.unreadable += other.unreadable
        self.swept += other.swept


class Wait(Enum):
    """Yielded by a sweep in place of a chunk: the condition for asking it for the next one."""

    AWAIT_UPSTREAM = 1
    """Wait until the upstream stage has finished its sweep under the same models, and this partition has
    consumed everything that it published in that sweep."""


AWAIT_UPSTREAM: Literal[Wait.AWAIT_UPSTREAM] = Wait.AWAIT_UPSTREAM

SweepChunk = Effects | Wait
"""One step of a sweep: the effects of some records, or a condition to wait for."""


NO_MESSAGE = 2**63 - 1
"""In place of the offset of an unfinished message: output is left that follows from none. A restore finds it again."""


class Fold(Protocol):
    """The state and the decisions of a stage for one partition."""

    def restore(self, message: InputMessage) -> None:
        """Load one message of the stage's changelog; no effects."""

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Finish restoring, after the last `restore`.

        Args:
            models: The active models.
            unknown: Organisations to resynchronise: what was published for them before is not known,
                so a sweep will publish everything of theirs again.
        """

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Process one message; add its output to the effects."""

    @property
    def unfinished_from(self) -> int | Mapping[str, int] | None:
        """The offset of the oldest message whose output is incomplete; None or nothing if all output is complete.

        With several inputs, the offsets by topic; one without a topic counts for all of them. `NO_MESSAGE` is output
        that follows from no message. The loop commits nothing beyond these offsets, so that the next owner applies
        the messages again.
        """

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Continue output that `apply` has postponed, for about `limit` records."""

    def flush(self, models: Models, effects: Effects) -> None:
        """Add the output that the fold collects during a batch, at the end of the batch."""

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        """Redecide everything of one organisation under a new model, in chunks of at most `limit` records.

        Messages may be applied between two chunks. After a `Wait`, the loop asks for the next chunk
        only once the condition holds.
        """

    def __len__(self) -> int:
        """Number of records in the state."""


@runtime_checkable
class WithDeadlines(Protocol):
    """A fold that does something when a time has come, also while no message comes."""

    @property
    def due_ms(self) -> int | None:
        """When `expire` has to be called, in ms of Unix time; None: nothing waits for a time."""

    def expire(self, now_ms: int, effects: Effects) -> None:
        """Give up what has waited long enough; begin to count the time of what is new."""


class WithoutFanOut:
    """Base class of folds where a message affects few records, so that `apply` postpones nothing."""

    @property
    def unfinished_from(self) -> int | None:
        """Always None: all output is complete."""
        return None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Do nothing: no output is postponed."""


def collapse(messages: Iterable[Message]) -> list[Message]:
    """Drop every message that a later one with the same topic, key and route replaces; keep all parts."""
    last: dict[tuple[str, str, str | int] | int, Message] = {}
    for number, message in enumerate(messages):
        slot = number if message.is_part else (message.topic, message.key, message.route)
        last.pop(slot, None)
        last[slot] = message
    return list(last.values())
