"""Parsing criteria: a tree, or every fault by its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.criteria import NESTING_MAX, OPERATORS, Lists, parse
from territory.criteria.values import FIELD_TYPES, FieldType

from ..examples import FIELDS, Document, json_values, texts
from .examples import TABLES, faults_in, parsed, trees


@given(st.sampled_from(sorted(OPERATORS)), st.sampled_from(FIELD_TYPES), json_values)
def test_an_operand_fits_or_is_refused(word: str, kind: FieldType, operand: Any) -> None:
    """Any operator with any operand on any field is parsed, or is a fault with its path (C5)."""
    criterion, faults = parse({"field": kind, word: operand}, FIELDS, "rule", Lists(TABLES))  # type: ignore[arg-type]
    assert (criterion is None) is bool(faults)
    assert all(fault.path.startswith(f"rule.{word}") for fault in faults)
    if kind not in OPERATORS[word].types:
        assert "does not fit" in faults[0].message
    if criterion is not None and not criterion.is_relative:
        assert criterion.holds({}) is OPERATORS[word].negated


@given(json_values)
def test_anything_else_is_refused(document: Any) -> None:
    """Any JSON value in place of criteria is refused with a fault; no other error escapes (C5)."""
    criterion, faults = parse(document, FIELDS, "rule")  # type: ignore[arg-type]  # the values are field types
    assert criterion is None
    assert faults


@given(trees, texts)
def test_an_unknown_field_is_refused_wherever_it_is(document: Document, name: str) -> None:
    """A rule with an undeclared field is refused, and the fault lists the declared ones (C5)."""
    _, faults = parse({"all": [document, {"not": {"field": f"?{name}", "eq": 1}}]}, FIELDS, "rule", Lists(TABLES))  # type: ignore[arg-type]
    assert [fault.path for fault in faults] == ["rule.all[1].not.field"]
    assert "boolean, date, datetime" in faults[0].message


def test_all_faults_at_once() -> None:
    """Every fault of a rule is reported by its path with what was found and what was expected (C5)."""
    faults = faults_in(
        {
            "all": [
                {"any": []},
                {"any": {"field": "text", "eq": "x"}},
                {"not": [{"field": "text", "eq": "x"}]},
                {"field": "text", "lt": "x"},
                {"field": "set", "eq": ["a"]},
                {"field": "number", "eq": "many"},
                {"field": "number", "eq": True},
                {"field": "text", "eq": None},
                {"field": "number", "in": []},
                {"field": "number", "in": 5},
                {"field": "number", "in": [1, "two", 3]},
                {"field": "number", "between": [1]},
                {"field": "number", "between": [9, 5]},
                {"field": "text", "is_empty": False},
                {"field": "text", "is_empty": "yes"},
                {"field": "text", "like": "x%"},
                {"field": "text", "eq": "x", "ne": "y"},
                {"field": "text"},
                {"field": ["text"], "eq": "x"},
                {"all": [{"field": "text", "eq": "x"}], "any": []},
                {},
                None,
                "text = x",
                {"field": "date", "ge": "2017-02-29"},
                {"field": "no", "such": 1},
            ]
        }
    )
    expected = {
        "all[0].any": "at least one",
        "all[1].any": "expected a list",
        "all[2].not": "found list",
        "all[3].lt": "does not fit field 'text' of type text; use eq, ne, in",
        "all[4].eq": "use includes_any, includes_all, excludes_any, excludes_all, is_empty, is_not_empty",
        "all[5].eq": "found text 'many', expected a number",
        "all[6].eq": "found true, expected a number",
        "all[7].eq": "found nothing, expected a text",
        "all[8].in": "expected a list of number values",
        "all[9].in": "expected a list of number values",
        "all[10].in": "found text 'two' in the list",
        "all[11].between": "found 1 values, expected two bounds",
        "all[12].between": "the low bound 9 is above the high bound 5",
        "all[13].is_empty": "expected true",
        "all[14].is_empty": "expected true",
        "all[15]": "found operator like, expected exactly one of eq, ne",
        "all[16]": "found operator eq, ne, expected exactly one",
        "all[17]": "found operator none",
        "all[18].field": "unknown field ['text']",
        "all[19]": "found all, any, expected exactly one of",
        "all[20]": "found nothing",
        "all[21]": "found nothing, expected a mapping",
        "all[22]": "found text 'text = x', expected a mapping",
        "all[23].ge": "expected a date",
        "all[24].field": "unknown field 'no'",
        "all[24]": "found operator such",
    }
    assert faults.keys() == {f"rule.{path}" for path in expected}
    for path, words in expected.items():
        assert words in faults[f"rule.{path}"]


@pytest.mark.parametrize(
    ("leaf", "path", "words"),
    [
        ({"field": "set", "includes_any": "a"}, "", "found text 'a', expected a list of text values"),
        ({"field": "set", "includes_all": []}, "", "expected a list of text values"),
        ({"field": "set", "excludes_any": ["a", 1]}, "", "found number '1' in the list, expected text values"),
        ({"field": "set", "excludes_all": ["a", " "]}, "", "found text ' ' in the list"),
        ({"field": "text", "includes_any": ["a"]}, "", "does not fit field 'text' of type text"),
        ({"field": "text", "postal_between": ["94100"]}, "", "found 1 values, expected two bounds"),
        ({"field": "text", "postal_between": [94100, 94199]}, "", "found number '94100' in the list, expected text"),
        ({"field": "text", "postal_between": ["9410", "94199"]}, "", "found bounds of 4 and 5 characters"),
        ({"field": "text", "postal_between": ["94199", "94100"]}, "", "the low bound 94199 is above"),
        ({"field": "number", "postal_between": ["1", "2"]}, "", "does not fit"),
        ({"field": "text", "in_table": "cors"}, "", "unknown table 'cors'; add it or correct the name (there are"),
        ({"field": "text", "starts_with": []}, "", "found list '[]', expected a list of text values"),
        ({"field": "text", "starts_with": ["a", 5]}, "", "found number '5' in the list, expected text values"),
        ({"field": "text", "in_table": ["core"]}, "", "found list \"['core']\", expected the name of a table"),
        ({"field": "number", "in_table": "core"}, "", "does not fit"),
        ({"field": "date", "within_last_days": -1}, "", "found number '-1', expected a whole number of days from 0"),
        ({"field": "date", "within_next_days": 36_526}, "", "to 36525"),
        ({"field": "date", "older_than_days": 30.5}, "", "found number '30.5'"),
        ({"field": "date", "within_last_days": "30"}, "", "found text '30'"),
        ({"field": "date", "within_last_days": True}, "", "found true"),
        ({"field": "text", "within_last_days": 30}, "", "does not fit"),
        ({"field": "date", "in_period": "next_month"}, "", "expected one of this_month, this_quarter, this_year, prev"),
        ({"field": "datetime", "in_period": ["this_month"]}, "", "found list"),
        ({"field": "geo", "within_km": 5}, "", "found number '5', expected {lat, lon, km}"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2}}, "", "expected {lat, lon, km}"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2, "km": 3, "mi": 2}}, "", "expected {lat, lon, km}"),
        ({"field": "geo", "within_km": {"lat": 90.1, "lon": 2, "km": 3}}, ".lat", "from -90 to 90"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": -181, "km": 3}}, ".lon", "from -180 to 180"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": "x", "km": 3}}, ".lon", "found text 'x'"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2, "km": 0}}, ".km", "above 0"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2, "km": -3}}, ".km", "above 0"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2, "km": 20_005}}, ".km", "at most 20004"),
        ({"field": "geo", "within_km": {"lat": 1, "lon": 2, "km": "far"}}, ".km", "found text 'far'"),
        ({"field": "geo", "eq": {"lat": 1, "lon": 2}}, "", "use within_km, in_polygon, is_empty, is_not_empty"),
        ({"field": "money", "within_km": {"lat": 1, "lon": 2, "km": 3}}, "", "does not fit"),
    ],
)
def test_operands_that_do_not_fit(leaf: Document, path: str, words: str) -> None:
    """A wrong operand is refused with its path, what was found and what was expected (C5)."""
    ((found, message),) = faults_in(leaf).items()
    word = next(word for word in leaf if word != "field")
    assert found == f"rule.{word}{path}"
    assert words in message


@pytest.mark.parametrize("word", ["all", "any", "not"])
def test_nesting_has_a_bound(word: str) -> None:
    """Criteria nested deeper than the limit are refused (C5)."""
    document: Document = {"field": "text", "eq": "x"}
    for _ in range(NESTING_MAX - 1):
        document = {word: document if word == "not" else [document]}
    assert parsed(document)
    ((path, message),) = faults_in({"not": document}).items()
    assert path.startswith("rule.not.")
    assert f"deeper than {NESTING_MAX}" in message
