"""Differences between entries of the index and what the log implies: pure, given what was read from Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from access_indexer.core.changes import IndexChange, RecordState, SetChange, record_hash
from access_indexer.core.stage import IndexedAccess
from territory.wire.keys import record_key

DriftKind = Literal["missing_member", "extra_member", "missing_record", "wrong_record", "stray_record", "admins"]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)

EntryValue = bool | Mapping[str, str]
"""Whether a set holds an id; or the fields of a record's hash, empty if there is no hash."""


class IndexEntry(NamedTuple):
    """The address of one entry of the index: a record's hash, or a record in one user's set."""

    kind: Literal["visible", "editable", "record"]
    org_id: str
    object: str
    record_id: str
    user_id: str = ""
    """Empty for a hash."""

    @property
    def key(self) -> str:
        """The record's key, which decides the partition."""
        return record_key(self.org_id, self.object, self.record_id)


def entries_of(access: IndexedAccess) -> Iterator[IndexEntry]:
    """Yield the entries that a record must have."""
    org_id, object_type, record_id = access.record[:3]
    yield IndexEntry("record", org_id, object_type, record_id)
    for user_id in access.viewers.readers:
        yield IndexEntry("visible", org_id, object_type, record_id, user_id)
    for user_id in access.viewers.editors:
        yield IndexEntry("editable", org_id, object_type, record_id, user_id)


def expected_at(entry: IndexEntry, access: IndexedAccess | None) -> EntryValue:
    """Return the value that an entry of a record must have; `access` None: the record is gone (V7)."""
    if entry.kind == "record":
        return {} if access is None else _fields(access.record)
    if access is None:
        return False
    return entry.user_id in (access.viewers.readers if entry.kind == "visible" else access.viewers.editors)


def drift_kind(expected: EntryValue, found: EntryValue) -> DriftKind | None:
    """Return how the value of an entry differs from the expected one; None: it does not."""
    if expected == found:
        return None
    if isinstance(expected, bool):
        return "missing_member" if expected else "extra_member"
    if not found:
        return "missing_record"
    return "wrong_record" if expected else "stray_record"


def repair_of(entry: IndexEntry, access: IndexedAccess | None) -> IndexChange:
    """Return the change that gives an entry the expected value."""
    if entry.kind == "record":
        gone = RecordState(entry.org_id, entry.object, entry.record_id, version=None)
        return gone if access is None else access.record
    present = bool(expected_at(entry, access))
    return SetChange(entry.org_id, entry.kind, entry.user_id, entry.object, [entry.record_id], present)


def _fields(state: RecordState) -> dict[str, str]:
    parts = [str(part) for part in record_hash(state, state.version or 0)]
    return dict(zip(parts[::2], parts[1::2], strict=True))
