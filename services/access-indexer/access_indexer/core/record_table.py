"""The records of one organisation in one partition, those that are alike together.

Records of one object with one owner, the same territories and sharing rules have the same viewers. They are a group,
and a group is a bit-set of ordinals: a change of the model is worked out once for each group, and
moves as many records as there are in a slice by one operation on bit-sets.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from pyroaring import BitMap

from access_indexer.core.viewers import Viewers
from territory.wire.events import Assignment
from territory.wire.keys import parse_record_key


class AccessAttributes(NamedTuple):
    """What decides who sees a record."""

    object: str
    owner_id: str | None
    territories: tuple[str, ...]
    shared: tuple[str, ...]
    """Marks of the sharing rules that hold for it (V6)."""


class Group:
    """Records that are alike and stand in the same users' sets."""

    __slots__ = ("about", "members", "viewers")

    def __init__(self, about: AccessAttributes, viewers: Viewers | None) -> None:
        self.about = about
        self.viewers = viewers
        """Whose sets hold the records; None: that is not known."""
        self.members = BitMap()
        """Their ordinals."""


class RecordEntry(NamedTuple):
    """What is known of one record."""

    about: AccessAttributes
    viewers: Viewers | None
    version: int
    model_revision: int


class RecordTable:
    """Records by key. A record's ordinal is its place here as long as it is here."""

    def __init__(self) -> None:
        self._ordinals: dict[str, int] = {}
        self._keys: list[str] = []
        self._versions = array("q")
        self._revisions = array("q")
        self._group_of: list[Group] = []
        self._free: list[int] = []
        self._groups: dict[tuple[AccessAttributes, Viewers | None], Group] = {}
        self._abouts: dict[AccessAttributes, AccessAttributes] = {}

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
        return RecordEntry(group.about, group.viewers, self._versions[ordinal], self._revisions[ordinal])

    def get(self, key: str) -> RecordEntry | None:
        """Return what is known of a record; None: nothing."""
        return self[key] if key in self._ordinals else None

    def about(self, assignment: Assignment) -> AccessAttributes:
        """Return what an assignment says that decides who sees its record."""
        about = AccessAttributes(assignment.object, assignment.owner_id, assignment.territories, assignment.shared)
        return self._abouts.setdefault(about, about)

    def put(
        self, key: str, about: AccessAttributes, version: int, model_revision: int, viewers: Viewers | None
    ) -> None:
        """Take in a record as it is now, and whose sets hold it; None: that is not known."""
        group = self._group(about, viewers)
        ordinal = self._ordinals.get(key)
        if ordinal is None:
            ordinal = self._new(key)
        elif self._group_of[ordinal] is not group:
            self._leave(self._group_of[ordinal], ordinal)
        self._versions[ordinal] = version
        self._revisions[ordinal] = model_revision
        self._group_of[ordinal] = group
        group.members.add(ordinal)

    def remove(self, key: str) -> None:
        """Let go of a record."""
        ordinal = self._ordinals.pop(key)
        self._leave(self._group_of[ordinal], ordinal)
        self._free.append(ordinal)

    def groups(self) -> list[Group]:
        """Return the groups that there are now."""
        return list(self._groups.values())

    def move(self, group: Group, viewers: Viewers, limit: int) -> BitMap:
        """Have at most so many of a group's records stand in other users' sets; return which."""
        moved = group.members[:limit] if len(group.members) > limit else BitMap(group.members)
        self._move(group, moved, viewers)
        return moved

    def settle(self, group: Group, viewers: Viewers, revision_max: int) -> None:
        """Take it that those of a group that were decided under a revision, or before, are in some users' sets."""
        revisions = self._revisions
        later = BitMap([ordinal for ordinal in group.members if revisions[ordinal] > revision_max])
        settled = group.members - later
        self._move(group, settled, viewers)

    def keys_of(self, ordinals: BitMap) -> Iterator[str]:
        """Iterate over the keys of some records."""
        return map(self._keys.__getitem__, ordinals)

    def ids_of(self, ordinals: BitMap) -> list[str]:
        """Return the ids of some records."""
        return [parse_record_key(key)[2] for key in self.keys_of(ordinals)]

    # --- groups ------------------------------------------------------------------------------

    def _new(self, key: str) -> int:
        if self._free:
            ordinal = self._free.pop()
            self._keys[ordinal] = key
        else:
            ordinal = len(self._keys)
            self._keys.append(key)
            self._versions.append(0)
            self._revisions.append(0)
            self._group_of.append(_NOWHERE)
        self._ordinals[key] = ordinal
        return ordinal

    def _group(self, about: AccessAttributes, viewers: Viewers | None) -> Group:
        place = (about, viewers)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = Group(about, viewers)
        return group

    def _move(self, group: Group, moved: BitMap, viewers: Viewers) -> None:
        to = self._group(group.about, viewers)
        if to is group:
            return
        to.members |= moved
        for ordinal in moved:
            self._group_of[ordinal] = to
        group.members -= moved
        self._drop_if_empty(group)

    def _leave(self, group: Group, ordinal: int) -> None:
        group.members.discard(ordinal)
        self._drop_if_empty(group)

    def _drop_if_empty(self, group: Group) -> None:
        if not group.members:
            self._groups.pop((group.about, group.viewers), None)


_NOWHERE = Group(AccessAttributes("", None, (), ()), None)
