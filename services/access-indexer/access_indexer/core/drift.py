"""Where the index differs from what the log implies: pure, given what was seen of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from access_indexer.core.changes import IndexChange, RecordState, SetChange, SetKind, record_hash
from access_indexer.core.stage import IndexedAccess
from territory.wire.keys import record_key

DriftKind = Literal["missing_member", "extra_member", "missing_record", "wrong_record", "stray_record", "admins"]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)

Seen = bool | Mapping[str, str]
"""Whether a set holds an id; or the fields of a record's hash, none where there is no hash."""


class Place(NamedTuple):
    """One entry of the index: a record's hash, or a record in one user's set."""

    word: Literal["visible", "editable", "record"]
    org_id: str
    object: str
    record_id: str
    user_id: str = ""
    """Empty for a hash."""

    @property
    def key(self) -> str:
        """The record's key."""
        return record_key(self.org_id, self.object, self.record_id)


def places_of(standing: IndexedAccess) -> Iterator[Place]:
    """Yield the entries that a record must have."""
    org_id, object_type, record_id = standing.record[:3]
    yield Place("record", org_id, object_type, record_id)
    for user_id in standing.viewers.readers:
        yield Place("visible", org_id, object_type, record_id, user_id)
    for user_id in standing.viewers.editors:
        yield Place("editable", org_id, object_type, record_id, user_id)


def expected_at(place: Place, standing: IndexedAccess | None) -> Seen:
    """Return what has to be seen at an entry of a record; no standing: the record is gone (V7)."""
    if place.word == "record":
        return {} if standing is None else _fields(standing.record)
    if standing is None:
        return False
    return place.user_id in (standing.viewers.readers if place.word == "visible" else standing.viewers.editors)


def kind_of(expected: Seen, seen: Seen) -> DriftKind | None:
    """Return how an entry differs from what was expected there; None: it does not."""
    if expected == seen:
        return None
    if isinstance(expected, bool):
        return "missing_member" if expected else "extra_member"
    if not seen:
        return "missing_record"
    return "wrong_record" if expected else "stray_record"


def mending(place: Place, standing: IndexedAccess | None) -> IndexChange:
    """Return the change that makes an entry what it has to be."""
    if place.word == "record":
        gone = RecordState(place.org_id, place.object, place.record_id, version=None)
        return gone if standing is None else standing.record
    kind: SetKind = place.word
    present = bool(expected_at(place, standing))
    return SetChange(place.org_id, kind, place.user_id, place.object, [place.record_id], present)


def _fields(stands: RecordState) -> dict[str, str]:
    parts = [str(part) for part in record_hash(stands, stands.version or 0)]
    return dict(zip(parts[::2], parts[1::2], strict=True))
