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


def test_siblings_overlap_where_a_record_reaches_both() -> None:
    """A sibling without a rule counts, too, if the record reaches a territory below it (A1, A2)."""
    found = covered([american("A", 1), american("B", 11)], [american("C", 11), american("D", 12)])
    assert found.overlaps == (Overlap("account", "us", ("mid", "small"), 3),)
    assert found.records == {"account": 4, "lead": 0, "deal": 0}


def test_unreached_territories_are_listed() -> None:
    """The first unreached territory of a branch is listed with those below it; objects without records are skipped."""
    found = covered([american("A", 12)])
    assert found.unreached == (
        Unreached("account", "tiny", ()),
        Unreached("account", "odd", ()),
        Unreached("account", "fr", ("paris",)),
    )


def test_deal_rules_do_not_depend_on_ancestors() -> None:
    """An ancestor's deal rule does not matter; a deal gets one territory, so deals never overlap (A6)."""
    found = covered([record("deal/D", fields={"size": 7})])
    assert (found.unreached, found.overlaps) == ((Unreached("deal", "never", ()),), ())


def test_the_last_state_of_every_record_counts() -> None:
    """Deleted and removed records, and records that have only links, do not count (A4)."""
    states: list[Record | tuple[str, None]] = [
        american("A", 1), american("A", 12, 2),
        american("B", 1), american("B", 1, 2, deleted=True),
        american("C", 1), ("acme/account/C", None),
        american("D", 1, 0),
        record("contact/E", fields={"country": "US"}),
    ]  # fmt: skip
    found = covered(states)
    assert (found.records["account"], found.overlaps) == (1, ())


def test_pairs_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result says that pairs were left out, and the counted pairs are right."""
    monkeypatch.setattr(coverage, "PAIRS_MAX", 1)
    everywhere = [{"id": name, "rules": {"account": {"field": "city", "is_empty": True}}} for name in "abc"]
    found = covered([record("account/A")], [record("account/B")], model=model_of(*everywhere))
    assert [(overlap.siblings, overlap.records) for overlap in found.overlaps] == [(("a", "b"), 2)]
    assert found.pairs_left_out
    assert not covered([american("A", 1)]).pairs_left_out


@given(st.lists(st.tuples(st.sampled_from(["US", "FR", None]), st.integers(0, 22)), max_size=30), st.integers(1, 4))
def test_counts_equal_plain_evaluation(records: list[tuple[str | None, int]], partitions: int) -> None:
    """However records are partitioned, overlaps and reach equal those of plain rule evaluation (A1, A2)."""
    read: list[list[Record | tuple[str, None]]] = [[] for _ in range(partitions)]
    for number, (country, size) in enumerate(records):
        read[number % partitions].append(record(f"account/{number}", fields={"country": country, "size": size}))
    found = covered(*read)
    both = sum(country == "US" and size < 20 and size in (1, 11, 21) for country, size in records)
    assert [overlap.records for overlap in found.overlaps] == ([both] if both else [])
    unreached = {name for each in found.unreached for name in (each.territory_id, *each.below)}
    assert ("tiny" in unreached) == (bool(records) and not any(c == "US" and size < 3 for c, size in records))
    assert ("paris" in unreached) == (bool(records) and not any(c == "FR" and size == 1 for c, size in records))
