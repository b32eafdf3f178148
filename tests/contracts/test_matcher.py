"""What every matching engine promises: the same territories as the plain one, for any rules and any record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assigner.core.matching.engines import ENGINE_NAMES, EngineName, matcher_of
from assigner.core.matching.plain import PlainMatcher
from assigner.core.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import Criterion, parse
from territory.values import FieldType, read_fields

TYPES: dict[str, FieldType] = {
    "country": "text", "city": "text", "revenue": "number", "founded": "date", "is_partner": "boolean", "tags": "set",
}  # fmt: skip
TEXTS = ("US", "us ", "CA", "Zürich", "zurich", "ZÜRICH", "94105", "9410", "9", "80000", "ﬁ", "x")
NUMBERS = (-5, 0, 1, 9, 80_000, 1.5, "1.5", "9", "1e400", 10**29, -(10**29), 0.1, "0.1")
DAYS = ("2016-02-29", "2017-01-01", "2016-12-31", "2017-03-31", "2017-04-01")
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(TEXTS),
    "number": st.sampled_from([number for number in NUMBERS if number != "1e400"]),
    "date": st.sampled_from(DAYS),
    "boolean": st.booleans(),
}


def pairs(kind: FieldType) -> st.SearchStrategy[list[Any]]:
    """Give two bounds in order."""
    number = {"number": float, "date": str}[kind]
    return st.lists(VALUES[kind], min_size=2, max_size=2).map(lambda bounds: sorted(bounds, key=number))


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    """Give a leaf with any operator that fits its field."""
    name = draw(st.sampled_from(sorted(TYPES)))
    kind = TYPES[name]
    word = draw(st.sampled_from(OPERATORS_OF[kind]))
    if word in ("is_empty", "is_not_empty"):
        return {"field": name, word: True}
    if word in ("in", "not_in"):
        return {"field": name, word: draw(st.lists(VALUES[kind], min_size=1, max_size=4))}
    if word in ("between", "not_between"):
        return {"field": name, word: draw(pairs(kind))}
    return {"field": name, word: draw(VALUES[kind])}


_EQUALITY = ("eq", "ne", "in", "not_in", "is_empty", "is_not_empty")
_ORDER = ("lt", "le", "gt", "ge", "between", "not_between")
OPERATORS_OF: dict[FieldType, tuple[str, ...]] = {
    "text": (*_EQUALITY, "contains", "not_contains", "starts_with", "not_starts_with", "ends_with"),
    "number": (*_EQUALITY, *_ORDER),
    "date": (*_EQUALITY, *_ORDER),
    "boolean": _EQUALITY,
    "set": ("is_empty", "is_not_empty"),
}

documents = st.recursive(
    leaves(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=8,
)


def criterion_of(document: Any) -> Criterion:
    """Return the parsed rule of a document that is right."""
    criterion, faults = parse(document, TYPES, "rule")
    assert criterion is not None, faults
    return criterion


@st.composite
def books(draw: st.DrawFn) -> RuleBook:
    """Give rules in a tree of any shape."""
    criteria = draw(st.lists(documents.map(criterion_of), max_size=12))
    rules = [
        Rule(f"t{place}", criterion, draw(st.integers(NO_PARENT, place - 1)) if place else NO_PARENT)
        for place, criterion in enumerate(criteria)
    ]
    return RuleBook(tuple(rules))


records = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from([*TEXTS, "", " ", 7, None]),
        "city": st.sampled_from([*TEXTS, "Springfield"]),
        "revenue": st.sampled_from([*NUMBERS, "much", float("nan"), True]),
        "founded": st.sampled_from([*DAYS, "2017-02-29", "soon", "2016-12-31T23:59:59Z"]),
        "is_partner": st.sampled_from([True, False, "true", 1]),
        "tags": st.sampled_from([[], ["a"], ["a", "B "], "a"]),
    },
)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@settings(max_examples=300)
@given(book=books(), raw=st.lists(records, min_size=1, max_size=6))
def test_engine_agrees_with_the_plain_one(engine: EngineName, book: RuleBook, raw: list[dict[str, Any]]) -> None:
    """Every engine finds what the plain one finds, in the order of the book (C1 to C6, A1, A2)."""
    matcher, plain = matcher_of(engine, book), PlainMatcher(book)
    for fields in raw:
        values, _ = read_fields(TYPES, fields)
        assert matcher.matching(values) == plain.matching(values)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_many_siblings(engine: EngineName) -> None:
    """So many that they are indexed in several blocks; rules that cannot hold, hold always, or need many clauses."""
    never = {"all": [{"field": "revenue", "lt": 5}, {"field": "revenue", "gt": 9}]}
    always = {"any": [{"field": "country", "is_empty": True}, {"field": "country", "is_not_empty": True}]}
    many = {"all": [{"any": [{"field": "revenue", "eq": 2 * n}, {"field": "revenue", "eq": n}]} for n in range(8)]}
    documents = [never, always, many, *({"field": "revenue", "eq": n} for n in range(10_000))]
    book = RuleBook(tuple(Rule(f"t{n}", criterion_of(item), NO_PARENT) for n, item in enumerate(documents)))
    matcher, plain = matcher_of(engine, book), PlainMatcher(book)
    for revenue in (0, 4095, 9_999, 10_000, None):
        values, _ = read_fields(TYPES, {"revenue": revenue})
        assert matcher.matching(values) == plain.matching(values)
    assert matcher.matching({"revenue": 9_999}) == ["t1", "t10002"]


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_deep_tree(engine: EngineName) -> None:
    """A chain of a thousand territories is walked to its end (A2)."""
    rule = criterion_of({"field": "revenue", "ge": 1})
    book = RuleBook(tuple(Rule(f"t{n}", rule, n - 1) for n in range(1_500)))
    assert matcher_of(engine, book).matching({"revenue": 1}) == ["t1499"]
    assert matcher_of(engine, book).matching({"revenue": 0}) == []
