"""What the tests of the access indexer share: one organisation, its assignments, and what a fold makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from access_indexer.core.changes import IndexChange, SetChange
from access_indexer.core.stage import AccessFold
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage, SweepChunk, Wait
from territory.wire.events import Assignment, Link
from territory.wire.keys import record_key
from territory.wire.topics import ASSIGNMENTS

ROLES: list[dict[str, Any]] = [
    {"id": "ceo"},
    {"id": "vp", "parent": "ceo"},
    {"id": "rep", "parent": "vp"},
    {"id": "clerk", "parent": "ceo"},
]
USERS: list[dict[str, Any]] = [
    {"id": "root", "role": "clerk", "admin": True},
    {"id": "cleo", "role": "ceo"},
    {"id": "vic", "role": "vp"},
    {"id": "ann", "role": "rep"},
    {"id": "bob", "role": "rep"},
    {"id": "mia", "role": "clerk"},
    {"id": "wes", "role": "clerk"},
    {"id": "eve", "role": "clerk"},
    {"id": "sam", "role": "clerk"},
    {"id": "gone", "role": "rep", "active": False},
]
TERRITORIES: list[dict[str, Any]] = [
    {"id": "world", "manager": "mia"},
    {"id": "west", "parent": "world", "users": ["wes"]},
    {"id": "bay", "parent": "west", "users": ["sam"]},
    {"id": "east", "parent": "world", "users": ["eve"], "permission": "read_write_delete"},
]
"""`mia` is the effective manager everywhere: only `world` has a manager. Members of `east` may edit."""


def model_of(revision: int = 1, **sections: Any) -> Model:
    """Return the organisation's model with some sections replaced."""
    document: dict[str, Any] = {"org": "acme", "roles": ROLES, "users": USERS, "territories": TERRITORIES}
    return compile_model(document | sections, revision)


def but(pieces: list[dict[str, Any]], piece_id: str, **changes: Any) -> list[dict[str, Any]]:
    """Return the pieces with one of them changed."""
    return [piece | changes if piece["id"] == piece_id else piece for piece in pieces]


MODEL = model_of()
NOTHING: frozenset[str] = frozenset()


def assignment(
    record_id: str,
    *territories: str,
    owner_id: str | None = None,
    version: int = 1,
    model_revision: int = 1,
    since_ms: int = 0,
) -> Assignment:
    """Return the assignment of an account."""
    links = tuple(Link(territory, ("rule",), ()) for territory in territories)
    return Assignment("acme", "account", record_id, version, model_revision, owner_id, links, since_ms=since_ms)


def message_of(event: Assignment | str, timestamp_ms: int = 0) -> InputMessage:
    """Return the message of an assignment; of a bare id, the tombstone of that account."""
    if isinstance(event, str):
        return InputMessage(ASSIGNMENTS.name, record_key("acme", "account", event), None, {}, timestamp_ms)
    return InputMessage(ASSIGNMENTS.name, event.key, event, {}, timestamp_ms)


def applied(fold: AccessFold, model: Model | None, *events: Assignment | str, timestamp_ms: int = 0) -> Effects:
    """Return the effects of one batch of assignments and tombstones."""
    effects = Effects()
    for event in events:
        fold.apply(message_of(event, timestamp_ms), {} if model is None else {"acme": model}, effects)
    fold.flush({}, effects)
    return effects


def restored(*events: Assignment | str, model: Model | None = MODEL, unknown: frozenset[str] = NOTHING) -> AccessFold:
    """Return the only partition, restored from assignments and tombstones."""
    fold = AccessFold(0, 1)
    for event in events:
        fold.restore(message_of(event))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold


def swept(fold: AccessFold, model: Model, limit: int = 100) -> list[list[IndexChange]]:
    """Return the changes of each chunk of a sweep; it waits for no other stage."""
    return rest_of(fold, fold.sweep(model, limit))


def rest_of(fold: AccessFold, sweep: Iterator[SweepChunk]) -> list[list[IndexChange]]:
    """Return the changes of the remaining chunks of a sweep; it waits for no other stage."""
    return [flushed(fold, chunk) for chunk in sweep if not isinstance(chunk, Wait)]


def flushed(fold: AccessFold, chunk: SweepChunk | None) -> list[IndexChange]:
    """Return the changes of a chunk after a flush."""
    assert isinstance(chunk, Effects)
    fold.flush({}, chunk)
    return chunk.changes


def flat(chunks: list[list[IndexChange]]) -> list[IndexChange]:
    """Return the changes of several chunks in one list."""
    return [change for changes in chunks for change in changes]


def set_changes(changes: list[IndexChange]) -> list[str]:
    """Return changes of sets as `+visible ann A-1`, in order."""
    return [
        f"{'+' if change.present else '-'}{change.kind} {change.user_id} {record_id}"
        for change in changes
        if isinstance(change, SetChange)
        for record_id in change.record_ids
    ]


def members_after(changes: list[IndexChange]) -> set[str]:
    """Return the members of all sets after changes, as `visible ann A-1`."""
    members: set[str] = set()
    for change in set_changes(changes):
        (members.add if change[0] == "+" else members.discard)(change[1:])
    return members
