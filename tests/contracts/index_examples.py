"""What the contract of the access index shares: the port, changes, requests to reconcile, and the expected entries."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import strategies as st

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange, SetKind
from access_indexer.core.stage import AccessFold
from territory.model.compiled import Model, compile_model
from territory.stage import InputMessage
from territory.wire.events import Assignment, Link
from territory.wire.keys import partition_of
from territory.wire.topics import ASSIGNMENTS
from territory_runtime.loop.stage import Progress, ReconcileRequest

STAGE = "access-indexer"
KINDS: tuple[SetKind, SetKind] = ("visible", "editable")

ChangeOfOrg = Callable[[str], IndexChange]
"""Makes a change, given its organisation."""


class HasFences(Protocol):
    """Any sink."""

    fences: Any


class IndexSink(HasFences, Protocol):
    """The port: what one worker writes with."""

    async def apply(self, changes: list[IndexChange], progress: list[Progress]) -> None:
        """Apply changes, then write the progress."""

    async def reconcile(self, requests: Sequence[ReconcileRequest], beat: Callable[[], None]) -> None:
        """Remove orphans."""


@dataclass
class Entries:
    """All that an index holds of one organisation."""

    visible: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Record ids by user and object, as in `editable`; an empty set is not there."""
    editable: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    records: dict[tuple[str, str], tuple[int, str | None, tuple[str, ...], int]] = field(default_factory=dict)
    """Version, owner, territories and model revision, by object and id."""
    revision: int | None = None
    """The model revision that all partitions are under."""


def put(org: str, record_id: str, present: bool = True, kind: SetKind = "visible", user_id: str = "ann") -> SetChange:
    """Return a change of one user's set of accounts."""
    return SetChange(org, kind, user_id, "account", [record_id], present)


def state(org: str, record_id: str, version: int | None = 1, *territories: str) -> RecordState:
    """Return the hash of an account; without a version, its deletion."""
    if version is None:
        return RecordState(org, "account", record_id, None)
    return RecordState(org, "account", record_id, version, "ann", territories, 4)


def progress(org: str, revision: int, partition: int = 0) -> Progress:
    """Return a partition's progress, under one revision of one organisation's model."""
    return Progress(STAGE, partition, 10, {org: revision})


def model_of(org: str) -> Model:
    """Return a model in which only the owner sees a record."""
    return compile_model({"org": org, "roles": [{"id": "rep"}], "users": [{"id": "ann", "role": "rep"}]}, 1)


def request(
    *known: str, orgs: Sequence[str] = (), owned: Sequence[str] = (), partition: int = 0, partitions: int = 1
) -> ReconcileRequest:
    """Return a request to reconcile `orgs`; the fold has models for `known` and some accounts of Ann in each."""
    fold, models = AccessFold(partition, partitions), {org: model_of(org) for org in known}
    for org, record_id in itertools.product(known, owned):
        assignment = Assignment(org, "account", record_id, 1, 1, "ann", (Link("west", ("rule",), ()),))
        if partition_of(assignment.key, partitions) == partition:
            fold.restore(InputMessage(ASSIGNMENTS.name, assignment.key, assignment, {}))
    fold.restored(models, frozenset())
    return ReconcileRequest(partition, fold, models, frozenset(orgs))


async def take(sink: HasFences, *partitions: int) -> None:
    """Begin an epoch of each partition, later than any before."""
    for partition in partitions:
        found, _ = await sink.fences.take(partition, 0, 0)
        await sink.fences.take(partition, found + 1, 0)


def changes() -> st.SearchStrategy[ChangeOfOrg]:
    """Draw changes of few entries, so that several change the same one."""
    ids, users = st.sampled_from(["A-1", "A-2"]), st.sampled_from(["ann", "bob", "cid"])
    sets = st.builds(
        lambda id_, present, kind, who: lambda org: put(org, id_, present, kind, who),
        ids, st.booleans(), st.sampled_from(KINDS), users,
    )  # fmt: skip
    records = st.builds(
        lambda id_, version: lambda org: state(org, id_, version, "west"), ids, st.none() | st.integers(1, 9)
    )
    admins = st.builds(lambda who: lambda org: AdminsState(org, frozenset(who)), st.sets(users))
    return st.one_of(sets, sets, records, admins)


def last_of_each_entry(made: list[IndexChange]) -> list[IndexChange]:
    """Return changes with only the last one of each entry of a set."""
    last = {(*change[:4], *change.record_ids): change for change in made if isinstance(change, SetChange)}
    return [*last.values(), *(change for change in made if not isinstance(change, SetChange))]


def apply_to(entries: Entries, change: IndexChange) -> None:
    """Apply a change to what is expected."""
    if isinstance(change, AdminsState):
        entries.admins = set(change.users)
    elif isinstance(change, RecordState):
        entries.records.pop((change.object, change.record_id), None)
        if change.version is not None:
            row = (change.version, change.owner_id, change.territories, change.model_revision)
            entries.records[change.object, change.record_id] = row
    elif isinstance(change, SetChange):
        sets = entries.visible if change.kind == "visible" else entries.editable
        ids = sets.setdefault((change.user_id, change.object), set())
        (ids.update if change.present else ids.difference_update)(change.record_ids)
        if not ids:
            del sets[change.user_id, change.object]
