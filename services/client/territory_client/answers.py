"""The client's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ObjectType = Literal["account", "contact", "lead", "deal"]
Level = Literal["read", "edit"]
"""`edit` includes `read` (V3)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the records that a user sees."""

    ids: tuple[str, ...]
    """Unordered. An id that is visible from the first page to the last is on at least one page."""
    next_cursor: int | None
    """Cursor of the next page; None: this is the last."""
    everything: bool = False
    """True for an administrator, who sees every record: `ids` is empty; list your own records."""


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """A record's owner and territories, as the index has them."""

    version: int
    owner_id: str | None
    territories: tuple[str, ...]
    model_revision: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The part of an explanation that Redis alone can give for one user and one record."""

    level: Level | None
    """The user's level on the record; None: no access."""
    is_admin: bool
    is_owner: bool
    """Whether the record names this user as its owner; False for members of a group that owns it."""
    record: IndexedRecord | None
    """None: not in the index. It was never published, is not indexed yet, or is deleted."""


@dataclass(frozen=True, slots=True)
class PartitionFreshness:
    """The index's progress in one partition of `territory.assignments.v1`."""

    offset: int
    """The offset after the organisation's last indexed message, or a later one."""
    model_revision: int | None
    """The model revision under which all of the partition's records are indexed; None: none yet."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """The index's progress for one organisation, as stored in Redis."""

    model_revision: int | None
    """The model revision under which all records are indexed; None: there is none."""
    partitions: Mapping[int, PartitionFreshness]
    """By partition number."""
