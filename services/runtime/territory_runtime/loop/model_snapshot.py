"""The models of all organisations that are in effect at one moment.

A model comes into effect with its activation, at an offset of the model topic. Where its rules use dates relative
to today (C7), it is resolved for a day, which follows from an instant. An offset and an instant, together a
`SnapshotId`, identify the models that a decision was made under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from territory.model.compiled import Model

NOTHING_ACTIVATED = -1


class SnapshotId(NamedTuple):
    """Identifies a snapshot of all models."""

    position: int = NOTHING_ACTIVATED
    """Offset on the model topic: activations up to there are in effect."""
    instant: int | None = None
    """Seconds of Unix time: relative dates are as of each organisation's day then; None: no day matters."""

    def __str__(self) -> str:
        return str(self.position) if self.instant is None else f"{self.position} {self.instant}"


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """The models of all organisations at one moment. Immutable: what comes later is another snapshot."""

    models: Mapping[str, Model]
    activated_at: Mapping[str, int]
    """By organisation, the offset of the activation of its model."""
    id: SnapshotId


NO_SNAPSHOT = ModelSnapshot({}, {}, SnapshotId())
