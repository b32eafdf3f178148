"""What the client answers with."""

from __future__ import annotations

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
