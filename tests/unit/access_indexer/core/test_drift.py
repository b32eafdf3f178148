"""Where the index differs from what the log implies."""

from __future__ import annotations

from typing import cast

import pytest

from access_indexer.core.changes import IndexChange, RecordState, SetChange, SetKind
from access_indexer.core.drift import DriftKind, Place, Seen, expected_at, kind_of, mending, places_of
from access_indexer.core.stage import AccessFold
from tests.unit.access_indexer.core.examples import assignment, model_of, told

MODEL = model_of()
HASH = {"version": "1", "owner_id": "", "territories": '["bay"]', "model_revision": "1"}


def fold_of(*territories: str) -> AccessFold:
    """Return a partition that has one account."""
    fold = AccessFold(0, 1)
    told(fold, MODEL, assignment("A-1", *territories))
    return fold


def place(word: str, user_id: str = "") -> Place:
    return Place(cast("SetKind", word), "acme", "account", "A-1", user_id)


def test_a_record_has_its_hash_and_its_viewers() -> None:
    """An entry for each, and no others (V1, V3)."""
    standing = fold_of("bay").standing("acme/account/A-1")
    assert standing is not None
    assert sorted(places_of(standing)) == [
        place("editable", "mia"), place("record"), place("visible", "mia"), place("visible", "sam"),
        place("visible", "wes"),
    ]  # fmt: skip
    assert all(expected_at(each, standing) for each in places_of(standing))
    assert expected_at(place("record"), standing) == HASH
    assert expected_at(place("editable", "sam"), standing) is False


def test_nothing_is_expected_of_a_record_that_is_gone() -> None:
    """Neither in a set nor as a hash (V7)."""
    fold = fold_of("bay")
    told(fold, MODEL, "A-1")
    assert fold.standing("acme/account/A-1") is None
    assert fold.standing("other/account/A-1") is None
    assert expected_at(place("visible", "sam"), None) is False
    assert expected_at(place("record"), None) == {}


@pytest.mark.parametrize(
    ("expected", "seen", "kind"),
    [
        (True, True, None), (False, False, None), (HASH, dict(HASH), None), ({}, {}, None),
        (True, False, "missing_member"), (False, True, "extra_member"),
        (HASH, {}, "missing_record"), ({}, HASH, "stray_record"), (HASH, HASH | {"version": "2"}, "wrong_record"),
        (HASH, {"version": "1"}, "wrong_record"),
    ],
)  # fmt: skip
def test_kinds(expected: Seen, seen: Seen, kind: DriftKind | None) -> None:
    """Each difference has one name."""
    assert kind_of(expected, seen) == kind


def test_mending_says_what_the_log_implies() -> None:
    """In or out, the whole hash or none."""
    standing = fold_of("bay").standing("acme/account/A-1")
    stands = RecordState("acme", "account", "A-1", 1, None, ("bay",), 1)
    changes: list[IndexChange] = [
        SetChange("acme", "visible", "sam", "account", ["A-1"], True),
        SetChange("acme", "editable", "sam", "account", ["A-1"], False),
        stands,
    ]
    assert [mending(place(*each), standing) for each in (("visible", "sam"), ("editable", "sam"), ("record",))] == (
        changes
    )
    assert mending(place("record"), None) == RecordState("acme", "account", "A-1", None)
    out = SetChange("acme", "visible", "sam", "account", ["A-1"], False)
    assert mending(place("visible", "sam"), None) == out


def test_what_is_said_of_an_organisation() -> None:
    """Where everything has to be said again, memory does not tell what the sets hold."""
    fold = AccessFold(0, 1)
    told(fold, None, assignment("A-1"))
    assert not fold.is_said("acme")
    list(fold.sweep(MODEL, 10))
    assert fold.is_said("acme")
    assert fold.orgs() == ["acme"]
    assert fold.keys("acme") == ["acme/account/A-1"]
    assert fold.keys("other") == []
