"""Value sets that the rules of a model share."""

from __future__ import annotations

from typing import Any

from territory.criteria import Leaf, Lists, parse

from ..examples import FIELDS


def wanted_of(lists: Lists, kind: str, word: str, operand: Any) -> Any:
    """Return the typed operand of a leaf."""
    criterion, faults = parse({"field": kind, word: operand}, FIELDS, "rule", lists)  # type: ignore[arg-type]
    assert faults == []
    assert isinstance(criterion, Leaf)
    return criterion.wanted


def test_equal_lists_are_one() -> None:
    """Leaves with equal values of one type share a set, whatever their operators."""
    lists = Lists({"core": ["us", "Ca "]})
    first = wanted_of(lists, "text", "in", ["US", "CA"])
    assert wanted_of(lists, "text", "not_in", [" ca", "us", "US"]) is first
    assert wanted_of(lists, "set", "includes_all", ["ca", "us"]) is first
    assert wanted_of(lists, "text", "in_table", "core") is first
    assert wanted_of(lists, "boolean", "in", [True]) is not wanted_of(lists, "number", "in", [1])


def test_a_table_of_fifty_thousand_is_one_set() -> None:
    """All leaves with one table share one set (C4)."""
    lists = Lists({"zips": [f"{number:05d}" for number in range(50_000)]})
    sets = {id(wanted_of(lists, "text", "in_table", "zips")) for _ in range(100)}
    assert len(sets) == 1
    assert len(wanted_of(lists, "text", "in_table", "zips")) == 50_000
