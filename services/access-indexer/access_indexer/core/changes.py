"""Changes of the index, as data: what `RedisIndexWriter` applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from territory.wire.codec import encode

SetKind = Literal["visible", "editable"]


class SetChange(NamedTuple):
    """Adds record ids to one user's set, or removes them from it."""

    org_id: str
    kind: SetKind
    user_id: str
    object: str
    record_ids: Sequence[str]
    present: bool


class Revoked(NamedTuple):
    """Measures how long a revocation took; it changes nothing in Redis."""

    since_ms: int
    """When its cause happened, in milliseconds of the epoch; 0: not measured."""
    users: int
    """How many users lost access to the record, or the right to edit it."""


class RecordState(NamedTuple):
    """Replaces the hash of a record; without a version, deletes it."""

    org_id: str
    object: str
    record_id: str
    version: int | None
    owner_id: str | None = None
    territories: tuple[str, ...] = ()
    model_revision: int = 0
    since_ms: int = 0
    """When the change of the record happened, in milliseconds of the epoch; 0: not measured."""


def record_hash(state: RecordState, version: int) -> tuple[str | int, ...]:
    """Return the field names and values of a record's hash, alternating (contracts: Redis)."""
    return (
        "version", version,
        "owner_id", state.owner_id or "",
        "territories", encode(state.territories).decode(),
        "model_revision", state.model_revision,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AdminsState:
    """Replaces the set of an organisation's administrators."""

    org_id: str
    users: frozenset[str]


IndexChange = SetChange | Revoked | RecordState | AdminsState
