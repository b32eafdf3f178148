"""The stage of the access indexer: assignments become changes of who sees what (V1 to V8).

Its memory says, for every record of the partition, whose sets hold it. So a change is a
difference, whatever model it was last decided under, and a sweep needs no old model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from access_indexer.core.changes import AdminsAre, RecordStands, SetChange, SetKind
from access_indexer.core.viewers import NOBODY, Access, Viewers
from territory.events import Assignment
from territory.fold import Effects, Incoming, Models
from territory.keys import org_of, parse_record_key, partition_of, record_key
from territory.model import Model


class Standing(NamedTuple):
    """What the index holds of one record."""

    record: RecordStands
    viewers: Viewers


class _Entry:
    """One record: what its assignment says, and whose sets hold it."""

    __slots__ = ("model_revision", "owner_id", "territories", "version", "viewers")

    def __init__(self, assignment: Assignment) -> None:
        self.viewers = NOBODY
        self.take(assignment)

    def take(self, assignment: Assignment) -> None:
        self.version = assignment.version
        self.owner_id = assignment.owner_id
        self.territories = assignment.territories
        self.model_revision = assignment.model_revision


class Indexing:
    """The access index of one partition of territory.assignments.v1."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._records: dict[str, dict[str, _Entry]] = {}
        self._access: dict[str, Access] = {}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._unsaid: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(len(records) for records in self._records.values())

    def restore(self, message: Incoming) -> None:
        """Take an assignment as it was said."""
        records = self._records.setdefault(org_of(message.key), {})
        if message.event is None:
            records.pop(message.key, None)
        elif (entry := records.get(message.key)) is not None:
            if message.event.version >= entry.version:
                self._take(entry, message.event)
        else:
            records[message.key] = self._new(message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Take it that the sets hold what the active models say.

        Of an unknown organisation they hold no more than that, once `strays` are taken out;
        the next sweep says all of it again. So does the first one where no model is known yet.
        """
        self._unsaid = unknown | (self._records.keys() - models.keys())
        for org_id, records in self._records.items():
            if org_id in models:
                access = self._access_of(models[org_id])
                for entry in records.values():
                    entry.viewers = access.viewers_of(entry.owner_id, entry.territories)

    def flush(self, models: Models, effects: Effects) -> None:
        """Nothing is put off."""

    def apply(self, message: Incoming, models: Models, effects: Effects) -> None:
        """Take one assignment, or the word that a record is gone."""
        org_id = org_of(message.key)
        records = self._records.setdefault(org_id, {})
        entry = records.get(message.key)
        if message.event is None:
            if entry is not None:
                del records[message.key]
                self._revise(message.key, entry, NOBODY, effects, message.timestamp_ms)
            # A record that this memory does not know may be in Redis all the same (V7).
            effects.changes.append(RecordStands(*parse_record_key(message.key), version=None))
            effects.outcomes["gone"] += 1
            return
        assignment: Assignment = message.event
        if entry is not None and assignment.version < entry.version:
            effects.outcomes["stale"] += 1  # from a family that the record has left
            return
        if entry is None:
            entry = records[message.key] = self._new(assignment)
        else:
            self._take(entry, assignment)
        model = models.get(org_id)
        if model is None:
            self._unsaid |= {org_id}  # the assigner has heard of a model first
            effects.outcomes["no_model"] += 1
            return
        viewers = self._access_of(model).viewers_of(entry.owner_id, entry.territories)
        self._revise(message.key, entry, viewers, effects, assignment.since_ms)
        effects.changes.append(_stands(message.key, entry, assignment.since_ms))
        effects.outcomes["indexed"] += 1

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Bring an organisation's records under a model, all revocations before the first grant (V8)."""
        access = self._access_of(model)
        if self._partition == 0:
            effects = Effects()
            effects.changes.append(AdminsAre(model.org_id, model.admins))
            yield effects
        keys = list(self._records.get(model.org_id, ()))
        again = model.org_id in self._unsaid
        for step in (self._revoke, self._say_again if again else self._grant):
            for start in range(0, len(keys), limit):
                effects = Effects()
                for key in keys[start : start + limit]:
                    entry = self._records[model.org_id].get(key)
                    if entry is not None:
                        step(key, entry, access.viewers_of(entry.owner_id, entry.territories), effects)
                yield effects
        self._unsaid -= {model.org_id}

    def strays(
        self, org_id: str, kind: SetKind, user_id: str, object_type: str, *, record_ids: Iterable[str], models: Models
    ) -> list[SetChange]:
        """Return the removals of those ids, found in a user's set, that this partition says do not belong there."""
        model = models.get(org_id)
        records = self._records.get(org_id, {})
        found: list[SetChange] = []
        for record_id in record_ids:
            key = record_key(org_id, object_type, record_id)
            if partition_of(key, self._partitions) != self._partition:
                continue
            entry = records.get(key)
            viewers = NOBODY
            if entry is not None and model is not None:
                viewers = self._access_of(model).viewers_of(entry.owner_id, entry.territories)
            if user_id not in (viewers.readers if kind == "visible" else viewers.editors):
                found.append(SetChange(org_id, kind, frozenset({user_id}), object_type, record_id, present=False))
        return found

    def is_stray(self, org_id: str, object_type: str, record_id: str) -> bool:
        """Whether a record that Redis knows is of this partition, and gone."""
        key = record_key(org_id, object_type, record_id)
        mine = partition_of(key, self._partitions) == self._partition
        return mine and key not in self._records.get(org_id, {})

    # --- looking -----------------------------------------------------------------------------

    def orgs(self) -> list[str]:
        """Return the organisations that have records here."""
        return list(self._records)

    def is_said(self, org_id: str) -> bool:
        """Whether the index holds what `standing` says; else all of the organisation is yet to be said again."""
        return org_id not in self._unsaid

    def keys(self, org_id: str) -> list[str]:
        """Return the keys of an organisation's records, as they are now."""
        return list(self._records.get(org_id, ()))

    def standing(self, key: str) -> Standing | None:
        """Return what the index holds of a record once all that was decided is written; None: nothing."""
        entry = self._records.get(org_of(key), {}).get(key)
        return None if entry is None else Standing(_stands(key, entry), entry.viewers)

    # --- entries -----------------------------------------------------------------------------

    def _new(self, assignment: Assignment) -> _Entry:
        entry = _Entry(assignment)
        self._take(entry, assignment)
        return entry

    def _take(self, entry: _Entry, assignment: Assignment) -> None:
        entry.take(assignment)
        entry.territories = self._shared.setdefault(entry.territories, entry.territories)

    def _access_of(self, model: Model) -> Access:
        access = self._access.get(model.org_id)
        if access is None or access.model is not model:
            access = self._access[model.org_id] = Access(model)
        return access

    def _revoke(self, key: str, entry: _Entry, due: Viewers, effects: Effects) -> None:
        """Take from the sets what a model no longer gives; grants follow later."""
        held = entry.viewers
        if due is not held:
            self._revise(key, entry, Viewers(held.readers & due.readers, held.editors & due.editors), effects)

    def _grant(self, key: str, entry: _Entry, due: Viewers, effects: Effects) -> None:
        """Make the sets what a model gives."""
        self._revise(key, entry, due, effects)

    def _say_again(self, key: str, entry: _Entry, due: Viewers, effects: Effects) -> None:
        """Say everything of a record, whatever the sets may hold of it."""
        self._revoke(key, entry, due, effects)  # again: it may have come under a still newer model since
        entry.viewers = NOBODY
        self._revise(key, entry, due, effects)
        effects.changes.append(_stands(key, entry))

    def _revise(self, key: str, entry: _Entry, due: Viewers, effects: Effects, since_ms: int = 0) -> None:
        """Add the set changes from whose sets hold the record to those that are due; removals first (V8)."""
        held = entry.viewers
        entry.viewers = due
        if due is held or due == held:
            return
        org_id, object_type, record_id = parse_record_key(key)
        kinds: tuple[tuple[SetKind, frozenset[str], frozenset[str]], ...] = (
            ("editable", held.editors, due.editors),
            ("visible", held.readers, due.readers),
        )
        changes = effects.changes
        for kind, had, has in kinds:
            if taken := had - has:
                changes.append(SetChange(org_id, kind, taken, object_type, record_id, False, since_ms))
                effects.outcomes["revoked"] += len(taken)
        for kind, had, has in reversed(kinds):
            if given := has - had:
                changes.append(SetChange(org_id, kind, given, object_type, record_id, True))
                effects.outcomes["granted"] += len(given)


def _stands(key: str, entry: _Entry, since_ms: int = 0) -> RecordStands:
    org_id, object_type, record_id = parse_record_key(key)
    return RecordStands(
        org_id, object_type, record_id, entry.version, entry.owner_id, entry.territories, entry.model_revision, since_ms
    )
