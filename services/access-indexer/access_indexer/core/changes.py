"""What is to change in the index, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from territory.wire.codec import encode

SetKind = Literal["visible", "editable"]


class SetChange(NamedTuple):
    """Some record ids go into, or out of, one user's set."""

    org_id: str
    kind: SetKind
    user_id: str
    object: str
    record_ids: Sequence[str]
    present: bool


class Revoked(NamedTuple):
    """So many users see a record no more, or may edit it no more: what the time of a revocation is measured from."""

    since_ms: int
    """When what it follows from happened, in milliseconds of the epoch; 0: not measured."""
    users: int


class RecordState(NamedTuple):
    """Where a record stands; no version: it is gone."""

    org_id: str
    object: str
    record_id: str
    version: int | None
    owner_id: str | None = None
    territories: tuple[str, ...] = ()
    model_revision: int = 0
    since_ms: int = 0


def record_hash(stands: RecordState, version: int) -> tuple[str | int, ...]:
    """Return the names and values of the hash that says where a record stands (contracts: Redis)."""
    return (
        "version", version,
        "owner_id", stands.owner_id or "",
        "territories", encode(stands.territories).decode(),
        "model_revision", stands.model_revision,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AdminsState:
    """Who the administrators of an organisation are."""

    org_id: str
    users: frozenset[str]


IndexChange = SetChange | Revoked | RecordState | AdminsState
