"""Differences between the index and what the log implies."""

from __future__ import annotations

from typing import cast

import pytest

from access_indexer.core.changes import IndexChange, RecordState, SetChange, SetKind
from access_indexer.core.drift import (
    DriftKind,
    EntryValue,
    IndexEntry,
    drift_kind,
    entries_of,
    expected_at,
    repair_of,
)
from access_indexer.core.stage import AccessFold
from tests.unit.access_indexer.core.examples import MODEL, applied, assignment

HASH = {"version": "1", "owner_id": "", "territories": '["bay"]', "model_revision": "1"}


def fold_of(*territories: str) -> AccessFold:
    """Return a partition with one account."""
    fold = AccessFold(0, 1)
    applied(fold, MODEL, assignment("A-1", *territories))
    return fold


def entry(kind: str, user_id: str = "") -> IndexEntry:
    """Return an entry of that account."""
    return IndexEntry(cast("SetKind", kind), "acme", "account", "A-1", user_id)


def test_a_record_has_a_hash_and_an_entry_per_viewer() -> None:
    """The expected entries are the hash and one for each reader and editor, no others (V1, V3)."""
    access = fold_of("bay").indexed_access("acme/account/A-1")
    assert access is not None
    assert sorted(entries_of(access)) == [
        entry("editable", "mia"), entry("record"), entry("visible", "mia"), entry("visible", "sam"),
        entry("visible", "wes"),
    ]  # fmt: skip
    assert all(expected_at(each, access) for each in entries_of(access))
    assert expected_at(entry("record"), access) == HASH
    assert expected_at(entry("editable", "sam"), access) is False


def test_a_removed_record_has_no_entries() -> None:
    """Neither a set nor a hash is expected of a record that is gone (V7)."""
    fold = fold_of("bay")
    applied(fold, MODEL, "A-1")
    assert fold.indexed_access("acme/account/A-1") is None
    assert fold.indexed_access("other/account/A-1") is None
    assert expected_at(entry("visible", "sam"), None) is False
    assert expected_at(entry("record"), None) == {}


@pytest.mark.parametrize(
    ("expected", "found", "kind"),
    [
        (True, True, None), (False, False, None), (HASH, dict(HASH), None), ({}, {}, None),
        (True, False, "missing_member"), (False, True, "extra_member"),
        (HASH, {}, "missing_record"), ({}, HASH, "stray_record"), (HASH, HASH | {"version": "2"}, "wrong_record"),
        (HASH, {"version": "1"}, "wrong_record"),
    ],
)  # fmt: skip
def test_kind_of_a_difference(expected: EntryValue, found: EntryValue, kind: DriftKind | None) -> None:
    """Every difference has exactly one kind, and equal values have none."""
    assert drift_kind(expected, found) == kind


def test_repair_makes_an_entry_what_the_log_implies() -> None:
    """The repair of a set adds or removes one member; that of a hash replaces or deletes it."""
    access = fold_of("bay").indexed_access("acme/account/A-1")
    record = RecordState("acme", "account", "A-1", 1, None, ("bay",), 1)
    changes: list[IndexChange] = [
        SetChange("acme", "visible", "sam", "account", ["A-1"], True),
        SetChange("acme", "editable", "sam", "account", ["A-1"], False),
        record,
    ]
    assert [repair_of(entry(*each), access) for each in (("visible", "sam"), ("editable", "sam"), ("record",))] == (
        changes
    )
    assert repair_of(entry("record"), None) == RecordState("acme", "account", "A-1", None)
    removal = SetChange("acme", "visible", "sam", "account", ["A-1"], False)
    assert repair_of(entry("visible", "sam"), None) == removal


def test_an_organisation_in_transition_is_not_complete() -> None:
    """Until its sweep ends, the fold does not know what the sets hold, and drift is not counted."""
    fold = AccessFold(0, 1)
    applied(fold, None, assignment("A-1"))
    assert not fold.is_complete("acme")
    list(fold.sweep(MODEL, 10))
    assert fold.is_complete("acme")
    assert fold.orgs() == ["acme"]
    assert fold.keys("acme") == ["acme/account/A-1"]
    assert fold.keys("other") == []
