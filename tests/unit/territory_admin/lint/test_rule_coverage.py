"""How records at hand fall on territories."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from territory_admin.lint import rule_coverage as coverage
from territory_admin.lint.rule_coverage import Coverage, Overlap, RecordCoverage, Unreached
from tests.unit.assigner.examples import model_of, record

MODEL: dict[str, Any] = {
    "org": "acme",
    "fields": {kind: {"country": "text", "size": "number"} for kind in ("account", "deal")},
    "territories": [
        {"id": "us", "rules": {"account": {"field": "country", "eq": "US"}}},
        {"id": "small", "parent": "us", "rules": {"account": {"field": "size", "lt": 20}}},
        {"id": "tiny", "parent": "small", "rules": {"account": {"field": "size", "lt": 3}}},
        {"id": "mid", "parent": "us"},
        {"id": "odd", "parent": "mid", "rules": {"account": {"field": "size", "in": [1, 11, 21]}}},
        {"id": "fr", "rules": {"account": {"field": "country", "eq": "FR"}, "deal": {"field": "size", "gt": 5}}},
        {"id": "paris", "parent": "fr", "rules": {"account": {"field": "size", "eq": 1},
                                                  "deal": {"field": "size", "eq": 7}}},
        {"id": "never", "rules": {"deal": {"field": "size", "gt": 100}}},
    ],
}  # fmt: skip


def covered(*partitions: list[Record | tuple[str, None]], model: Model | None = None) -> RecordCoverage:
    taking = Coverage(model or compile_model(MODEL, 1))
    for partition in partitions:
        for each in partition:
            if isinstance(each, Record):
                taking.take(each.key, each)
            else:
                taking.take(each[0], None)
        taking.end_partition()
    return taking.result()


def american(name: str, size: int, version: int = 1, **more: Any) -> Record:
    return record(f"account/{name}", version, fields={"country": "US", "size": size}, **more)


def test_siblings_overlap_where_both_branches_take_a_record() -> None:
    """Siblings are those of the tree, also one without a rule through which others take the record (A1, A2)."""
    found = covered([american("A", 1), american("B", 11)], [american("C", 11), american("D", 12)])
    assert found.overlaps == (Overlap("account", "us", ("mid", "small"), 3),)
    assert found.records == {"account": 4, "lead": 0, "deal": 0}


def test_what_no_record_reaches() -> None:
    """The first of a branch is named with those below it; object types without records say nothing."""
    found = covered([american("A", 12)])
    assert found.unreached == (
        Unreached("account", "tiny", ()),
        Unreached("account", "odd", ()),
        Unreached("account", "fr", ("paris",)),
    )


def test_deal_rules_are_asked_alone() -> None:
    """An ancestor's deal rule is not asked (A6); deals of several territories are no overlap: they get one."""
    found = covered([record("deal/D", fields={"size": 7})])
    assert (found.unreached, found.overlaps) == ((Unreached("deal", "never", ()),), ())


def test_every_record_counts_once_as_it_is_now() -> None:
    """Of a record's states the last counts; what is deleted, gone or known by its links alone does not (A4)."""
    states: list[Record | tuple[str, None]] = [
        american("A", 1), american("A", 12, 2),
        american("B", 1), american("B", 1, 2, deleted=True),
        american("C", 1), ("acme/account/C", None),
        american("D", 1, 0),
        record("contact/E", fields={"country": "US"}),
    ]  # fmt: skip
    found = covered(states)
    assert (found.records["account"], found.overlaps) == (1, ())


def test_more_pairs_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting is bounded; that pairs were left out is said, and those that are counted stay right."""
    monkeypatch.setattr(coverage, "PAIRS_MAX", 1)
    everywhere = [{"id": name, "rules": {"account": {"field": "city", "is_empty": True}}} for name in "abc"]
    found = covered([record("account/A")], [record("account/B")], model=model_of(*everywhere))
    assert [(overlap.siblings, overlap.records) for overlap in found.overlaps] == [(("a", "b"), 2)]
    assert found.pairs_left_out
    assert not covered([american("A", 1)]).pairs_left_out


@given(st.lists(st.tuples(st.sampled_from(["US", "FR", None]), st.integers(0, 22)), max_size=30), st.integers(1, 4))
def test_the_counts_are_those_of_the_rules(records: list[tuple[str | None, int]], partitions: int) -> None:
    """However the records are spread, pairs and reach are those that the plain rules give (A1, A2)."""
    read: list[list[Record | tuple[str, None]]] = [[] for _ in range(partitions)]
    for number, (country, size) in enumerate(records):
        read[number % partitions].append(record(f"account/{number}", fields={"country": country, "size": size}))
    found = covered(*read)
    both = sum(country == "US" and size < 20 and size in (1, 11, 21) for country, size in records)
    assert [overlap.records for overlap in found.overlaps] == ([both] if both else [])
    unreached = {name for each in found.unreached for name in (each.territory_id, *each.below)}
    assert ("tiny" in unreached) == (bool(records) and not any(c == "US" and size < 3 for c, size in records))
    assert ("paris" in unreached) == (bool(records) and not any(c == "FR" and size == 1 for c, size in records))
