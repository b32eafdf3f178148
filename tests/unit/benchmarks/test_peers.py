"""What the apps of other frameworks share is right: only the frameworks, and what is left out, may be wrong."""

from __future__ import annotations

from dataclasses import replace

import faust
import pytest
from benchmarks.answers import Answers
from benchmarks.corpus import model_document, record_changes
from benchmarks.peers import FAUST, account_key_of, decide, merged, said

from assigner.assignment.policy import AssignmentPolicy
from territory.model.compiled import compile_model
from territory.wire.codec import encode
from territory.wire.events import Record, RecordChange, read_assignment, read_record_change

MODEL = compile_model(model_document(60, seed=3), 1)
CHANGES = list(record_changes(400, seed=3, updates=0.3, deletes=0.05))


def read(change: dict[str, object]) -> RecordChange:
    return read_record_change(encode(change))


def records_of(changes: list[dict[str, object]]) -> dict[str, Record]:
    kept: dict[str, Record] = {}
    for change in map(read, changes):
        record = merged(change, kept.get(change.key))
        if record is not None:
            kept[change.key] = record
    return {key: record for key, record in kept.items() if not record.deleted}


def test_records_are_merged_as_the_right_answers_are() -> None:
    """Whole records come of upserts, patches and deletes; what is stale changes nothing (A9)."""
    expected = Answers(MODEL, CHANGES).records
    for changes in (CHANGES, CHANGES + CHANGES[:200]):
        found = records_of(changes)
        assert found.keys() == expected.keys()
        for key, record in found.items():
            right = expected[key]
            assert (record.version, record.owner_id, record.account_id, record.contact_id, record.family) == (
                right.version, right.owner_id, right.account_id, right.contact_id, right.family,
            )  # fmt: skip
            assert {name: value for name, value in record.fields.items() if value is not None} == right.fields


def test_a_patch_of_what_is_not_there_is_dropped() -> None:
    """A patch needs its record."""
    patch = read(next(change for change in CHANGES if change["op"] == "patch"))
    assert merged(patch, None) is None


def test_they_say_what_is_right_where_accounts_come_first() -> None:
    """A record beside its account's last standing gets the right territories (A2, A5, A6)."""
    answers, linker = Answers(MODEL, CHANGES), AssignmentPolicy(MODEL)
    standings = {
        key: linker.decide_by_rules(record) for key, record in answers.records.items() if record.object == "account"
    }
    linked = 0
    for key, record in answers.records.items():
        standing = decide(linker, record, standings.get(account_key_of(record) or ""))
        found = read_assignment(said(linker, record, standing))
        assert (found.key, found.version, found.territories) == (key, record.version, answers.territories_of(key))
        linked += bool(found.links)
    assert linked


@pytest.mark.parametrize(("package", "is_there"), [(faust.__name__, True), ("json", True), ("nothing_such", False)])
def test_a_framework_that_is_not_installed_is_left_out(package: str, is_there: bool) -> None:
    """Faust is found, too, once it is imported, when it has no spec any more."""
    assert replace(FAUST, package=package).is_installed is is_there
