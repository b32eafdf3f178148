"""Criteria trees: the reasons why they hold or fail, and relative dates."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given

from territory.criteria import Fields, Leaf
from territory.criteria.values import read_fields
from territory.errors import DayNotSet
from territory.model.periods import FiscalCalendar
from tests.support.oracle_criteria import RELATIVE

from ..examples import FIELDS, Document
from .examples import leaves_of, parsed, records, trees, unresolved


@given(trees, records)
def test_criteria_say_why(document: Document, fields: dict[str, Any]) -> None:
    """Criteria that hold report leaves that held; criteria that fail report one failed leaf with its value (A10)."""
    criterion, (values, _) = parsed(document), read_fields(FIELDS, fields)  # type: ignore[arg-type]
    if criterion.holds(values):
        lines = criterion.held(values)
        assert lines
        for leaf in leaves_of(criterion):
            if str(leaf) in lines:
                assert leaf.holds(values)
    else:
        failure = criterion.failure(values)
        culprits = [leaf for leaf in leaves_of(criterion) if failure.leaf in (str(leaf), f"not {leaf}")]
        assert culprits
        for leaf in culprits:
            assert not (leaf.fails(values) if failure.leaf == f"not {leaf}" else leaf.holds(values))
            assert failure.value == values.get(leaf.field)


def test_reasons_as_text() -> None:
    """Reasons are short texts that an administrator can read (A10)."""
    rule = parsed({"all": [{"field": "text", "in": list("abcdefg")}, {"not": {"field": "number", "lt": 5}}]})
    values: Fields = {"text": "a", "number": 7}
    assert rule.held(values) == ["text in [a, b, c, d, e, … 2 more]", "not number lt 5"]
    assert str(rule) == "all(text in [a, b, c, d, e, … 2 more], not number lt 5)"
    assert str(rule.failure({"text": "x"})) == "text in [a, b, c, d, e, … 2 more]: the record's value is x"
    assert str(rule.failure({})) == "text in [a, b, c, d, e, … 2 more]: the record's value is missing"
    assert str(rule.failure({"text": "a", "number": 3})) == "not number lt 5: the record's value is 3"
    some = parsed({"any": [{"field": "boolean", "in": [True]}, {"field": "boolean", "eq": False}]})
    assert some.held({"boolean": False}) == ["boolean eq false"]
    assert str(some.failure({})) == "boolean in [true]: the record's value is missing"


def test_reasons_of_unreadable_values() -> None:
    """A reason says which value was found and which type was expected, not that it is missing (A10, C6)."""
    rule = parsed({"all": [{"not": {"field": "boolean", "eq": True}}, {"field": "money", "is_not_empty": True}]})
    values, _ = read_fields(FIELDS, {"boolean": "on", "money": "1,234.50"})  # type: ignore[arg-type]
    assert str(rule.failure(values)) == (
        'not boolean eq true: the record\'s value is unreadable: found "on", expected a boolean'
    )
    assert rule.held({"boolean": False, "money": values["money"]}) == ["not boolean eq true", "money is_not_empty true"]
    either = parsed({"not": {"any": [{"field": "text", "eq": "x"}, {"field": "number", "lt": 5}]}})
    values, _ = read_fields(FIELDS, {"text": "y", "number": "many"})  # type: ignore[arg-type]
    assert str(either.failure(values)) == (
        'not number lt 5: the record\'s value is unreadable: found "many", expected a number'
    )


def test_double_negation() -> None:
    """A failed double negation reports its leaf with the record's value (A10)."""
    rule = parsed({"not": {"not": {"field": "text", "eq": "US"}}})
    assert str(rule.failure({"text": "de"})) == "text eq US: the record's value is de"


# --- days (C7) --------------------------------------------------------------------------------

FISCAL = FiscalCalendar()


@given(trees)
def test_on_copies_only_relative_criteria(document: Document) -> None:
    """`on` copies criteria exactly if one of their leaves has a relative date (C7)."""
    criterion = unresolved(document)
    there = criterion.on(date(2017, 3, 1), FISCAL)
    assert criterion.is_relative is any(leaf.operator in RELATIVE for leaf in leaves_of(criterion))
    assert (there is criterion) is not criterion.is_relative
    assert not there.is_relative
    assert str(there) == str(criterion)
    for before, after in zip(leaves_of(criterion), leaves_of(there), strict=True):
        assert (before is after) is (before.operator not in RELATIVE)
        assert (before.field, before.operator, before.operand) == (after.field, after.operator, after.operand)


@pytest.mark.parametrize("fields", [{}, {"date": date(2017, 3, 1)}])
@pytest.mark.parametrize("word", RELATIVE)
def test_no_answer_without_a_day(word: str, fields: Fields) -> None:
    """Criteria with relative dates raise without a day, even if the field is missing (C7)."""
    leaf: Document = {"field": "date", word: "this_month" if word == "in_period" else 30}
    for document in (leaf, {"not": leaf}, {"all": [leaf]}, {"any": [leaf]}):
        with pytest.raises(DayNotSet, match="depends on the day"):
            unresolved(document).holds(fields)
    criterion = unresolved(leaf)
    assert isinstance(criterion, Leaf)
    with pytest.raises(DayNotSet):
        criterion.failure(fields)
    with pytest.raises(DayNotSet):
        criterion.test(date(2017, 3, 1))


def test_reasons_of_relative_leaves() -> None:
    """A relative leaf is reported as written, with the record's value (A10, C7)."""
    rule = parsed({"not": {"field": "date", "within_last_days": 30}})
    assert str(rule.failure({"date": date(2017, 3, 1)})) == (
        "not date within_last_days 30: the record's value is 2017-03-01"
    )


def test_reasons_of_sets_and_places() -> None:
    """Reasons list sets in sorted order and cut long operands (A10)."""
    rule = parsed({"field": "set", "includes_all": ["x", "a"]})
    assert str(rule.failure({"set": frozenset({"c", "b"})})) == "set includes_all [x, a]: the record's value is [b, c]"
    near = parsed({"field": "geo", "within_km": {"lat": 52.5, "lon": "13.40", "km": 20}})
    assert str(near) == "geo within_km {lat: 52.5, lon: 13.40, km: 20}"
    corners = [[0, 0], [9, 0], [9, 9], [0, 0]]
    area = parsed({"field": "geo", "in_polygon": {"type": "MultiPolygon", "coordinates": [[corners, corners]] * 2}})
    assert str(area) == "geo in_polygon 2 polygons of 12 corners"
    table = parsed({"field": "text", "in_table": "core"})
    assert str(table) == "text in_table core"
