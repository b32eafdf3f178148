"""What P8 divides by is what it says, and the compact layout holds what it is given."""

from __future__ import annotations

import random
import string
import struct
from pathlib import Path

import pytest
from benchmarks.compact_layout import containers, ordinal_of, packed
from benchmarks.corpus import model_document, record_changes
from benchmarks.p8_memory import DOUBLED, ID_CHARACTERS, beyond, populations, random_ids
from benchmarks.worker_memory import WORKERS, Grown, measure, write_messages
from hypothesis import given
from hypothesis import strategies as st

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import compile_model
from territory_admin.errors import StackFailed

RECORDS = 50


def _held(container: bytes) -> set[int]:
    form, rest = container[:1], container[1:]
    if form == b"a":
        return set(struct.unpack(f">{len(rest) // 2}H", rest))
    assert form == b"b"
    return {place for place in range(8 * len(rest)) if rest[place // 8] >> (7 - place % 8) & 1}


@given(st.sets(st.integers(0, 0xFFFFFFFF), max_size=200))
def test_containers_hold_what_they_are_given(ordinals: set[int]) -> None:
    """Each ordinal is in the container of its upper half, and nothing else is in any."""
    found = containers(ordinals)
    assert {high << 16 | low for high, container in found.items() for low in _held(container)} == ordinals
    assert all(len(container) > 1 for container in found.values())


@pytest.mark.parametrize(("count", "form"), [(1, b"a"), (4_096, b"a"), (4_097, b"b"), (65_536, b"b")])
def test_a_container_has_the_shorter_form(count: int, form: bytes) -> None:
    """An array takes two bytes a record, a bitmap one bit for each up to the last, here the last of all."""
    container = packed([*range(count - 1), 0xFFFF])
    assert container[:1] == form
    assert len(container) == 1 + min(2 * count, 8_192)
    assert _held(container) == {*range(count - 1), 0xFFFF}


def test_partitions_share_no_container() -> None:
    """Each partition's worker gives out its own ordinals; they fit into 32 bits."""
    last = ordinal_of(0, 2**24 - 1)
    assert ordinal_of(1, 0) == last + 1
    assert ordinal_of(255, 2**24 - 1) == 2**32 - 1
    assert containers([last]).keys().isdisjoint(containers([last + 1]))


def test_ids_are_as_long_as_those_of_salesforce() -> None:
    """18 characters of base 62, no two alike."""
    ids = random_ids(random.Random(1), 1_000)  # noqa: S311 - ids for a measurement, not secrets
    assert len(set(ids)) == 1_000
    assert {len(one) for one in ids} == {ID_CHARACTERS}
    assert set("".join(ids)) <= set(string.ascii_letters + string.digits)


@pytest.mark.parametrize("memberships", [1_000_000, 10_000_000])
def test_sets_are_as_many_as_asked_for(memberships: int) -> None:
    """All memberships are in sets of some size, and the worst size is among these."""
    sizes = populations(memberships)
    assert sum(one.memberships for one in sizes) == memberships
    assert {1_000, 100_000, DOUBLED} < {one.size for one in sizes}


def test_few_memberships_have_a_set_of_each_size() -> None:
    """There is no set of less than nothing."""
    assert [one.sets for one in populations(10_000)] == [1, 1, 1]


def test_a_worker_is_charged_for_all_its_folds() -> None:
    """The record's own bytes are taken off once, however many folds keep it."""
    assert beyond([Grown("intake", 10, 20_000), Grown("assignment", 5, 15_000)], 600) == 2_000 + 3_000 - 600


def test_every_fold_is_told_every_record(tmp_path: Path) -> None:
    """What is on the topics is whole: each fold remembers all records, in a process of its own."""
    document = model_document(20, 1)
    model, linkers = compile_model(document, 1), PolicyCache()
    linkers.prepare(model)
    changes = record_changes(RECORDS, 1, updates=0, deletes=0)
    own = write_messages(tmp_path, changes, {model.org_id: model}, linkers)
    assert own == (tmp_path / "changes.jsonl").stat().st_size - RECORDS
    for folds in WORKERS.values():
        for told in folds(linkers):
            for line in (tmp_path / told.file).read_bytes().splitlines():
                told.tell(line, {model.org_id: model})
            assert len(told.fold) == RECORDS


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    """No figure is made up where a process ended early."""
    with pytest.raises(StackFailed, match=r"(?s)worker_memory assigner exited 1: .*FileNotFoundError"):
        measure("assigner", tmp_path / "model.json", tmp_path)
