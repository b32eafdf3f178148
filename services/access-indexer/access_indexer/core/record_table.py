"""The records of one organisation in one partition, grouped by who sees them.

Records with the same attributes have the same viewers under any model. Those that are also in the same users' sets
now form a group, and a group is a bit-set of ordinals (Roaring). A sweep works out the viewers once a group.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from pyroaring import BitMap

from access_indexer.core.viewers import AccessAttributes, Viewers
from territory.wire.events import Assignment
from territory.wire.keys import parse_record_key


class RecordGroup:
    """Records with the same attributes that are in the same users' sets."""

    __slots__ = ("attributes", "members", "viewers")

    def __init__(self, attributes: AccessAttributes, viewers: Viewers | None) -> None:
        self.attributes = attributes
        self.viewers = viewers
        """The users whose sets hold the records; None: unknown."""
        self.members = BitMap()
        """The ordinals of the records."""


class RecordEntry(NamedTuple):
    """What the table knows of one record."""

    attributes: AccessAttributes
    viewers: Viewers | None
    version: int
    model_revision: int


class RecordTable:
    """Records by key, in columns. A record keeps its ordinal until it is removed; then the ordinal is used again.

    Attributes and viewers are referenced by groups only, and a group is dropped with its last record.
    """

    def __init__(self) -> None:
        self._ordinals: dict[str, int] = {}
        self._keys: list[str] = []
        self._versions = array("q")
        self._revisions = array("q")
        self._group_of: list[RecordGroup] = []
        self._free: list[int] = []
        self._groups: dict[tuple[AccessAttributes, Viewers | None], RecordGroup] = {}
        """By attributes and viewers; no group is empty."""

    def __len__(self) -> int:
        return len(self._ordinals)

    def __contains__(self, key: str) -> bool:
        return key in self._ordinals

    def keys(self) -> list[str]:
        """Return the keys of all records."""
        return list(self._ordinals)

    def __getitem__(self, key: str) -> RecordEntry:
        """Return what is known of a record. Raises: KeyError."""
        ordinal = self._ordinals[key]
        group = self._group_of[ordinal]
        return RecordEntry(group.attributes, group.viewers, self._versions[ordinal], self._revisions[ordinal])

    def get(self, key: str) -> RecordEntry | None:
        """Return what is known of a record; None: it is not here."""
        return self[key] if key in self._ordinals else None

    def put(
        self, key: str, attributes: AccessAttributes, version: int, model_revision: int, viewers: Viewers | None
    ) -> None:
        """Store a record as last decided, and the users whose sets hold it; None: unknown."""
        group = self._group(attributes, viewers)
        ordinal = self._ordinals.get(key)
        if ordinal is None:
            ordinal = self._new_ordinal(key)
        elif self._group_of[ordinal] is not group:
            self._leave(self._group_of[ordinal], ordinal)
        self._versions[ordinal] = version
        self._revisions[ordinal] = model_revision
        self._group_of[ordinal] = group
        group.members.add(ordinal)

    def remove(self, key: str) -> None:
        """Remove a record, with every reference to its key, attributes and viewers. Raises: KeyError."""
        ordinal = self._ordinals.pop(key)
        self._leave(self._group_of[ordinal], ordinal)
        self._keys[ordinal] = ""
        self._group_of[ordinal] = _NO_GROUP
        self._free.append(ordinal)

    def groups(self) -> list[RecordGroup]:
        """Return the groups that exist now."""
        return list(self._groups.values())

    def move(self, group: RecordGroup, viewers: Viewers, limit: int) -> BitMap:
        """Move at most `limit` records of a group to the sets of other users; return their ordinals."""
        moved = group.members[:limit] if len(group.members) > limit else BitMap(group.members)
        self._move(group, moved, viewers)
        return moved

    def assume_viewers(self, group: RecordGroup, viewers: Viewers, revision_max: int) -> None:
        """Record who sees the members of a group that were decided under a revision up to the given one."""
        revisions = self._revisions
        later = BitMap([ordinal for ordinal in group.members if revisions[ordinal] > revision_max])
        self._move(group, group.members - later, viewers)

    def keys_of(self, ordinals: BitMap) -> Iterator[str]:
        """Iterate over the keys of some records."""
        return map(self._keys.__getitem__, ordinals)

    def ids_of(self, ordinals: BitMap) -> list[str]:
        """Return the ids of some records."""
        return [parse_record_key(key)[2] for key in self.keys_of(ordinals)]

    # --- groups ------------------------------------------------------------------------------

    def _new_ordinal(self, key: str) -> int:
        if self._free:
            ordinal = self._free.pop()
            self._keys[ordinal] = key
        else:
            ordinal = len(self._keys)
            self._keys.append(key)
            self._versions.append(0)
            self._revisions.append(0)
            self._group_of.append(_NO_GROUP)
        self._ordinals[key] = ordinal
        return ordinal

    def _group(self, attributes: AccessAttributes, viewers: Viewers | None) -> RecordGroup:
        """Return the group of attributes and viewers, new if there is none; the caller adds a member."""
        group = self._groups.get((attributes, viewers))
        if group is None:
            group = self._groups[attributes, viewers] = RecordGroup(attributes, viewers)
        return group

    def _move(self, group: RecordGroup, moved: BitMap, viewers: Viewers) -> None:
        if not moved or viewers == group.viewers:
            return
        to = self._group(group.attributes, viewers)
        to.members |= moved
        for ordinal in moved:
            self._group_of[ordinal] = to
        group.members -= moved
        self._drop_if_empty(group)

    def _leave(self, group: RecordGroup, ordinal: int) -> None:
        group.members.discard(ordinal)
        self._drop_if_empty(group)

    def _drop_if_empty(self, group: RecordGroup) -> None:
        if not group.members:
            del self._groups[group.attributes, group.viewers]


_NO_GROUP = RecordGroup(AccessAttributes("", None, (), ()), None)


def attributes_of(assignment: Assignment) -> AccessAttributes:
    """Return the attributes of an assignment."""
    return AccessAttributes(assignment.object, assignment.owner_id, assignment.territories, assignment.shared)
