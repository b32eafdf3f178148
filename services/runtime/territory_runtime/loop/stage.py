"""The definition of a stage: what a service gives the task loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from territory.model.compiled import Model
from territory.stage import Effects, Fold, Models
from territory.wire.topics import Topic
from territory_runtime.redis.fencing import Fences

Reader = Callable[[bytes], Any]
"""Bytes to event; raises BadMessage."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition of a stage is, as the sink shows it."""

    stage: str
    partition: int
    offset: int
    """The next message of the first input."""
    revisions: Mapping[str, int]
    """By organisation, the model's revision that all of its records here are under."""


class Downstream(NamedTuple):
    """The consumer group that must not fall behind when a stage sweeps, and the topic that it reads."""

    group: str
    topic: Topic


def every(_: str) -> bool:
    """Want the messages of all keys."""
    return True


def _nothing(_: Model) -> None:
    pass


class ReconcileRequest(NamedTuple):
    """One restored partition whose orphans a sink has to remove: entries that nothing in its fold gives."""

    partition: int
    fold: Any
    models: Models
    """Of the snapshot that this partition was restored to."""
    orgs: frozenset[str]
    """Organisations whose entries in the sink are unknown; without any, only the written progress is forgotten."""


class Sink(Protocol):
    """The port to a store besides Kafka, such as Redis."""

    fences: Fences
    """The epochs of this worker's partitions; `reconcile` and `apply` raise Fenced, SinkRolledBack, SinkPaused."""

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None]) -> None:
        """Remove the orphans of all requests in one walk over the sink; the next sweeps write what is missing.

        Every removal goes out under the fence of its own partition. The walk may take minutes: `beat` is called all
        the while. Harmless to repeat.
        """

    async def apply(self, changes: list[Any], progress: list[Progress]) -> None:
        """Apply changes in their order, then write the progress. Harmless to repeat."""


@dataclass(frozen=True)
class Stage:
    """Where one fold reads from, what its table is restored from, and where its output goes.

    Attributes:
        name: The consumer group, and the label in metrics.
        inputs: Input topics with their readers; all have the same number of partitions.
        state: The compacted topic that the fold is restored from: its own changelog, read to the end; or its first
            input, read up to the committed offset.
        store: The sink besides Kafka, if there is one.
        keeps: Another compacted topic, restored before `state`: a changelog up to its end, an input up to the
            committed offset.
        make: Makes the fold of a partition; its arguments are the partition and the number of partitions.
        interval_seconds: The least time between two batches, for a stage whose output grows with its number of batches.
        wants: Whether a message of a key matters; others are skipped undecoded.
        prepare: Derives what the folds need of a model, and keeps it by the model. Called in a thread, before the
            model is in effect. Raises ModelRefused if the stage cannot use it; the previous model stays in effect.
        follows_days: Whether decisions depend on the day (C7). Then models are those of each organisation's present
            day, and a sweep follows when that passes.
        sweep_passes: How often a sweep goes through the records; for progress figures.
        sweep_share: Factor on `sweep_records_max`, for stages whose records are cheaper to sweep.
        follows: The upstream stage, where sweeps wait for it (`territory.stage.AWAIT_UPSTREAM`).
        paced_by: The downstream group whose lag throttles sweeps (`backpressure.py`).
        edition: Raise it by one in a release whose fold emits something else for the same input. A worker treats
            the output of another edition as unknown, and emits everything once more (ADR 0019).
    """

    name: str
    inputs: Mapping[Topic, Reader]
    state: tuple[Topic, Reader]
    make: Callable[[int, int], Fold]
    store: Sink | None = None
    interval_seconds: float = 0.0
    wants: Callable[[str], bool] = every
    prepare: Callable[[Model], None] = _nothing
    follows_days: bool = False
    sweep_passes: int = 1
    sweep_share: int = 1
    follows: str | None = None
    paced_by: Downstream | None = None
    keeps: tuple[Topic, Reader] | None = None
    edition: int = 0

    @cached_property
    def readers(self) -> Mapping[str, Reader]:
        """The readers by topic name."""
        return {topic.name: read for topic, read in self.inputs.items()}

    @property
    def topics(self) -> list[str]:
        """The names of the input topics; readers of the sink ask for offsets of the first."""
        return [topic.name for topic in self.inputs]

    def is_wanted(self, key: bytes | None) -> bool:
        """Whether a message has to be processed; a malformed key has, since it becomes a dead letter."""
        if self.wants is every:
            return True
        text = (key or b"").decode(errors="replace")
        return text.count("/") < 2 or self.wants(text)


__all__ = ["Effects", "Progress", "Reader", "Sink", "Stage", "every"]
