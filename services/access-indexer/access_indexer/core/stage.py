"""The stage of the access indexer: assignments become changes of who sees what (V1 to V8).

Its memory says, for every record of the partition, whose sets hold it. So a change is a
difference, whatever model it was last decided under, and a sweep needs no old model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from access_indexer.core import access_events as followers
from access_indexer.core.changes import AdminsState, RecordState, Revoked, SetChange, SetKind
from access_indexer.core.model_transition import ModelTransition
from access_indexer.core.record_table import Group, RecordTable
from access_indexer.core.viewers import NOBODY, Viewers
from territory.model.compiled import Model
from territory.stage import AWAIT_UPSTREAM, Effects, InputMessage, Models, SweepChunk, WithoutFanOut
from territory.wire.events import Assignment
from territory.wire.keys import org_of, parse_record_key, partition_of, record_key

NEW_GROUP_COST = 30
"""What it costs to work out who sees a group of records under another model, compared with moving one record more."""
KNOWN_GROUP_COST = 10
"""What it costs to move a group of which that is known, compared with the same."""

PendingChanges = defaultdict[tuple[str, SetKind, str], defaultdict[str, dict[str, bool]]]
"""By organisation, kind of set and object: by user, by record id, whether the set is to hold it."""


class IndexedAccess(NamedTuple):
    """What the index holds of one record."""

    record: RecordState
    viewers: Viewers
    shared: tuple[str, ...] = ()
    """Marks of sharing rules, as the assignment says them: also such as the model does not have (V6)."""


class _Difference(NamedTuple):
    """Whose sets hold a record at most, whose surely do, and whose are to."""

    at_most: Viewers
    held: Viewers
    due: Viewers

    @property
    def revoked(self) -> int:
        """How many memberships are taken that surely were there."""
        return len(self.held.readers - self.due.readers) + len(self.held.editors - self.due.editors)


class _Org:
    """One organisation's records, and the model that their sets are under."""

    __slots__ = ("id", "passage", "records")

    def __init__(self, org_id: str) -> None:
        self.id = org_id
        self.records = RecordTable()
        self.passage = ModelTransition()


class AccessFold(WithoutFanOut):
    """The access index of one partition of territory.assignments.v1."""

    def __init__(self, partition: int, partitions: int, *, tells: bool = False) -> None:
        """Make the fold of a partition; `tells` those who follow the index what changes."""
        self._partition = partition
        self._partitions = partitions
        self._tells = tells
        self._orgs: dict[str, _Org] = {}
        self._nets: PendingChanges = _no_nets()

    def __len__(self) -> int:
        return sum(len(org.records) for org in self._orgs.values())

    def restore(self, message: InputMessage) -> None:
        """Take an assignment as it was said."""
        records = self._org(org_of(message.key)).records
        known = records.get(message.key)
        if message.event is None:
            if known is not None:
                records.remove(message.key)
        elif known is None or message.event.version >= known.version:
            self._put(records, message.key, message.event, None)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Take it that the sets hold what the active models say.

        Of an unknown organisation they hold no more than that, once `strays` are taken out;
        the next sweep says all of it again. So does the first one where no model is known yet.
        """
        for org_id in self._orgs.keys() | models.keys():
            org = self._org(org_id)
            if org_id in unknown or org_id not in models:
                org.passage.forget()
                if org_id in models:
                    # From here it may go to another before it has come there: what that takes away is in the sets.
                    org.passage.go_to(models[org_id])
                continue
            org.passage.rest_under(models[org_id])
            for group in org.records.groups():
                # One decided under a later model was shown to fewer, at first.
                org.records.settle(group, org.passage.due_at_last(group.about), models[org_id].revision)

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one assignment, or the word that a record is gone."""
        org_id = org_of(message.key)
        org = self._org(org_id)
        passage, records = org.passage, org.records
        if (model := models.get(org_id)) is not None:
            self._go_to(org, model, effects)
        known = records.get(message.key)
        held = NOBODY if known is None else known.viewers or NOBODY
        at_most = NOBODY if known is None else passage.holds_at_most(known.about, known.viewers)
        if message.event is None:
            if known is not None:
                records.remove(message.key)
                self._revise(message.key, _Difference(at_most, held, NOBODY), effects, message.timestamp_ms)
            # A record that this memory does not know may be in Redis all the same (V7).
            effects.changes.append(RecordState(*parse_record_key(message.key), version=None))
            effects.outcomes["gone"] += 1
            return
        assignment: Assignment = message.event
        if known is not None and assignment.version < known.version:
            effects.outcomes["stale"] += 1  # from a family that the record has left
            return
        if model is None:
            self._put(records, message.key, assignment, None)
            passage.forget()  # the assigner has heard of a model first
            effects.outcomes["no_model"] += 1
            return
        before = None if known is None else known.about
        due = passage.due(records.about(assignment), assignment.model_revision, before)
        self._put(records, message.key, assignment, due)
        self._revise(message.key, _Difference(at_most, held, due), effects, assignment.since_ms)
        effects.changes.append(_stands(message.key, records, assignment.since_ms))
        effects.outcomes["indexed"] += 1

    def flush(self, models: Models, effects: Effects) -> None:
        """Say what has changed in this turn: of several changes of one entry the last, removals first (V8)."""
        nets, self._nets = self._nets, _no_nets()
        # Who may edit may read, at every moment.
        order: tuple[tuple[bool, SetKind], ...] = (
            (False, "editable"), (False, "visible"), (True, "visible"), (True, "editable")
        )  # fmt: skip
        for present, kind in order:
            for (org_id, its_kind, object_type), users in nets.items():
                if its_kind != kind:
                    continue
                for user_id, entries in users.items():
                    ids = [record_id for record_id, there in entries.items() if there is present]
                    if ids:
                        effects.changes.append(SetChange(org_id, kind, user_id, object_type, ids, present))
        if self._tells:
            effects.messages += followers.told(nets, self._partition)

    # --- sweeps ------------------------------------------------------------------------------

    def sweep(self, model: Model, limit: int) -> Iterator[SweepChunk]:
        """Bring an organisation's records under a model, all revocations before the first grant (V8).

        Grants wait until everything is decided under the model: whoever is let into a territory
        now must not see what is about to leave it.
        """
        org, effects = self._org(model.org_id), Effects()
        self._go_to(org, model, effects)
        if self._partition == 0:
            effects.changes.append(AdminsState(model.org_id, model.admins))
        yield effects
        yield from _slices(org, limit, NEW_GROUP_COST, self._revoke)
        if not org.passage.is_decided:
            yield AWAIT_UPSTREAM
            org.passage.decided()
        yield from _slices(org, limit, KNOWN_GROUP_COST, self._grant)
        org.passage.settled()

    def _go_to(self, org: _Org, model: Model, effects: Effects) -> None:
        org.passage.go_to(model)
        if org.passage.is_forgotten:
            org.passage.is_forgotten = False
            if self._tells:
                effects.messages += followers.forgotten(org.id, self._partition, self._partitions)

    def _revoke(self, org: _Org, group: Group, limit: int, effects: Effects) -> int:
        """Take from the sets what a model no longer gives; return from how many records' sets."""
        due = org.passage.due_at_last(group.about)
        if group.viewers is not None:
            return self._move(org, group, group.viewers & due, limit, effects)
        at_most = org.passage.holds_at_most(group.about, None)
        ids = org.records.ids_of(group.members)
        self._enter((org.id, group.about.object), ids, _Difference(at_most, due, due), effects)
        return 0

    def _grant(self, org: _Org, group: Group, limit: int, effects: Effects) -> int:
        """Make the sets what a model gives; return of how many records."""
        due = org.passage.due_at_last(group.about)
        if group.viewers is not None:
            return self._move(org, group, due, limit, effects)
        moved = org.records.move(group, due, limit)
        for key in org.records.keys_of(moved):
            self._revise(key, _Difference(NOBODY, NOBODY, due), effects)
            effects.changes.append(_stands(key, org.records))
        return len(moved)

    def _move(self, org: _Org, group: Group, viewers: Viewers, limit: int, effects: Effects) -> int:
        """Have some records of a group stand in other users' sets; return how many."""
        held = group.viewers
        if held is None or held == viewers:
            return 0
        moved = org.records.move(group, viewers, limit)
        ids = org.records.ids_of(moved)
        self._enter((org.id, group.about.object), ids, _Difference(held, held, viewers), effects)
        return len(moved)

    # --- strays ------------------------------------------------------------------------------

    def strays(
        self, org_id: str, kind: SetKind, user_id: str, object_type: str, *, record_ids: Iterable[str], models: Models
    ) -> list[str]:
        """Return those ids, found in a user's set, that this partition says do not belong there."""
        org, model = self._orgs.get(org_id), models.get(org_id)
        if org is not None and model is not None:
            org.passage.go_to(model)
        found: list[str] = []
        for record_id in record_ids:
            key = record_key(org_id, object_type, record_id)
            if partition_of(key, self._partitions) != self._partition:
                continue
            known = None if org is None else org.records.get(key)
            viewers = NOBODY
            if org is not None and known is not None and model is not None:
                viewers = org.passage.due_at_last(known.about)
            if user_id not in (viewers.readers if kind == "visible" else viewers.editors):
                found.append(record_id)
        return found

    def is_stray(self, org_id: str, object_type: str, record_id: str) -> bool:
        """Whether a record that Redis knows is of this partition, and gone."""
        key = record_key(org_id, object_type, record_id)
        mine = partition_of(key, self._partitions) == self._partition
        return mine and (org_id not in self._orgs or key not in self._orgs[org_id].records)

    # --- looking -----------------------------------------------------------------------------

    def orgs(self) -> list[str]:
        """Return the organisations that have records here."""
        return list(self._orgs)

    def is_said(self, org_id: str) -> bool:
        """Whether the index holds what `standing` says; else the organisation is on the way from model to model."""
        return org_id not in self._orgs or self._orgs[org_id].passage.is_settled

    def keys(self, org_id: str) -> list[str]:
        """Return the keys of an organisation's records, as they are now."""
        return self._orgs[org_id].records.keys() if org_id in self._orgs else []

    def standing(self, key: str) -> IndexedAccess | None:
        """Return what the index holds of a record once all that was decided is written; None: nothing."""
        org = self._orgs.get(org_of(key))
        known = None if org is None else org.records.get(key)
        if org is None or known is None:
            return None
        return IndexedAccess(_stands(key, org.records), known.viewers or NOBODY, known.about.shared)

    # --- entries -----------------------------------------------------------------------------

    def _org(self, org_id: str) -> _Org:
        org = self._orgs.get(org_id)
        if org is None:
            org = self._orgs[org_id] = _Org(org_id)
        return org

    def _put(self, records: RecordTable, key: str, assignment: Assignment, viewers: Viewers | None) -> None:
        records.put(key, records.about(assignment), assignment.version, assignment.model_revision, viewers)

    def _revise(self, key: str, difference: _Difference, effects: Effects, since_ms: int = 0) -> None:
        """Note the changes of one record's sets; the time that a revocation takes is measured."""
        org_id, object_type, record_id = parse_record_key(key)
        self._enter((org_id, object_type), [record_id], difference, effects)
        if since_ms and (revoked := difference.revoked):
            effects.changes.append(Revoked(since_ms, revoked))

    def _enter(self, place: tuple[str, str], ids: list[str], difference: _Difference, effects: Effects) -> None:
        """Note the changes of the sets of some records of an organisation and object."""
        org_id, object_type = place
        at_most, held, due = difference
        kinds: tuple[tuple[SetKind, frozenset[str], frozenset[str], frozenset[str]], ...] = (
            ("visible", at_most.readers, held.readers, due.readers),
            ("editable", at_most.editors, held.editors, due.editors),
        )
        for kind, may_have, had, has in kinds:
            for present, changed in ((False, may_have - has), (True, has - had)):
                if not changed:
                    continue
                users = self._nets[org_id, kind, object_type]
                for user_id in changed:
                    if len(ids) == 1:
                        users[user_id][ids[0]] = present
                    else:
                        users[user_id].update(dict.fromkeys(ids, present))
                effects.outcomes["granted" if present else "revoked"] += len(ids) * len(changed)


def _no_nets() -> PendingChanges:
    return defaultdict(lambda: defaultdict(dict))


def _slices(
    org: _Org, limit: int, group_cost: int, revise: Callable[[_Org, Group, int, Effects], int]
) -> Iterator[Effects]:
    """Yield what comes of revising all groups that there are, about so many records at a time.

    Where hardly two records are alike, it is the groups that take the time: each counts as some records.
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


def _stands(key: str, records: RecordTable, since_ms: int = 0) -> RecordState:
    org_id, object_type, record_id = parse_record_key(key)
    known = records[key]
    return RecordState(
        org_id, object_type, record_id, known.version, known.about.owner_id, known.about.territories,
        known.model_revision, since_ms,
    )  # fmt: skip
