"""Finds groups without an active member, and owners of records that a model does not have; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from territory.model.compiled import Model
from territory.wire.events import Record

OWNERS_MAX = 100
"""The unknown owners that are listed; those with the most records first."""


@dataclass(frozen=True, slots=True)
class UnknownOwner:
    """An owner that is neither a user nor a group of the model: nobody sees its records as their owner (V1, V10)."""

    owner_id: str
    records: int


@dataclass(frozen=True, slots=True)
class OwnerCoverage:
    """The owners of an organisation's records that the model does not have."""

    unknown: int
    """The number of unknown owners."""
    records: int
    """The records that they own."""
    owners: tuple[UnknownOwner, ...]
    """At most `OWNERS_MAX` of them, those with the most records first."""


class OwnerCount:
    """Counts the records of unknown owners. Memory: those of one partition, and the unknown owners."""

    def __init__(self, model: Model) -> None:
        self._known = model.people.keys() | model.groups.keys()
        self._found: dict[str, str] = {}
        """By key, the unknown owner of a record of the current partition; a later state replaces an earlier one."""
        self._records: Counter[str] = Counter()

    def take(self, key: str, record: Record | None) -> None:
        """Add the state of a record; None, a deletion, or a record that has only links so far (A4) removes it."""
        owner_id = None if record is None or not record.is_live else record.owner_id
        if owner_id is None or owner_id in self._known:
            self._found.pop(key, None)
        else:
            self._found[key] = owner_id

    def end_partition(self) -> None:
        """Count the records of the current partition, which was read to its end, and forget their keys."""
        self._records.update(self._found.values())
        self._found.clear()

    def result(self) -> OwnerCoverage:
        """Return the counts over all partitions."""
        ranked = sorted(self._records.items(), key=lambda item: (-item[1], item[0]))
        owners = tuple(UnknownOwner(*item) for item in ranked[:OWNERS_MAX])
        return OwnerCoverage(len(ranked), self._records.total(), owners)


def groups_without_members(model: Model) -> tuple[str, ...]:
    """Return the groups that have no active member, sorted: nobody sees what they own, or what is shared with them."""
    return tuple(sorted(group.id for group in model.groups.values() if not group.members))
