"""Owners that a model does not have, and groups that nobody is in."""

from __future__ import annotations

from typing import Any

import pytest

from territory.model.compiled import compile_model
from territory.wire.events import Record
from territory_admin.lint import owners
from territory_admin.lint.owners import OwnerCount, OwnerCoverage, UnknownOwner, groups_without_members
from tests.unit.assigner.examples import record

MODEL: dict[str, Any] = {
    "org": "acme",
    "roles": [{"id": "rep"}, {"id": "desk"}],
    "users": [{"id": "ann", "role": "rep"}, {"id": "gone", "role": "desk", "active": False}],
    "groups": [
        {"id": "queue", "users": ["ann"]},
        {"id": "left", "users": ["gone"], "roles": ["desk"]},
        {"id": "by-role", "roles": ["rep"]},
        {"id": "empty"},
    ],
}


def counted(*partitions: list[Record | tuple[str, None]]) -> OwnerCoverage:
    """Return the unknown owners of the records of some partitions, read in order."""
    count = OwnerCount(compile_model(MODEL, 1))
    for partition in partitions:
        for each in partition:
            key, state = (each.key, each) if isinstance(each, Record) else each
            count.take(key, state)
        count.end_partition()
    return count.result()


def owned(name: str, owner_id: str | None, version: int = 1, **more: Any) -> Record:
    """Return a contact of an owner."""
    return record(f"contact/{name}", version, owner_id=owner_id, **more)


def test_unknown_owners_are_counted() -> None:
    """Owners that are neither users nor groups are listed with their records, most records first (V1, V10)."""
    found = counted(
        [owned("C-1", "ann"), owned("C-2", "queue"), owned("C-3", None), owned("C-4", "00G1"), owned("C-5", "00G2")],
        [owned("C-6", "00G2"), owned("C-7", "empty"), owned("C-8", "gone")],
    )
    assert found == OwnerCoverage(2, 3, (UnknownOwner("00G2", 2), UnknownOwner("00G1", 1)))


def test_the_latest_state_of_a_record_counts() -> None:
    """A record that was deleted, or got a known owner, or none, is not counted."""
    first = [owned(name, "00G1") for name in ("C-1", "C-2", "C-3", "C-4")]
    later = [owned("C-1", "ann", 2), owned("C-2", None, 2), owned("C-3", "00G1", 2, deleted=True)]
    assert counted([*first, *later, (first[3].key, None)]) == OwnerCoverage(0, 0, ())


def test_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The totals count all unknown owners, the list has some."""
    monkeypatch.setattr(owners, "OWNERS_MAX", 1)
    found = counted([owned("C-1", "00G1"), owned("C-2", "00G2")])
    assert found == OwnerCoverage(2, 2, (UnknownOwner("00G1", 1),))


def test_groups_without_active_members() -> None:
    """A group whose users are all deactivated, or that names nobody, has no members (V7, V10)."""
    assert groups_without_members(compile_model(MODEL, 1)) == ("empty", "left")
