"""What the client answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ObjectType = Literal["account", "contact", "lead", "deal"]
Level = Literal["read", "edit"]
"""`edit` includes `read` (V3)."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the records that a user sees."""

    ids: tuple[str, ...]
    """In no order. Over all pages every id comes at least once that was there from the first page to the last."""
    next_cursor: int | None
    """Where the next page begins; None: this was the last."""
    everything: bool = False
    """The user is an administrator and sees all that there is: `ids` is empty, list your own records."""


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """Where a record stands, as the index has it."""

    version: int
    owner_id: str | None
    territories: tuple[str, ...]
    model_revision: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What Redis alone can tell of one user and one record."""

    level: Level | None
    """What the user may do with the record; None: not see it."""
    is_admin: bool
    is_owner: bool
    record: IndexedRecord | None
    """None: the index does not have it; it was never published, is not yet indexed, or is deleted."""


@dataclass(frozen=True, slots=True)
class PartitionFreshness:
    """How far the index is in one partition of `territory.assignments.v1`."""

    offset: int
    """The message after the last one of this organisation that is in, or a later one."""
    model_revision: int | None
    """The model's revision that all of the partition's records are in under; None: there is none yet."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the index is, as Redis says."""

    model_revision: int | None
    """The model's revision that all records are in under; None: under none are all of them."""
    partitions: Mapping[int, PartitionFreshness]
    """By partition's number."""
