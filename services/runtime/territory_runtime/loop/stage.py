"""What a service tells the partition loop of one of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from territory.model.compiled import Model
from territory.stage import Effects, Fold, Models
from territory.wire.topics import Topic
from territory_runtime.loop.backpressure import Downstream
from territory_runtime.redis.fencing import Fences

Reader = Callable[[bytes], Any]
"""Bytes to event; raises BadMessage."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition of a stage is, for those who ask the store."""

    stage: str
    partition: int
    offset: int
    """The next message of the first input."""
    revisions: Mapping[str, int]
    """By organisation, the model's revision that all of its records here are under."""


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
    """Where a stage's changes go besides Kafka."""

    fences: Fences
    """The epochs of this worker's partitions; `reconcile` and `apply` raise Fenced, SinkRolledBack, SinkPaused."""

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None]) -> None:
        """Remove the orphans of all requests in one walk over the sink; the next sweeps write what is missing.

        Every removal goes out under the fence of its own partition. The walk may take minutes: `beat` is called all
        the while. Harmless to repeat.
        """

    async def apply(self, changes: list[Any], progress: list[Progress]) -> None:
        """Apply changes in their order, then write the progress. Harmless to repeat."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One fold's place: what it reads, where its memory comes from, and where its changes go.

    Attributes:
        name: The consumer group, and the label in metrics.
        inputs: The topics that it reads, with how; all have the same number of partitions.
        state: The compacted topic that its memory is restored from: its own, read to the end; or
            its first input, read up to the committed offset.
        keeps: A compacted topic of its own, besides, that is read to its end before `state` is: what does not
            follow from what it reads.
        make: Makes the fold of a partition; its arguments are the partition and their number.
        interval_seconds: The least time between two turns, for a stage that says more the oftener
            it is asked.
        wants: Whether a message of a key matters; others are passed over unread.
        prepare: Makes, and keeps by the model, what its folds derive from a model. It is called in a
            thread, before the model is in effect, so that no turn has to wait for it. Raises
            ModelRefused when it can't: the model before stays in effect.
        follows_days: Whether its decisions depend on the day (C7). Then its models are those of
            their organisation's present day, and a sweep follows when that passes.
        sweep_passes: How often a sweep goes through the records, to tell how far it is.
        sweep_share: How many times the records that the setting speaks of its slices have, which take about as long.
        follows: The stage that writes its first input, where its sweeps wait for that one's
            (`territory.fold.UNTIL_DECIDED`).
        paced_by: Who listens to what its sweeps say, where these wait for that one to follow (`pace.py`).
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

    @property
    def restores_from_input(self) -> bool:
        """Whether its memory comes from what it reads, and not from what it writes."""
        return self.state[0] in self.inputs


__all__ = ["Effects", "Progress", "Reader", "ReconcileRequest", "Sink", "Stage", "every"]
