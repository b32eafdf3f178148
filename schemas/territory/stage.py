"""What a stage is: a pure class that is told what happened and answers with effects, as data.

`bytes -> decode -> event -> step -> (after, effects) -> send, await -> Redis -> commit`:
the loop does everything but the step, so the same fold runs under Kafka, in a test with
lists, and in a replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple, Protocol

from territory.model.compiled import Model

Models = Mapping[str, Model]
"""The active model of each organisation."""


class InputMessage(NamedTuple):
    """One decoded message of one of the stage's topics; no event means a tombstone."""

    topic: str
    key: str
    event: Any
    headers: Mapping[str, str]
    timestamp_ms: int = 0
    """When the broker, or the sender, says that it was sent."""
    size: int = 0
    """Bytes of its value; 0: not known."""
    offset: int = -1
    """Its place in its partition of the topic; -1: not known."""


class Message(NamedTuple):
    """One message to send.

    Attributes:
        value: The event; None is a tombstone.
        route: A text that decides the partition, or the partition itself.
        is_part: Whether it is one of several that say something of their key together: then a
            later one does not replace it.
    """

    topic: str
    key: str
    value: object
    route: str | int
    headers: tuple[tuple[str, str], ...] = ()
    is_part: bool = False


@dataclass(slots=True)
class Effects:
    """What a step wants done: messages sent and acknowledged, then the fold's own state and whatever
    else must not be heard before them; at the same time the changes of its store, in their order. Only
    when all is done are offsets committed.

    `refused` holds messages that the fold can't take, with code and reason: dead letters.
    """

    messages: list[Message] = field(default_factory=list)
    state: list[Message] = field(default_factory=list)
    changes: list[Any] = field(default_factory=list)
    refused: list[tuple[InputMessage, str, str]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    swept: int = 0
    """How many records a slice of a sweep brought under its model, or found to stay as they are."""
    cost: float = 0.0
    """What a slice of a sweep takes, others who follow included, in records of which a whole slice has `limit`. Slices
    of less are taken together, and those of nothing for as long as a turn may sweep."""

    def __len__(self) -> int:
        """How many messages and changes of the sink there are."""
        return len(self.messages) + len(self.state) + len(self.changes)

    def mark(self) -> tuple[int, int, int]:
        """Return the present length, for `roll_back`."""
        return len(self.messages), len(self.state), len(self.changes)

    def roll_back(self, mark: tuple[int, int, int]) -> None:
        """Drop what was added since a mark. Counts of outcomes stay."""
        del self.messages[mark[0] :], self.state[mark[1] :], self.changes[mark[2] :]
        self.refused.clear()

    def add(self, other: Effects) -> None:
        """Append another step's effects."""
        self.messages += other.messages
        self.state += other.state
        self.changes += other.changes
        self.refused += other.refused
        self.outcomes += other.outcomes
        self.swept += other.swept


class Wait(Enum):
    """What a sweep waits for, instead of a slice."""

    AWAIT_UPSTREAM = 1
    """Until the stage that it follows has swept for the same models, and all that it said is known here."""


AWAIT_UPSTREAM: Literal[Wait.AWAIT_UPSTREAM] = Wait.AWAIT_UPSTREAM

SweepChunk = Effects | Wait
"""What a sweep yields."""


class Fold(Protocol):
    """The memory and the decisions of one stage for one partition."""

    def restore(self, message: InputMessage) -> None:
        """Take one message of the stage's own state into memory; no effects."""

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Hear that the memory is whole again.

        Args:
            models: The active models.
            unknown: Organisations whose effects so far were not all made under the active
                model; everything of theirs has to be said again by a sweep.
        """

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one message and add what follows from it to the effects."""

    @property
    def unfinished_from(self) -> int | None:
        """The offset of the oldest message whose consequences are not all emitted yet; None: there is none.

        The loop commits no offset beyond it, so a successor applies that message again.
        """

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Go on with consequences that `apply` has put off, for about `limit` records."""

    def flush(self, models: Models, effects: Effects) -> None:
        """Add what was put off to the end of a turn, so that it is said once a turn."""

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        """Bring everything of one organisation under a new model, at most `limit` records a slice.

        Steps may be applied between two slices. After it has yielded a `Wait`, the next slice is
        asked for once that has come true.
        """

    def __len__(self) -> int:
        """How many records are in memory."""


class WithoutFanOut:
    """Base of folds whose `apply` leaves nothing to do: a message changes a bounded number of records."""

    @property
    def unfinished_from(self) -> int | None:
        """Nothing is put off."""
        return None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Nothing is put off."""


def collapse(messages: Iterable[Message]) -> list[Message]:
    """Return the last message of every topic, key and route, in the order of the last ones; and all that are parts."""
    last: dict[tuple[str, str, str | int] | int, Message] = {}
    for number, message in enumerate(messages):
        place = number if message.is_part else (message.topic, message.key, message.route)
        last.pop(place, None)
        last[place] = message
    return list(last.values())
