"""What a comparison of one Redis structure with the topics has to provide; `comparing.py` runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from territory.wire.keys import partition_of
from territory.wire.topics import Topic
from territory_admin.records.wait import PIPELINE, StageGroup

Entry = TypeVar("Entry", bound=Hashable)

INDEXER, PARTIAL_SUMS, TOTALS = PIPELINE[2:]


@dataclass(frozen=True, slots=True)
class Drift:
    """An entry of Redis, or of the topics, that differs from what the topics imply."""

    kind: str
    where: str
    """The entry, as one finds it in Redis."""
    why: str
    """What was expected there and what was found."""


class StoreComparison(ABC, Generic[Entry]):
    """Compares what one stage has stored with what its fold implies; `Entry` names one stored entry."""

    stage: ClassVar[StageGroup]
    own_state: ClassVar[tuple[Topic, Callable[[bytes], Any]] | None] = None
    """A topic of state that the stage keeps besides its input, and the function that decodes it."""

    @abstractmethod
    def make_fold(self, partition: int, partitions: int) -> Any:
        """Return the stage's fold of a partition, empty."""

    @abstractmethod
    def read_event(self, value: bytes) -> Any:
        """Decode a message of the stage's input. Raises: BadMessage."""

    def wants(self, key: str) -> bool:
        """Whether a message matters to the stage, by its key."""
        return True

    def subject_of_key(self, key: str) -> str | None:
        """Return the subject that a message is about, as `subject` returns it; None if it may be about any."""
        return key

    @abstractmethod
    def subject(self, entry: Entry) -> str:
        """Return the key of what an entry belongs to; it decides the partition."""

    def partition(self, entry: Entry, partitions: int) -> int:
        """Return the partition that an entry belongs to."""
        return partition_of(self.subject(entry), partitions)

    @abstractmethod
    def implied_entries(self, fold: Any) -> Iterator[list[Entry]]:
        """Yield the entries that a fold implies, those of one subject at a time."""

    @abstractmethod
    def stored_entries(self) -> AsyncIterator[list[Entry]]:
        """Yield the stored entries of all partitions, in pages. Raises: RedisError."""

    @abstractmethod
    async def read_entries(self, entries: Sequence[Entry]) -> list[Any]:
        """Return the stored values of entries, in their order. Raises: RedisError."""

    @abstractmethod
    def expected(self, fold: Any, entry: Entry) -> Any:
        """Return the value that a fold implies for an entry, comparable to its stored value."""

    @abstractmethod
    def drift(self, fold: Any, entry: Entry, expected: Any, stored: Any) -> Drift:
        """Describe how a stored value differs from the expected one."""

    @abstractmethod
    async def repair(self, entries: Sequence[tuple[Any, Entry]]) -> None:
        """Store what the folds imply, removals before additions (V8). Raises: RedisError."""


def hash_drift(word: str, name: str, expected: Mapping[str, str], stored: Mapping[str, str]) -> Drift:
    """Describe how an entry of named figures differs."""
    where = f"{word} {name}"
    if not stored:
        return Drift(f"missing_{word}", where, f"expected {figures_text(expected)}, found nothing")
    if not expected:
        return Drift(f"stray_{word}", where, f"expected nothing, found {figures_text(stored)}")
    differing = [name for name in sorted(expected.keys() | stored.keys()) if expected.get(name) != stored.get(name)]
    text = ", ".join(f"{name} {expected.get(name)!r}, found {stored.get(name)!r}" for name in differing)
    return Drift(f"wrong_{word}", where, f"expected {text}")


def figures_text(figures: Mapping[str, str] | bool) -> str:
    """Return named figures as text."""
    if isinstance(figures, bool) or not figures:
        return "nothing"
    return ", ".join(f"{name} {value}" for name, value in figures.items())
