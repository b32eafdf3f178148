"""The difference between two models, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from territory.model.document import PieceKey
from territory.wire.codec import JSON


@dataclass(frozen=True, slots=True)
class PieceChanges:
    """The pieces by which one model differs from another, each list sorted."""

    added: tuple[PieceKey, ...]
    changed: tuple[PieceKey, ...]
    removed: tuple[PieceKey, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def changes_between(before: Mapping[PieceKey, JSON], after: Mapping[PieceKey, JSON]) -> PieceChanges:
    """Return the pieces that were added, changed and removed; the order of keys within a piece does not matter."""
    return PieceChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(
            sorted(key for key in after.keys() & before.keys() if _canonical(after[key]) != _canonical(before[key]))
        ),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def removed_territories(changes: PieceChanges) -> tuple[str, ...]:
    """Return the ids of the territories that a change removes (A11)."""
    return tuple(name for kind, name in changes.removed if kind == "territory")


def _canonical(value: JSON) -> str:
    # Python's == takes true for 1.
    return json.dumps(value, sort_keys=True)
