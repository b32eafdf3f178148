"""Clauses: the part of a rule that an index can look up."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from assigner.matching.clauses import CLAUSES_MAX, Literal, Prefixes, clauses_of, spans_of
from assigner.matching.indexed import IndexedMatcher
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import OPERATORS, Criterion, Leaf, parse
from tests.contracts import rules


def criterion_of(document: Any) -> Criterion:
    """Return the rule of a valid document."""
    criterion, faults = parse(document, {"c": "text", "n": "number"}, "rule")
    assert criterion is not None, faults
    return criterion


THERE, MISSING = {"field": "n", "is_not_empty": True}, {"field": "n", "is_empty": True}


@pytest.mark.parametrize(
    "document",
    [
        {"all": [{"field": "n", "lt": 5}, {"field": "n", "ge": 5}]},
        {"all": [{"field": "n", "eq": 5}, {"field": "n", "gt": 5}]},
        {"all": [{"field": "c", "eq": "a"}, {"field": "c", "in": ["b", "c"]}]},
        {"all": [THERE, MISSING]},
        {
            "all": [
                {"field": "c", "starts_with": ["28", "08"]},
                {"field": "c", "starts_with": ["41", "2"]},
                {"field": "c", "starts_with": "29"},
            ]
        },
    ],
)
def test_rule_that_never_holds(document: Any) -> None:
    """A rule that cannot hold has no clauses, and so no bit in any index (C1)."""
    assert clauses_of(criterion_of(document)) == []


def test_contradictory_clauses_are_dropped() -> None:
    """Of a product, only clauses that can hold are indexed."""
    either = {"any": [{"field": "n", "eq": 1}, {"field": "n", "eq": 2}]}
    assert len(clauses_of(criterion_of({"all": [either, either]}))) == 2


def test_too_many_clauses() -> None:
    """A rule with too many clauses is looked up by what they share, and evaluated."""
    fine = {"any": [{"field": "n", "eq": number} for number in range(CLAUSES_MAX)]}
    assert [clause.exact for clause in clauses_of(criterion_of(fine))] == [True] * CLAUSES_MAX
    many = {"all": [{"any": [*fine["any"], {"field": "n", "eq": -1}]}, {"field": "c", "eq": "x"}]}
    (clause,) = clauses_of(criterion_of(many))
    assert not clause.exact
    assert [column.field for column in clause.predicates] == ["c"]


EVALUATED = {
    "contains", "not_contains", "ends_with", "not_starts_with", "includes_all", "excludes_any", "excludes_all",
    "within_km", "in_polygon",
}  # fmt: skip


@pytest.mark.parametrize("word", OPERATORS)
def test_operators_that_the_index_decides(word: str) -> None:
    """The index alone decides these operators, without evaluation."""
    field = next(field for field in rules.TYPES if word in rules.operators_of(field))
    operand = ["a", "b"] if word == "includes_all" else rules.operand(field, word, rules.dice_of(word))
    (clause,) = clauses_of(rules.criterion_of({"field": field, word: operand}))
    assert clause.exact is (word not in EVALUATED)


def test_longest_prefix() -> None:
    """Of several prefixes that must all fit, the longest are looked up, and they decide."""
    both = {"all": [{"field": "c", "starts_with": ["a", "b"]}, {"field": "c", "starts_with": ["abc", "ad", "c", "b"]}]}
    (clause,) = clauses_of(criterion_of(both))
    assert (list(clause.predicates.values()), clause.exact) == ([Prefixes(frozenset({"abc", "ad", "b"}))], True)


def test_rules_that_are_evaluated_are_named() -> None:
    """`off_index` names the territories whose rules are evaluated."""
    documents = [
        {"field": "c", "contains": "x"},
        {"field": "c", "starts_with": "x"},
        {"not": {"field": "c", "contains": "x"}},
    ]
    book = RuleBook(tuple(Rule(f"t{n}", criterion_of(rule), NO_PARENT) for n, rule in enumerate(documents)))
    assert IndexedMatcher(book).off_index == ("t0", "t2")


def _matches(operator: str, operand: Any, moment: datetime) -> tuple[bool, bool]:
    """Return what the index and the plain evaluation say of a datetime in Samoa."""
    zone = ZoneInfo("Pacific/Apia")
    criterion, faults = parse({"field": "at", operator: operand}, {"at": "datetime"}, "rule", zone=zone)
    assert criterion is not None, faults
    matcher = IndexedMatcher(RuleBook((Rule("t", criterion, NO_PARENT),)))
    fields = {"at": moment}
    return bool(list(matcher.matching(fields))), criterion.holds(fields)


@pytest.mark.parametrize("moment", ["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z", "2017-03-01T10:00:00Z"])
def test_no_instant_is_on_a_day_that_a_zone_skipped(moment: str) -> None:
    """Samoa went from 29 to 31 December 2011: no record is assigned for being on the 30th (C8)."""
    instant = datetime.fromisoformat(moment)
    assert _matches("eq", "2011-12-30", instant) == (False, False)
    assert _matches("ne", "2011-12-30", instant) == (True, True)
    assert _matches("in", ["2011-12-30", "2016-12-30"], instant) == (False, False)


def test_long_lists_of_days_that_are_left_out() -> None:
    """The gaps between n days take n steps, not n², to find: a worker stands still meanwhile (C4, C8)."""
    days = [(date(2000, 1, 1) + timedelta(days=2 * count)).isoformat() for count in range(6_000)]
    criterion, faults = parse({"field": "at", "not_in": days}, {"at": "datetime"}, "rule")
    assert isinstance(criterion, Leaf), faults
    spans = spans_of(Literal(criterion, negated=True))
    assert len(spans) == len(days) + 1
    assert (spans[0].low, spans[-1].high) == (None, None)
    assert all(before.high < after.low for before, after in pairwise(spans))
    assert not any(span.low_included or span.high_included for span in spans)
