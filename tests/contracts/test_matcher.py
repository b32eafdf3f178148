"""The contract of matching engines: for any rules and record, the same territories as the plain engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assigner.matching.clauses import FILTERED_VALUES_MAX
from assigner.matching.columns import LONG_LIST, LONG_LISTS_MAX
from assigner.matching.engines import ENGINE_NAMES, EngineName, matcher_of
from assigner.matching.plain import PlainMatcher
from assigner.matching.port import RulesRefused
from assigner.matching.rule_book import Rule, RuleBook
from territory.criteria import OPERATORS
from tests.contracts.carried import carried, engines, needs_durable, others
from tests.contracts.rules import (
    TYPES,
    Document,
    book,
    criterion_of,
    dice_of,
    document,
    flat,
    leaf,
    operators_of,
    raw_values,
    record,
    typed,
    wide_document,
)

NOT_CARRIED = {
    "contains", "not_contains", "ends_with", "includes_any", "includes_all", "excludes_any", "excludes_all",
    "within_km", "in_polygon",
}  # fmt: skip
"""Operators that durable_rules cannot express."""


def check(engine: EngineName, book: RuleBook, raw: list[dict[str, Any]]) -> None:
    """Assert that an engine finds the same territories as the plain one."""
    matcher, plain = matcher_of(engine, book), PlainMatcher(book)
    for fields in raw:
        values = typed(fields)
        assert matcher.matching(values) == plain.matching(values)


# --- properties ------------------------------------------------------------------------------


@others
def test_engine_agrees_with_the_plain_one(engine: EngineName) -> None:
    """Every engine finds the same territories as the plain one, in the order of the book (C1 to C7, A1, A2)."""
    rules = kept = found = 0

    @given(seed=st.integers(0, 2**64))
    @settings(max_examples=3 * settings().max_examples)
    def agrees(seed: int) -> None:
        nonlocal rules, kept, found
        dice = dice_of(seed)
        whole = book(dice)
        matcher, part = carried(engine, whole)
        plain = PlainMatcher(part)
        for _ in range(20):
            values = typed(record(dice))
            answer = matcher.matching(values)
            assert answer == plain.matching(values), (part, values)
            found += len(answer)
        rules += len(whole.rules)
        kept += len(part.rules)

    agrees()
    assert found > rules  # otherwise the records hardly ever match, and prove nothing
    assert kept > rules / 3


@others
@pytest.mark.parametrize("field", TYPES)
def test_every_operator_of_a_field(engine: EngineName, field: str) -> None:
    """Every operator agrees, negated or not, alone and beside all others, for every value (C2, C4)."""
    dice = dice_of(field)
    single = [leaf(field, word, dice) for word in operators_of(field) for _ in range(4)]
    single += [{"not": one} for one in single]
    pairs = [{word: [dice.choice(single), one]} for word in ("all", "any") for one in single * 2]
    triples = [{"all": [dice.choice(single), dice.choice(single), one]} for one in single * 2]
    several, part = carried(engine, flat(*single, *pairs, *triples))
    plain = PlainMatcher(part)
    for values in ({}, *(typed({field: raw}) for raw in raw_values(field))):
        assert several.matching(values) == plain.matching(values), values


@others
def test_rules_of_many_clauses(engine: EngineName) -> None:
    """Rules with many clauses agree, of which an engine may look up a part only (C1)."""
    dice = dice_of("wide")
    for _ in range(60 if engine == "index" else 15):
        fields = dice.sample(sorted(TYPES), 2)
        rules = [wide_document(fields, dice), document(fields, dice), wide_document(fields, dice)]
        matcher, part = carried(engine, flat(*rules, {"all": rules[:2]}, {"any": rules[1:]}))
        plain = PlainMatcher(part)
        for _ in range(15):
            values = typed({field: dice.choice(raw_values(field)) for field in fields})
            assert matcher.matching(values) == plain.matching(values), (rules, values)


def test_all_operators_are_tried() -> None:
    """The suite has a field for every operator."""
    assert {word for field in TYPES for word in operators_of(field)} == set(OPERATORS)


@needs_durable
@pytest.mark.parametrize("word", OPERATORS)
def test_operators_that_durable_rules_supports(word: str) -> None:
    """It refuses the operators that it cannot express, negated or not, and no others."""
    dice = dice_of(word)
    field = next(field for field in TYPES if word in operators_of(field))
    for _ in range(20):
        one = leaf(field, word, dice)
        book = flat(one, {"not": one})
        if word not in NOT_CARRIED:
            matcher_of("durable", book)
            continue
        with pytest.raises(RulesRefused) as refused:
            matcher_of("durable", book)
        assert [territory_id for territory_id, _ in refused.value.refused] == ["t0", "t1"]
        assert f"{field} {word} has no equal in durable_rules" in str(refused.value)


# --- cases that people argue about -------------------------------------------------------------

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
EASTERN = {"type": "Polygon", "coordinates": [[[170, 0], [180, 0], [180, 10], [170, 10], [170, 0]]]}


@engines
@pytest.mark.parametrize(
    ("field", "word", "operand", "raw", "holds"),
    [
        # A missing value satisfies the negative operators and is_empty only (C2).
        ("country", "ne", "US", None, True),
        ("country", "not_in", ["US"], None, True),
        ("country", "not_starts_with", "U", None, True),
        ("country", "eq", "US", None, False),
        ("revenue", "not_between", [1, 9], None, True),
        ("revenue", "lt", 5, None, False),
        ("tags", "excludes_all", ["a"], None, True),
        ("country", "is_empty", True, " ", True),
        # Case, blanks and compatibility forms are no difference, accents are (C3).
        ("country", "eq", "us", " US", True),
        ("country", "eq", "strasse", "STRAßE", True),
        ("country", "eq", "ﬁn", "FIN", True),
        ("country", "eq", "Zu\u0308rich", "ZÜRICH", True),
        ("country", "eq", "Zürich", "zurich", False),
        ("country", "starts_with", "zu", "Zürich", False),
        ("country", "starts_with", ["u", "de"], "US", True),
        ("country", "starts_with", ["us", "d", "de"], "DE", True),
        ("country", "starts_with", ["us", "d", "de"], "U", False),
        ("country", "starts_with", ["us", "d", "de"], None, False),
        ("country", "not_starts_with", ["us", "d", "de"], "DK", False),
        ("country", "not_starts_with", ["us", "d", "de"], "ES", True),
        ("country", "not_starts_with", ["us", "d", "de"], "UK", True),
        ("country", "not_starts_with", ["us", "d", "de"], None, True),
        # Postal codes are texts, compared with those of their length only (C4).
        ("zip", "postal_between", ["80000", "94105"], "9", False),
        ("zip", "postal_between", ["80000", "94105"], "90001", True),
        ("zip", "postal_between", ["80000", "94105"], "80000", True),
        ("zip", "postal_between", ["80000", "94105"], "94105", True),
        ("zip", "postal_between", ["80000", "94105"], "900012", False),
        ("zip", "eq", "094105", "94105", False),
        ("zip", "in_table", "zips", "ab 1", True),
        ("zip", "in_table", "none", "9", False),
        # Codes compare without blanks, and by their first part where a hyphen or a blank follows it (C10).
        ("zip", "postal_between", ["80000", "94105"], "94105-1234", True),
        ("zip", "postal_between", ["80000", "94105"], "94105x1234", False),
        ("zip", "postal_between", ["1012 AA", "1012AZ"], "1012ab", True),
        ("zip", "postal_between", ["1000", "1099"], "1012 AB", True),
        ("zip", "postal_between", ["1000", "1099"], "1012AB", False),
        ("zip", "postal_between", ["1000", "1099"], None, False),
        ("zip", "in_table", "zips", "94105-1234", True),
        ("zip", "in_table", "zips", "94105 12", True),
        ("zip", "in_table", "zips", "94106-1234", False),
        ("zip", "in_table", "zips", "ab1", True),
        ("zip", "in_table", "none", "94105-1234", False),
        ("zip", "starts_with", "1012A", "1012 AB", True),
        ("zip", "starts_with", "1012 a", "1012ab", True),
        ("zip", "starts_with", ["8", "1012 a"], "1012 avenue 5", True),
        ("zip", "starts_with", "1012a", "1012 avenue", False),
        ("zip", "not_starts_with", ["8", "1012 a"], "1012ab", False),
        # Numbers are exact, and what is none of bounded size is unreadable (C6).
        ("revenue", "ge", 0, "1e400", None),
        ("revenue", "ne", 0, float("nan"), None),
        ("revenue", "lt", 0, float("-inf"), None),
        ("revenue", "eq", "0.1", 0.1, True),
        ("revenue", "eq", 1, "1.000", True),
        ("price", "gt", 0.1, "0.100000000001", True),
        ("price", "eq", 0.1, "0.100000000001", False),
        ("price", "lt", 0.5, "0.499999999999", True),
        ("price", "le", 9007199254740992, "9007199254740993", False),
        ("price", "between", [0.1, 0.3], "0.3", True),
        ("revenue", "eq", 1, True, None),
        # An unreadable value makes a comparison unknown, whatever the operator; it is there, though (C2).
        ("revenue", "not_in", [1, 2], "1,5", None),
        ("revenue", "not_between", [1, 2], "1,5", None),
        ("revenue", "is_empty", True, "1,5", False),
        ("revenue", "is_not_empty", True, "1,5", True),
        ("is_partner", "ne", True, "on", None),
        ("is_partner", "ne", True, "TRUE", False),
        ("is_partner", "ne", True, "N", True),
        ("country", "not_starts_with", "U", ["DE"], None),
        ("country", "not_contains", "U", True, None),
        ("country", "in_table", "countries", 1.5, None),
        ("country", "eq", "7", 7, True),
        ("zip", "postal_between", ["80000", "94105"], 94105.0, None),
        ("zip", "postal_between", ["80000", "94105"], 94105, True),
        ("tags", "excludes_any", ["a"], {"a": True}, None),
        ("tags", "excludes_any", ["a"], "b;A", False),
        ("spot", "in_polygon", SQUARE, [5, 5], None),
        ("founded", "older_than_days", 0, "28.02.2016", None),
        ("signed", "ge", "2016-01-01", "2016-02-28T10:00:00", None),
        # A datetime beside a day is its day, here in Berlin (C8).
        ("signed", "ge", "2016-01-01", "2016-02-28T10:00:00.000+0000", True),
        ("signed", "eq", "2016-02-29", "2016-02-28T23:00:00Z", True),
        ("signed", "eq", "2016-02-29", "2016-02-29T23:00:00Z", False),
        ("signed", "ne", "2016-02-29", None, True),
        ("signed", "in", ["2016-02-29", "2016-03-05", "2016-03-07T00:00:00Z"], "2016-03-05T22:59:59Z", True),
        ("signed", "not_in", ["2016-02-29", "2016-03-05", "2016-03-07T00:00:00Z"], "2016-03-02T22:59:59Z", True),
        ("signed", "not_in", ["2016-02-29", "2016-03-05"], None, True),
        ("signed", "not_in", ["2016-02-29", "2016-03-05"], 14567, None),
        ("signed", "lt", "2016-02-29", "2016-02-28T22:59:59Z", True),
        ("signed", "le", "2016-02-29", 1456786799999, True),
        ("signed", "gt", "2016-02-29", 1456786799999, False),
        ("founded", "eq", "2016-03-01", "2016-02-29T23:30:00Z", True),
        # Days: today is 2016-02-29, the fiscal year starts in April, the clocks are Berlin's (C4, C7).
        ("founded", "eq", "2016-02-29", "2016-02-29", True),
        ("founded", "is_empty", True, "2015-02-29", False),
        ("founded", "within_last_days", 366, "2015-02-28", True),
        ("founded", "within_last_days", 365, "2015-02-28", False),
        ("founded", "within_last_days", 0, "2016-02-29", True),
        ("founded", "within_last_days", 7, "2016-03-01", False),
        ("founded", "older_than_days", 0, "2016-02-28", True),
        ("founded", "older_than_days", 0, "2016-02-29", False),
        ("founded", "older_than_days", 36525, "0001-01-01", True),
        ("founded", "in_period", "this_year", "2015-04-01", True),
        ("founded", "in_period", "this_year", "2015-03-31", False),
        ("founded", "in_period", "this_quarter", "2016-01-01", True),
        ("founded", "in_period", "this_quarter", "2016-03-31", True),
        ("founded", "in_period", "this_quarter", "2016-04-01", False),
        ("founded", "in_period", "previous_quarter", "2015-12-31", True),
        ("founded", "in_period", "this_month", "2016-02-29", True),
        ("signed", "within_last_days", 0, "2016-02-28T23:00:00Z", True),
        ("signed", "within_last_days", 0, "2016-02-28T22:59:59.999999Z", False),
        ("signed", "in_period", "this_month", "2016-02-29T22:59:59.999999Z", True),
        ("signed", "in_period", "this_month", "2016-02-29T23:00:00Z", False),
        # Sets.
        ("tags", "includes_all", ["a", "b"], ["B ", "A", "c"], True),
        ("tags", "includes_all", ["a", "b"], ["b"], False),
        ("tags", "excludes_all", ["a", "b"], ["b"], True),
        ("tags", "excludes_any", ["a", "b"], ["b"], False),
        ("tags", "includes_any", ["a"], "a", True),
        # Places: edges and corners are in; a place on the date line is on both sides of it.
        ("spot", "in_polygon", SQUARE, {"lat": 10, "lon": 5}, True),
        ("spot", "in_polygon", SQUARE, {"lat": 0, "lon": 0}, True),
        ("spot", "in_polygon", SQUARE, {"lat": 5, "lon": "10.000000000001"}, False),
        ("spot", "in_polygon", EASTERN, {"lat": 5, "lon": -180}, True),
        ("spot", "in_polygon", EASTERN, {"lat": 5, "lon": -179.9}, False),
        ("spot", "within_km", {"lat": 0, "lon": 179.9, "km": 30}, {"lat": 0, "lon": -179.9}, True),
        ("spot", "within_km", {"lat": 0, "lon": 179.9, "km": 20}, {"lat": 0, "lon": -179.9}, False),
        ("spot", "within_km", {"lat": 90, "lon": 0, "km": 1}, {"lat": 90, "lon": 123}, True),
    ],
)
def test_argued_case(engine: EngineName, field: str, word: str, operand: Any, *, raw: Any, holds: bool | None) -> None:
    """A rule holds as expected, and its negation does not; None: the value is unreadable, neither does (C2 to C8)."""
    rule = {"field": field, word: operand}
    if engine == "durable" and word in NOT_CARRIED:
        with pytest.raises(RulesRefused):
            matcher_of(engine, flat(rule))
        return
    matcher = matcher_of(engine, flat(rule, {"not": rule}))
    assert matcher.matching(typed({field: raw})) == ([] if holds is None else ["t0" if holds else "t1"])


# --- sizes -----------------------------------------------------------------------------------


@engines
def test_many_siblings(engine: EngineName) -> None:
    """Siblings in several blocks agree; some rules never hold, always hold, or have many clauses."""
    never = {"all": [{"field": "revenue", "lt": 5}, {"field": "revenue", "gt": 9}]}
    always = {"any": [{"field": "country", "is_empty": True}, {"field": "country", "is_not_empty": True}]}
    many = {"all": [{"any": [{"field": "revenue", "eq": 2 * n}, {"field": "revenue", "eq": n}]} for n in range(8)]}
    count = 10_000 if engine != "durable" else 4_000
    book = flat(never, always, many, *({"field": "revenue", "eq": n} for n in range(count)))
    check(engine, book, [{"revenue": value} for value in (0, 4_095, count - 1, count, None)])
    assert matcher_of(engine, book).matching({"revenue": count - 1}) == ["t1", f"t{count + 2}"]


@engines
def test_rule_with_many_clauses_across_blocks(engine: EngineName) -> None:
    """A rule's clauses are in one block, so that it is found once (A2)."""
    either = {"any": [{"field": "country", "is_empty": True}, {"field": "revenue", "is_empty": True}]}
    book = flat(*[either] * 2_500)
    assert matcher_of(engine, book).matching({}) == [f"t{n}" for n in range(2_500)]
    assert matcher_of(engine, book).matching({"country": "us", "revenue": 1}) == []


@engines
def test_deep_tree(engine: EngineName) -> None:
    """The deepest of a chain of 1 500 territories is found (A2)."""
    rule = criterion_of({"field": "revenue", "ge": 1})
    book = RuleBook(tuple(Rule(f"t{n}", rule, n - 1) for n in range(1_500)))
    assert matcher_of(engine, book).matching({"revenue": 1}) == ["t1499"]
    assert matcher_of(engine, book).matching({"revenue": 0}) == []


@engines
def test_long_lists(engine: EngineName) -> None:
    """Long lists agree, few and many in one column, with and without other predicates of their field."""
    lists = [[f"{start + n:05}" for n in range(LONG_LIST)] for start in range(0, 10 * (LONG_LISTS_MAX + 4), 10)]
    for count in (1, LONG_LISTS_MAX, LONG_LISTS_MAX + 1):
        rules: list[Document] = [{"field": "zip", "in": values} for values in lists[:count]]
        rules += [
            {"field": "zip", "eq": "00005"},
            {"field": "zip", "ne": "00005"},
            {"all": [{"field": "zip", "in": lists[0]}, {"field": "zip", "starts_with": "0000"}]},
            {"field": "zip", "is_empty": True},
        ]
        if engine != "durable":  # it multiplies the lists
            rules.append({"all": [{"field": "zip", "in": lists[0]}, {"field": "zip", "in": lists[1]}]})
        check(engine, flat(*rules), [{}, *({"zip": f"{n:05}"} for n in range(0, 200, 7)), {"zip": "00005"}])


@pytest.mark.parametrize("engine", [name for name in ENGINE_NAMES if name != "durable"])
def test_long_list_of_a_set(engine: EngineName) -> None:
    """A set is compared with a long list (C4)."""
    matcher = matcher_of(engine, flat({"field": "tags", "includes_any": [f"{n:05}" for n in range(LONG_LIST)]}))
    assert matcher.matching(typed({"tags": ["x", "00063"]})) == ["t0"]
    assert matcher.matching(typed({"tags": ["x", "00064"]})) == []


@pytest.mark.parametrize("engine", [name for name in ENGINE_NAMES if name != "durable"])
def test_very_long_list_is_not_filtered(engine: EngineName) -> None:
    """Of a very long list with another predicate of its field, the other one is evaluated (C4)."""
    values = list(range(FILTERED_VALUES_MAX + 1))
    rule = {"all": [{"field": "revenue", "in": values}, {"field": "revenue", "gt": 7}]}
    matcher = matcher_of(engine, flat(rule))
    assert [matcher.matching({"revenue": n}) for n in (7, 8, FILTERED_VALUES_MAX + 1)] == [[], ["t0"], []]
