"""What the tests of the access indexer share: one organisation, and assignments in it."""

from __future__ import annotations

from typing import Any

from access_indexer.core.changes import IndexChange, SetChange
from access_indexer.core.stage import AccessFold
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage
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
"""`mia` manages the world, and so all below: no other has a manager. `east` lets its members write."""


def model_of(revision: int = 1, **sections: Any) -> Model:
    """Return the organisation, some of its sections replaced."""
    document: dict[str, Any] = {"org": "acme", "roles": ROLES, "users": USERS, "territories": TERRITORIES}
    return compile_model(document | sections, revision)


def but(pieces: list[dict[str, Any]], piece_id: str, **changes: Any) -> list[dict[str, Any]]:
    """Return the pieces with one of them changed."""
    return [piece | changes if piece["id"] == piece_id else piece for piece in pieces]


def assignment(
    record_id: str, *territories: str, owner_id: str | None = None, version: int = 1, since_ms: int = 0
) -> Assignment:
    """Return where an account stands."""
    links = tuple(Link(territory, ("rule",), ()) for territory in territories)
    return Assignment("acme", "account", record_id, version, 1, owner_id, links, since_ms=since_ms)


def told(fold: AccessFold, model: Model | None, *said: Assignment | str, timestamp_ms: int = 0) -> Effects:
    """Return what follows from assignments in one turn; of a bare id, that the account is gone."""
    effects = Effects()
    for each in said:
        key = record_key("acme", "account", each) if isinstance(each, str) else each.key
        event = None if isinstance(each, str) else each
        models = {} if model is None else {"acme": model}
        fold.apply(InputMessage(ASSIGNMENTS.name, key, event, {}, timestamp_ms), models, effects)
    fold.flush({}, effects)
    return effects


def set_changes(changes: list[IndexChange]) -> list[str]:
    """Return changes of sets as `+visible ann A-1`, in order."""
    return [
        f"{'+' if change.present else '-'}{change.kind} {change.user_id} {record_id}"
        for change in changes
        if isinstance(change, SetChange)
        for record_id in change.record_ids
    ]
