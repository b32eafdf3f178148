"""The fold of the access indexer: assignments in, changes of who sees what out (V1 to V8).

The fold keeps, for every record of its partition, the users whose sets hold it. A change is the difference between
these users and those who may see the record now, whatever model it was decided under. So a sweep needs no old model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from access_indexer.core.access_events import change_events, reset_events
from access_indexer.core.changes import AdminsState, RecordState, Revoked, SetChange, SetKind
from access_indexer.core.model_transition import ModelTransition
from access_indexer.core.record_table import RecordGroup, RecordTable, attributes_of
from access_indexer.core.viewers import NOBODY, Viewers
from territory.model.compiled import Model
from territory.stage import AWAIT_UPSTREAM, Effects, InputMessage, Models, SweepChunk, WithoutFanOut
from territory.wire.events import Assignment
from territory.wire.keys import org_of, parse_record_key, partition_of, record_key

NEW_GROUP_COST = 30
"""Cost of working out the viewers of a group under another model, in records moved."""
KNOWN_GROUP_COST = 10
"""Cost of visiting a group whose viewers are cached, in records moved."""

_Pending = defaultdict[tuple[str, SetKind, str], defaultdict[str, dict[str, bool]]]
"""By organisation, kind of set and object; then by user and record id, whether the set is to hold the id."""


class IndexedAccess(NamedTuple):
    """What the index holds of one record."""

    record: RecordState
    viewers: Viewers
    shared: tuple[str, ...] = ()
    """Sharing marks of the assignment, also those that the model does not have (V6)."""


class _ViewersChange(NamedTuple):
    """The users whose sets may hold a record, those whose sets are known to, and those whose sets must."""

    possible: Viewers
    current: Viewers
    target: Viewers

    @property
    def revoked(self) -> int:
        """The number of known memberships that end."""
        return len(self.current.readers - self.target.readers) + len(self.current.editors - self.target.editors)


class _IndexedOrganisation:
    """One organisation's records, and the model that their sets follow."""

    __slots__ = ("id", "records", "transition")

    def __init__(self, org_id: str) -> None:
        self.id = org_id
        self.records = RecordTable()
        self.transition = ModelTransition()


class AccessFold(WithoutFanOut):
    """The access index of one partition of territory.assignments.v1."""

    def __init__(self, partition: int, partitions: int, *, emits_events: bool = False) -> None:
        """Make the fold of a partition; with `emits_events` it also publishes every change of access."""
        self._partition = partition
        self._partitions = partitions
        self._emits_events = emits_events
        self._orgs: dict[str, _IndexedOrganisation] = {}
        self._pending: _Pending = _no_pending_changes()

    def __len__(self) -> int:
        return sum(len(org.records) for org in self._orgs.values())

    def restore(self, message: InputMessage) -> None:
        """Store an assignment that was applied before the restart; its viewers are unknown."""
        records = self._org(org_of(message.key)).records
        known = records.get(message.key)
        if message.event is None:
            if known is not None:
                records.remove(message.key)
        elif known is None or message.event.version >= known.version:
            event: Assignment = message.event
            records.put(message.key, attributes_of(event), event.version, event.model_revision, None)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Assume that the sets of every known organisation follow its active model.

        The sets of an unknown one hold no more than its model gives, once its orphans are removed; the next sweep
        writes all of it. The same is true of an organisation without a model, once it gets one.
        """
        for org_id in self._orgs.keys() | models.keys():
            org = self._org(org_id)
            if org_id in unknown or org_id not in models:
                org.transition.reset()
                if org_id in models:
                    # A newer model may supersede this one before its sweep ends: then its grants are revoked, too.
                    org.transition.begin(models[org_id])
                continue
            org.transition.complete_under(models[org_id])
            for group in org.records.groups():
                # A record decided under a later model may have been written with fewer viewers: that is not assumed.
                viewers = org.transition.visible_after(group.attributes)
                org.records.assume_viewers(group, viewers, models[org_id].revision)

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Apply one assignment, or the tombstone of a record."""
        org_id = org_of(message.key)
        org = self._org(org_id)
        if (model := models.get(org_id)) is not None:
            self._begin(org, model, effects)
        if message.event is None:
            self._remove(org, message, effects)
            return
        transition, records = org.transition, org.records
        assignment: Assignment = message.event
        known = records.get(message.key)
        if known is not None and assignment.version < known.version:
            effects.outcomes["stale"] += 1  # from an account family that the record has left
            return
        attributes = attributes_of(assignment)
        if model is None:
            records.put(message.key, attributes, assignment.version, assignment.model_revision, None)
            transition.reset()  # the assigner has read a model that this worker has not
            effects.outcomes["no_model"] += 1
            return
        possible = NOBODY if known is None else transition.possible(known.attributes, known.viewers)
        current = NOBODY if known is None else known.viewers or NOBODY
        target = transition.visible_now(attributes, assignment.model_revision, current)
        records.put(message.key, attributes, assignment.version, assignment.model_revision, target)
        self._queue_record(message.key, _ViewersChange(possible, current, target), effects, assignment.since_ms)
        effects.changes.append(_record_state(message.key, records, assignment.since_ms))
        effects.outcomes["indexed"] += 1

    def _remove(self, org: _IndexedOrganisation, message: InputMessage, effects: Effects) -> None:
        known = org.records.get(message.key)
        if known is not None:
            possible = org.transition.possible(known.attributes, known.viewers)
            org.records.remove(message.key)
            change = _ViewersChange(possible, known.viewers or NOBODY, NOBODY)
            self._queue_record(message.key, change, effects, message.timestamp_ms)
        # Redis may have the hash of a record that this fold does not know (V7).
        effects.changes.append(RecordState(*parse_record_key(message.key), version=None))
        effects.outcomes["gone"] += 1

    def flush(self, models: Models, effects: Effects) -> None:
        """Emit the pending changes of the batch: the last one of each entry, revocations first (V8)."""
        pending, self._pending = self._pending, _no_pending_changes()
        # This order keeps every editor among the readers at all times.
        order: tuple[tuple[bool, SetKind], ...] = (
            (False, "editable"), (False, "visible"), (True, "visible"), (True, "editable")
        )  # fmt: skip
        for present, kind in order:
            for (org_id, its_kind, object_type), users in pending.items():
                if its_kind != kind:
                    continue
                for user_id, entries in users.items():
                    ids = [record_id for record_id, is_member in entries.items() if is_member is present]
                    if ids:
                        effects.changes.append(SetChange(org_id, kind, user_id, object_type, ids, present))
        if self._emits_events:
            effects.messages += change_events(pending, self._partition)

    # --- sweeps ------------------------------------------------------------------------------

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        """Move an organisation's sets to a model, with all revocations before the first grant (V8).

        Grants wait until the assigner has decided every record under the model: a new member of a territory must
        not see a record that is about to leave it.
        """
        org, effects = self._org(model.org_id), Effects()
        self._begin(org, model, effects)
        if self._partition == 0:
            effects.changes.append(AdminsState(model.org_id, model.admins))
        yield effects
        yield from _chunks(org, limit, NEW_GROUP_COST, self._revoke)
        if not org.transition.is_decided:
            yield AWAIT_UPSTREAM
            org.transition.mark_decided()
        yield from _chunks(org, limit, KNOWN_GROUP_COST, self._grant)
        org.transition.complete()

    def _begin(self, org: _IndexedOrganisation, model: Model, effects: Effects) -> None:
        """Make a model the organisation's target; emit a reset first if earlier change events are void."""
        org.transition.begin(model)
        if org.transition.needs_reset:
            org.transition.needs_reset = False
            if self._emits_events:
                effects.messages += reset_events(org.id, self._partition, self._partitions)

    def _revoke(self, org: _IndexedOrganisation, group: RecordGroup, limit: int, effects: Effects) -> int:
        """Revoke what the target model does not give; return the number of records moved to another group."""
        target = org.transition.visible_after(group.attributes)
        if group.viewers is not None:
            return self._move(org, group, group.viewers & target, limit, effects)
        possible = org.transition.possible(group.attributes, None)
        if possible != target:
            ids = org.records.ids_of(group.members)
            self._queue((org.id, group.attributes.object), ids, _ViewersChange(possible, target, target), effects)
        return 0

    def _grant(self, org: _IndexedOrganisation, group: RecordGroup, limit: int, effects: Effects) -> int:
        """Grant what the target model gives; return the number of records moved to another group."""
        target = org.transition.visible_after(group.attributes)
        if group.viewers is not None:
            return self._move(org, group, target, limit, effects)
        moved = org.records.move(group, target, limit)
        for key in org.records.keys_of(moved):
            self._queue_record(key, _ViewersChange(NOBODY, NOBODY, target), effects)
            effects.changes.append(_record_state(key, org.records))
        return len(moved)

    def _move(
        self, org: _IndexedOrganisation, group: RecordGroup, viewers: Viewers, limit: int, effects: Effects
    ) -> int:
        """Move at most `limit` records of a group to the sets of other users; return how many."""
        current = group.viewers
        if current is None or current == viewers:
            return 0
        moved = org.records.move(group, viewers, limit)
        ids = org.records.ids_of(moved)
        self._queue((org.id, group.attributes.object), ids, _ViewersChange(current, current, viewers), effects)
        return len(moved)

    # --- orphans: entries in Redis that nothing in the fold gives ----------------------------

    def orphans(
        self, org_id: str, kind: SetKind, user_id: str, object_type: str, *, record_ids: Iterable[str], models: Models
    ) -> list[str]:
        """Return the ids found in a user's set that must not be there; ids of other partitions are ignored."""
        org, model = self._orgs.get(org_id), models.get(org_id)
        if org is not None and model is not None:
            org.transition.begin(model)
        found: list[str] = []
        for record_id in record_ids:
            key = record_key(org_id, object_type, record_id)
            if partition_of(key, self._partitions) != self._partition:
                continue
            known = None if org is None else org.records.get(key)
            viewers = NOBODY
            if org is not None and known is not None and model is not None:
                viewers = org.transition.visible_after(known.attributes)
            if user_id not in (viewers.readers if kind == "visible" else viewers.editors):
                found.append(record_id)
        return found

    def is_orphan(self, org_id: str, object_type: str, record_id: str) -> bool:
        """Whether a hash found in Redis belongs to this partition, and its record is gone."""
        key = record_key(org_id, object_type, record_id)
        if partition_of(key, self._partitions) != self._partition:
            return False
        return org_id not in self._orgs or key not in self._orgs[org_id].records

    # --- queries -----------------------------------------------------------------------------

    def orgs(self) -> list[str]:
        """Return the organisations that this partition knows."""
        return list(self._orgs)

    def is_complete(self, org_id: str) -> bool:
        """Whether the index holds what `indexed_access` returns; False during a model transition."""
        return org_id not in self._orgs or self._orgs[org_id].transition.is_complete

    def keys(self, org_id: str) -> list[str]:
        """Return the keys of an organisation's records."""
        return self._orgs[org_id].records.keys() if org_id in self._orgs else []

    def indexed_access(self, key: str) -> IndexedAccess | None:
        """Return what the index holds of a record once all changes are applied; None: the record is not here."""
        org = self._orgs.get(org_of(key))
        known = None if org is None else org.records.get(key)
        if org is None or known is None:
            return None
        return IndexedAccess(_record_state(key, org.records), known.viewers or NOBODY, known.attributes.shared)

    # --- pending changes ---------------------------------------------------------------------

    def _org(self, org_id: str) -> _IndexedOrganisation:
        org = self._orgs.get(org_id)
        if org is None:
            org = self._orgs[org_id] = _IndexedOrganisation(org_id)
        return org

    def _queue_record(self, key: str, change: _ViewersChange, effects: Effects, since_ms: int = 0) -> None:
        """Queue the changes of one record's sets; with `since_ms`, measure its revocations."""
        org_id, object_type, record_id = parse_record_key(key)
        self._queue((org_id, object_type), [record_id], change, effects)
        if since_ms and (revoked := change.revoked):
            effects.changes.append(Revoked(since_ms, revoked))

    def _queue(self, place: tuple[str, str], ids: list[str], change: _ViewersChange, effects: Effects) -> None:
        """Queue the same change for several records of an organisation and object."""
        org_id, object_type = place
        possible, current, target = change
        kinds: tuple[tuple[SetKind, frozenset[str], frozenset[str], frozenset[str]], ...] = (
            ("visible", possible.readers, current.readers, target.readers),
            ("editable", possible.editors, current.editors, target.editors),
        )
        for kind, may_hold, holds, must_hold in kinds:
            for present, changed in ((False, may_hold - must_hold), (True, must_hold - holds)):
                if not changed:
                    continue
                users = self._pending[org_id, kind, object_type]
                for user_id in changed:
                    if len(ids) == 1:
                        users[user_id][ids[0]] = present
                    else:
                        users[user_id].update(dict.fromkeys(ids, present))
                effects.outcomes["granted" if present else "revoked"] += len(ids) * len(changed)


def _no_pending_changes() -> _Pending:
    return defaultdict(lambda: defaultdict(dict))


def _chunks(
    org: _IndexedOrganisation,
    limit: int,
    group_cost: int,
    revise: Callable[[_IndexedOrganisation, RecordGroup, int, Effects], int],
) -> Iterator[Effects]:
    """Yield the effects of revising every group, in chunks that cost about `limit` records.

    A visit to a group has a cost of its own: it dominates if few records share a group.
    """
    effects = Effects()
    for group in org.records.groups():
        effects.cost += group_cost
        while group.members:
            moved = revise(org, group, max(1, limit - int(effects.cost)), effects)
            effects.cost += moved
            effects.swept += moved or len(group.members)
            if effects.cost >= limit:
                yield effects
                effects = Effects()
            if not moved:
                break
    yield effects


def _record_state(key: str, records: RecordTable, since_ms: int = 0) -> RecordState:
    org_id, object_type, record_id = parse_record_key(key)
    known = records[key]
    return RecordState(
        org_id, object_type, record_id, known.version, known.attributes.owner_id, known.attributes.territories,
        known.model_revision, since_ms,
    )  # fmt: skip
