"""The models that are in effect at a time, and the note beside a committed offset that says which.

A model comes into effect with its activation, at a position on the model topic. Where its rules
use dates relative to today (C7), it is resolved for a day, which follows from an instant. So a
position and an instant, together a `Moment`, say which models something was decided under.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from territory.model.compiled import Model

NOTHING_ACTIVATED = -1


class SnapshotId(NamedTuple):
    """Which models something was decided under."""

    position: int = NOTHING_ACTIVATED
    """On the model topic: activations up to there are in effect."""
    instant: int | None = None
    """In seconds of Unix time: relative dates are as of each organisation's day then; None: no day was looked at."""

    def __str__(self) -> str:
        return str(self.position) if self.instant is None else f"{self.position} {self.instant}"


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """The models of all organisations at one moment. Never changed: what comes later is another."""

    models: Mapping[str, Model]
    activated_at: Mapping[str, int]
    """By organisation, the offset of the activation of its model."""
    moment: SnapshotId


NO_SNAPSHOT = ModelSnapshot({}, {}, SnapshotId())

_MOMENT = r"(-?\d+)(?: (-?\d+))?"
_NOTE = re.compile(rf"{_MOMENT}(?: > {_MOMENT}(?: : (\d+) of (\d+))?)?(?: # (\d+) (\d+))?")


class CommitMetadata(NamedTuple):
    """What is written beside a committed offset.

    Everything said until then follows from the models of `swept`, or from those of `towards`
    where a sweep that is under way came by already.
    """

    swept: SnapshotId = SnapshotId()
    towards: SnapshotId = SnapshotId()
    """The same as `swept` where no sweep is under way."""
    left: int = 0
    """At most so many records are still to be swept."""
    total: int = 0
    """Of how many at the sweep's beginning."""
    term: int = 0
    """How often the partition has begun to be another worker's (fencing.py)."""
    written: int = 0
    """How often the partition's store was written to."""

    def __str__(self) -> str:
        text = str(self.swept)
        if self.towards != self.swept:
            text += f" > {self.towards}" + (f" : {self.left} of {self.total}" if self.total else "")
        return f"{text} # {self.term} {self.written}" if self.term else text

    @classmethod
    def read(cls, text: str) -> CommitMetadata:
        """Return the note of a text; what is none says that nothing is known of what was said before."""
        found = _NOTE.fullmatch(text)
        if found is None:
            return cls()
        position, instant, later, later_instant, left, total, term, written = (
            None if group is None else int(group) for group in found.groups()
        )
        swept = SnapshotId(NOTHING_ACTIVATED if position is None else position, instant)
        towards = swept if later is None else SnapshotId(later, later_instant)
        return cls(swept, towards, left or 0, total or 0, term or 0, written or 0)


def unknown_under(note: CommitMetadata, now: ModelSnapshot, *, is_gapless: bool) -> frozenset[str]:
    """Return the organisations of which a restored partition can't tell what was said.

    Those that were activated after the last sweep; all, where the log may have lost something;
    and, where the note is of a time that knew no days, those whose rules need one.
    """
    return frozenset(
        org
        for org, model in now.models.items()
        if not is_gapless
        or now.activated_at[org] > note.swept.position
        or (model.uses_relative_dates and now.moment.instant is not None and note.swept.instant is None)
    )
