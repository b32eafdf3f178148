"""The rule language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.criteria import NESTING_MAX, OPERATORS, Criterion, Fields, Leaf, Lists, parse
from territory.values import FIELD_TYPES, FieldType, read_fields, read_value
from tests.support.oracle import criteria_holds

from .examples import FIELDS, Document, days, instants, json_values, long_decimals, scalars, texts

NEGATIONS = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_starts_with": "starts_with",
    "not_between": "between",
    "is_empty": "is_not_empty",
}
NUMBERS = (9, "80000", 0.1, "0.10", -0.0, "1e3", "12345678901234567890.123456789012")
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["US", " us ", "ＵＳ", "USA", "Straße", "STRASSE", "9", "80000"]) | texts.map("x".__add__),
    "number": st.sampled_from(NUMBERS) | st.integers(-20, 20) | long_decimals.map(str),
    "money": st.sampled_from(NUMBERS) | st.floats(-1e6, 1e6).map(lambda number: round(number, 6)),
    "date": st.sampled_from(["2016-02-29", "2017-03-01", "2017-03-01T01:30:00+02:00"]) | days,
    "datetime": st.sampled_from(["2016-02-29", "2017-03-01T00:00:00Z", "2017-03-01T01:30:00+02:00"]) | instants,
    "boolean": st.booleans(),
}
"""What fields and operands of a type may be, for the types that have operands."""


def bounds(kind: FieldType) -> st.SearchStrategy[list[Any]]:
    """Return two operands, the lower first."""
    return st.lists(VALUES[kind], min_size=2, max_size=2).map(
        lambda pair: sorted(pair, key=lambda raw: read_value(kind, raw))  # type: ignore[arg-type, return-value]
    )


@st.composite
def leaves(draw: st.DrawFn, words: Iterable[str] = OPERATORS) -> Document:
    """Return a leaf with one of the operators, on a field of any type that it fits."""
    word = draw(st.sampled_from(sorted(words)))
    operator = OPERATORS[word]
    kind = draw(st.sampled_from(operator.types))
    if operator.shape == "flag":
        return {"field": kind, word: True}
    one = VALUES[kind]
    operand = {"one": one, "many": st.lists(one, min_size=1, max_size=4), "pair": bounds(kind)}[operator.shape]
    return {"field": kind, word: draw(operand)}


def _grown(inner: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        parts.map(lambda items: {"all": items}),
        parts.map(lambda items: {"any": items}),
        inner.map(lambda item: {"not": item}),
    )


trees: st.SearchStrategy[Document] = st.recursive(leaves(), _grown, max_leaves=6)


odd_values = scalars | st.lists(texts, max_size=2)
records = st.fixed_dictionaries(
    {}, optional={"set": odd_values, **{kind: odd_values | values | values for kind, values in VALUES.items()}}
)
"""The fields of a record: of the right type, of a wrong one, or missing."""


def parsed(document: Any, types: Mapping[str, str] = FIELDS) -> Criterion:
    """Return criteria that are valid."""
    criterion, faults = parse(document, types, "rule")  # type: ignore[arg-type]  # the values are field types
    assert faults == []
    assert criterion is not None
    return criterion


def holds(document: Document, fields: Mapping[str, Any], types: Mapping[str, str] = FIELDS) -> bool:
    """Return whether criteria hold for a record as it comes."""
    values, _ = read_fields(types, fields)  # type: ignore[arg-type]  # the values are field types
    return parsed(document, types).holds(values)


def faults_in(document: Any) -> dict[str, str]:
    """Return what is wrong with criteria, by path."""
    criterion, faults = parse(document, FIELDS, "rule")  # type: ignore[arg-type]  # the values are field types
    assert criterion is None
    return {fault.path: fault.message for fault in faults}


# --- meaning ----------------------------------------------------------------------------------


@given(trees, records)
def test_criteria_agree_with_the_oracle(document: Document, fields: dict[str, Any]) -> None:
    """Criteria hold exactly when their plain meaning says so, for any values (C1 to C6)."""
    assert holds(document, fields) is criteria_holds(document, fields, FIELDS)


@given(leaves(NEGATIONS), records)
def test_a_negative_operator_negates(leaf: Document, fields: dict[str, Any]) -> None:
    """Every negative operator is exactly the negation of its positive one (C2)."""
    name, (word, operand) = leaf["field"], next((word, leaf[word]) for word in leaf if word != "field")
    assert holds(leaf, fields) is not holds({"field": name, NEGATIONS[word]: operand}, fields)


@given(trees, records)
def test_the_logic_has_two_values(document: Document, fields: dict[str, Any]) -> None:
    """`not` is true where its part is false, also where fields are missing; no third value exists (C2)."""
    assert holds({"not": document}, fields) is not holds(document, fields)
    assert holds({"all": [document]}, fields) is holds({"any": [document]}, fields) is holds(document, fields)
    assert holds({"all": [document, {"not": document}]}, fields) is False
    assert holds({"any": [document, {"not": document}]}, fields) is True


@given(leaves())
def test_a_missing_field(leaf: Document) -> None:
    """A missing field satisfies `is_empty` and the negative operators, and nothing else (C2)."""
    assert holds(leaf, {}) is any(word in leaf for word in NEGATIONS)


@given(leaves(), st.sampled_from([None, "", " \t", "\u00a0"]))
def test_null_and_blank_are_missing(leaf: Document, blank: str | None) -> None:
    """Null and a blank text are missing, in a field of any type (C2, C3)."""
    assert holds(leaf, {leaf["field"]: blank}) is holds(leaf, {})


def test_every_operator_has_its_example() -> None:
    """The operators of this version are these, and the negative ones are known as such (C4)."""
    assert set(OPERATORS) == {
        *("eq", "ne", "in", "not_in"),
        *("contains", "not_contains", "starts_with", "not_starts_with", "ends_with"),
        *("lt", "le", "gt", "ge", "between", "not_between"),
        *("is_empty", "is_not_empty"),
    }
    assert {word for word, operator in OPERATORS.items() if operator.negated} == set(NEGATIONS)
    assert set(get_args(FieldType)) == set(FIELDS)


@pytest.mark.parametrize(
    ("leaf", "value", "expected"),
    [
        ({"field": "text", "ne": "Software"}, None, True),  # like the CRMs' "is not"
        ({"field": "text", "ne": "Software"}, "software ", False),
        ({"field": "text", "eq": "CAFÉ"}, "Cafe\u0301", True),
        ({"field": "text", "eq": "Café"}, "Cafe", False),
        ({"field": "text", "in": ["us", "CA"]}, " Us", True),
        ({"field": "text", "contains": "fin"}, "ﬁnance", True),
        ({"field": "text", "contains": "x p"}, "GTX Pro", True),
        ({"field": "text", "starts_with": " gtx"}, "GTX Pro", True),
        ({"field": "text", "ends_with": "PRO"}, "GTX Pro ", True),
        ({"field": "text", "starts_with": "Pro"}, "GTX Pro", False),
        ({"field": "text", "eq": "9"}, 9, False),  # a number is no text: missing
        ({"field": "text", "is_empty": True}, 9, True),
        ({"field": "text", "eq": "9"}, "9.0", False),  # as texts they differ
        ({"field": "number", "eq": "9"}, "9.0", True),
        ({"field": "number", "lt": "80000"}, "9", True),  # as texts "9" would be above
        ({"field": "number", "gt": 80000}, "9", False),
        ({"field": "number", "eq": 0.3}, "0.30", True),
        ({"field": "number", "eq": 12345678901234567}, "12345678901234567.0", True),
        ({"field": "number", "eq": "0.1"}, 0.1, True),
        ({"field": "number", "eq": 0}, "-0", True),
        ({"field": "number", "eq": 1}, True, False),  # a boolean is no number
        ({"field": "number", "ne": 1}, True, True),
        ({"field": "number", "le": 5}, "NaN", False),
        ({"field": "number", "gt": 5}, "1e400", False),  # beyond the bounds: missing, not large
        ({"field": "number", "ge": 5}, None, False),
        ({"field": "number", "lt": 5}, None, False),  # neither below nor above
        ({"field": "number", "between": [5, 9]}, 5, True),
        ({"field": "number", "between": [5, 9]}, "9.000", True),
        ({"field": "number", "between": [5, 9]}, "9.001", False),
        ({"field": "number", "not_between": [5, 9]}, "x", True),
        ({"field": "boolean", "eq": True}, "true", False),
        ({"field": "boolean", "ne": True}, "true", True),
        ({"field": "boolean", "eq": False}, 0, False),
        ({"field": "date", "eq": "2016-02-29"}, "2016-02-29", True),
        ({"field": "date", "is_empty": True}, "2017-02-29", True),  # no such day
        ({"field": "date", "eq": "2017-02-28"}, "2017-03-01T01:30:00+02:00", True),  # in UTC
        ({"field": "datetime", "lt": "2017-03-01"}, "2017-03-01T01:30:00+02:00", True),
        ({"field": "set", "is_not_empty": True}, ["a"], True),
        ({"field": "set", "is_empty": True}, [""], True),
        ({"field": "geo", "is_not_empty": True}, {"lat": 52.5, "lon": 13.4}, True),
        ({"field": "geo", "is_empty": True}, {"lat": 95, "lon": 13.4}, True),
    ],
)
def test_what_people_argue_about(leaf: Document, value: object, expected: bool) -> None:
    """Null under a negative operator, case, accents, text against number, dates in UTC (C2 to C6)."""
    assert holds(leaf, {leaf["field"]: value}) is expected


def test_a_field_may_be_named_like_a_word_of_the_language() -> None:
    """A leaf is told by its `field`: a field named `all`, `not` or `eq` is a field like others (C1)."""
    types: dict[str, str] = dict.fromkeys(["all", "not", "eq", "field", "fünf Wörter"], "text")
    for name in types:
        assert holds({"field": name, "eq": "x"}, {name: "X"}, types)


def test_a_list_of_fifty_thousand() -> None:
    """An `in` list may have 50 000 values (C4)."""
    wanted = [f"{number:018d}" for number in range(50_000)]
    assert holds({"field": "text", "in": wanted}, {"text": " 000000000000049999"})
    assert not holds({"field": "text", "in": wanted}, {"text": "50000"})
    assert "… 49995 more]" in str(parsed({"field": "text", "in": wanted}))


@pytest.mark.parametrize(
    ("leaf", "wanted"),
    [
        ({"field": "text", "eq": " STRASSE"}, "strasse"),
        ({"field": "text", "not_contains": "Straße"}, "strasse"),
        ({"field": "text", "starts_with": "Ａ"}, "a"),
        ({"field": "text", "in": ["US", " us", "CA"]}, frozenset({"us", "ca"})),
        ({"field": "number", "not_in": ["1e3", 0.5]}, frozenset({1000, Decimal("0.5")})),
        ({"field": "date", "between": ["2017-01-01", "2017-02-28"]}, (date(2017, 1, 1), date(2017, 2, 28))),
        ({"field": "boolean", "eq": True}, True),
        ({"field": "set", "is_empty": True}, True),
    ],
)
def test_what_a_leaf_wants(leaf: Document, wanted: object) -> None:
    """A leaf says what it compares with as a typed value in the form in which values compare (C3, C4)."""
    criterion = parsed(leaf)
    assert isinstance(criterion, Leaf)
    assert criterion.wanted == wanted
    assert type(criterion.wanted) is type(wanted)
    assert criterion.operand == next(leaf[word] for word in leaf if word != "field")


def test_equal_lists_of_a_model_are_one() -> None:
    """Leaves that name the same values share one set; lists of another type are another."""
    lists = Lists()
    leaves = [
        parse({"field": kind, word: wanted}, FIELDS, "rule", lists)[0]  # type: ignore[arg-type]
        for kind, word, wanted in (
            ("text", "in", ["US", "CA"]),
            ("text", "not_in", [" ca", "us", "US"]),
            ("boolean", "in", [True]),
            ("number", "in", [1]),
        )
    ]
    first, second, yes, one = (leaf.wanted for leaf in leaves if isinstance(leaf, Leaf))
    assert first is second
    assert yes is not one


# --- why --------------------------------------------------------------------------------------


def _leaves_of(criterion: Criterion) -> list[Leaf]:
    if isinstance(criterion, Leaf):
        return [criterion]
    parts = criterion.parts if hasattr(criterion, "parts") else (criterion.part,)
    return [leaf for part in parts for leaf in _leaves_of(part)]


@given(trees, records)
def test_criteria_say_why(document: Document, fields: dict[str, Any]) -> None:
    """What holds names leaves that held; what does not names one leaf that failed, and its value (A10)."""
    criterion, (values, _) = parsed(document), read_fields(FIELDS, fields)  # type: ignore[arg-type]
    if criterion.holds(values):
        lines = criterion.held(values)
        assert lines
        for leaf in _leaves_of(criterion):
            if str(leaf) in lines:
                assert leaf.holds(values)
    else:
        failure = criterion.failure(values)
        culprits = [leaf for leaf in _leaves_of(criterion) if failure.leaf in (str(leaf), f"not {leaf}")]
        assert culprits
        for leaf in culprits:
            assert leaf.holds(values) is (failure.leaf == f"not {leaf}")
            assert failure.value == values.get(leaf.field)


def test_why_in_words() -> None:
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


def test_denied_twice() -> None:
    """The leaf that a double negation fails by is named with the record's value, not as missing (A10)."""
    rule = parsed({"not": {"not": {"field": "text", "eq": "US"}}})
    assert str(rule.failure({"text": "de"})) == "text eq US: the record's value is de"


# --- faults -----------------------------------------------------------------------------------


@given(st.sampled_from(sorted(OPERATORS)), st.sampled_from(FIELD_TYPES), json_values)
def test_an_operand_fits_or_is_refused(word: str, kind: FieldType, operand: Any) -> None:
    """Any operator on any field with any operand is either criteria or a fault with its path (C5)."""
    criterion, faults = parse({"field": kind, word: operand}, FIELDS, "rule")  # type: ignore[arg-type]
    assert (criterion is None) is bool(faults)
    assert all(fault.path == f"rule.{word}" for fault in faults)
    if kind not in OPERATORS[word].types:
        assert "does not fit" in faults[0].message
    if criterion is not None:
        assert criterion.holds({}) is OPERATORS[word].negated


@given(json_values)
def test_anything_else_is_refused(document: Any) -> None:
    """Whatever stands where criteria should is refused with a fault, never with another error (C5)."""
    criterion, faults = parse(document, FIELDS, "rule")  # type: ignore[arg-type]  # the values are field types
    assert criterion is None
    assert faults


@given(trees, texts)
def test_an_unknown_field_is_refused_wherever_it_is(document: Document, name: str) -> None:
    """A rule that names a field that is not declared is refused, with the fields that are (C5)."""
    _, faults = parse({"all": [document, {"not": {"field": f"?{name}", "eq": 1}}]}, FIELDS, "rule")  # type: ignore[arg-type]
    assert [fault.path for fault in faults] == ["rule.all[1].not.field"]
    assert "boolean, date, datetime" in faults[0].message


def test_all_faults_at_once() -> None:
    """Every fault of a rule is told, by its path, with what was found and what was expected (C5)."""
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
        "all[4].eq": "use is_empty, is_not_empty",
        "all[5].eq": "found str 'many', expected a number",
        "all[6].eq": "found bool 'True', expected a number",
        "all[7].eq": "found nothing, expected a text",
        "all[8].in": "expected a list of number values",
        "all[9].in": "expected a list of number values",
        "all[10].in": "found str 'two' in the list",
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
        "all[22]": "found str 'text = x', expected a mapping",
        "all[23].ge": "expected a date",
        "all[24].field": "unknown field 'no'",
        "all[24]": "found operator such",
    }
    assert faults.keys() == {f"rule.{path}" for path in expected}
    for path, words in expected.items():
        assert words in faults[f"rule.{path}"]


@pytest.mark.parametrize("word", ["all", "any", "not"])
def test_nesting_has_a_bound(word: str) -> None:
    """Criteria nested deeper than the bound are refused; up to it they are as good as others (C5)."""
    document: Document = {"field": "text", "eq": "x"}
    for _ in range(NESTING_MAX - 1):
        document = {word: document if word == "not" else [document]}
    assert parsed(document)
    ((path, message),) = faults_in({"not": document}).items()
    assert path.startswith("rule.not.")
    assert f"deeper than {NESTING_MAX}" in message
