"""Rules as clauses: the part of a rule that an index can look up, field by field.

A clause is a conjunction of predicates. A rule can hold only if one of its clauses does. If its clauses
are exact, the rule holds whenever one of them does; otherwise it is evaluated as well. Negations are
moved to the leaves. That is right in three-valued logic, too: a rule is true exactly where one of its
conjunctions has only true literals, and an unreadable value makes a literal true only if it says that the
value is there (C2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from assigner.matching.operators import EQUAL, PREFIX, RELATIVE, TABLE, values_of
from territory.criteria import AnyOf, Criterion, Leaf, Not
from territory.criteria.postal import without_blanks
from territory.criteria.values import Value
from territory.criteria.windows import Windows

CLAUSES_MAX = 32
"""A rule with more is looked up by the predicates that they share, and then evaluated."""
FILTERED_VALUES_MAX = 10_000
"""A longer list of values is not filtered by the other predicates of its field."""


class Literal(NamedTuple):
    """A leaf or its negation."""

    leaf: Leaf
    negated: bool
    """True if it holds where the leaf's positive test fails, also for a missing value (C2)."""

    def accepts(self, value: Value) -> bool:
        """Whether it holds for a value that is there and readable."""
        return self.leaf.test(value) is not self.negated


@dataclass(frozen=True, slots=True)
class Clause:
    """Predicates by column that must all hold; if not exact, they are necessary but not sufficient."""

    predicates: Mapping[Column, Predicate]
    exact: bool


def clauses_of(criterion: Criterion) -> list[Clause]:
    """Return the clauses of a rule; none where it can never hold."""
    conjunctions, exact = _conjunctions(criterion, negated=False)
    found: list[Clause] = []
    for literals in conjunctions:
        clause = _clause(literals)
        if clause is not None:
            found.append(clause if exact else Clause(clause.predicates, exact=False))
    return found


_Conjunction = tuple[Literal, ...]


def _conjunctions(criterion: Criterion, *, negated: bool) -> tuple[list[_Conjunction], bool]:
    """Return conjunctions of which one holds where the rule does, and whether the reverse is true as well."""
    if isinstance(criterion, Not):
        return _conjunctions(criterion.part, negated=not negated)
    if isinstance(criterion, Leaf):
        return [(Literal(criterion, criterion.negated is not negated),)], True
    parts = [_conjunctions(part, negated=negated) for part in criterion.parts]
    exact = all(is_exact for _, is_exact in parts)
    if isinstance(criterion, AnyOf) is not negated:
        found = [conjunction for conjunctions, _ in parts for conjunction in conjunctions]
        return (found, exact) if len(found) <= CLAUSES_MAX else ([()], False)
    product: list[_Conjunction] = [tuple(one for (found, _) in parts if len(found) == 1 for one in found[0])]
    several = [found for found, _ in parts if len(found) != 1]
    for conjunctions in sorted(several, key=len):
        if len(product) * len(conjunctions) > CLAUSES_MAX:
            return product, False  # the other parts are evaluated
        product = [left + right for left in product for right in conjunctions]
    return product, exact


# --- predicates of one column ----------------------------------------------------------------


class Column(NamedTuple):
    """A field, and what of its value is looked up: itself, its keys in tables, or its first characters."""

    field: str
    kind: str
    """`plain`, `table`, or `postal`."""
    length: int = 0
    """Of postal codes, the characters that are compared (`postal.first_of_length`)."""


class Span(NamedTuple):
    """The values from low to high; None is an open end."""

    low: Any
    low_included: bool
    high: Any
    high_included: bool


LINE = Span(None, False, None, False)


@dataclass(frozen=True, slots=True)
class Values:
    """The value is one of these."""

    values: frozenset[Value]


@dataclass(frozen=True, slots=True)
class NotValues:
    """The value is missing, or a readable one that is none of these."""

    values: frozenset[Value]


@dataclass(frozen=True, slots=True)
class Spans:
    """The value is in one of the spans, or may be missing."""

    spans: tuple[Span, ...]
    missing: bool


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The text starts with one of these."""

    prefixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Members:
    """The set contains at least one of these."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class There:
    """The value is not missing, also if it is unreadable; or, if not `there`, it is missing.

    No other predicate lets an unreadable value pass (C2).
    """

    there: bool


Predicate = Values | NotValues | Spans | Prefixes | Members | There


def _clause(conjunction: _Conjunction) -> Clause | None:
    """Return the clause of a conjunction; None if no value can satisfy it."""
    by_column: dict[Column, list[Literal]] = {}
    for literal in conjunction:
        by_column.setdefault(_column_of(literal.leaf), []).append(literal)
    predicates: dict[Column, Predicate] = {}
    exact = True
    for column, literals in by_column.items():
        predicate, is_exact = (len(literals) == 1 and _alone(literals[0])) or _predicate(literals)
        exact &= is_exact
        if isinstance(predicate, Values) and not predicate.values:
            return None
        if isinstance(predicate, Spans) and not predicate.spans and not predicate.missing:
            return None
        if predicate is not None:
            predicates[column] = predicate
    return Clause(predicates, exact)


def _column_of(leaf: Leaf) -> Column:
    if leaf.operator == "postal_between":
        wanted: Any = leaf.wanted
        return Column(leaf.field, "postal", len(wanted[0]))
    return Column(leaf.field, "table" if leaf.operator in TABLE else "plain")


_ORDER = {
    "lt", "le", "gt", "ge", "between", "not_between", "postal_between", "on_days", "not_on_days", *RELATIVE
}  # fmt: skip
_EMPTY = {"is_empty", "is_not_empty"}
_INCLUDES = {"includes_any", "includes_all"}


def _alone(literal: Literal) -> tuple[Predicate, bool] | None:
    """Return the same as `_predicate`, in half the time, for the most frequent literals; None for others.

    Most columns have a single literal in most rules.
    """
    leaf = literal.leaf
    if leaf.operator in EQUAL or leaf.operator in TABLE:
        values = values_of(leaf)
        return NotValues(values) if literal.negated else Values(values), True
    if leaf.operator in _ORDER:
        return Spans(tuple(spans_of(literal)), missing=literal.negated), True
    return None


def _predicate(literals: list[Literal]) -> tuple[Predicate | None, bool]:
    """Return the predicate of all literals of one column, and whether it is equivalent to them."""
    if any(not literal.negated for literal in literals):
        literals = [literal for literal in literals if literal.leaf.operator not in _EMPTY or literal.negated]
        if any(literal.leaf.operator in _EMPTY for literal in literals):
            return Values(frozenset()), True  # a contradiction
        return _present(literals) if literals else (There(there=True), True)
    if any(literal.leaf.operator in _EMPTY for literal in literals):
        return There(there=False), True  # a missing value satisfies every negation (C2)
    if all(literal.leaf.operator in EQUAL or literal.leaf.operator in TABLE for literal in literals):
        return NotValues(frozenset().union(*(values_of(literal.leaf) for literal in literals))), True
    if all(literal.leaf.operator in _ORDER for literal in literals):
        return _spans(literals), True
    return None, False


def _present(literals: list[Literal]) -> tuple[Predicate | None, bool]:
    """Return the most selective predicate of literals that a missing value does not satisfy."""
    tables = [values_of(one.leaf) for one in literals if one.leaf.operator in TABLE and not one.negated]
    if tables:  # a value has several keys: one of them may be in one table, and another in the next
        return Values(min(tables, key=len)), len(literals) == 1
    finite = [literal for literal in literals if literal.leaf.operator in EQUAL and not literal.negated]
    if finite:
        shortest = min((values_of(literal.leaf) for literal in finite), key=len)
        others = [literal for literal in literals if literal is not finite[0]] if len(finite) == 1 else literals
        if not others:
            return Values(shortest), True
        if len(shortest) > FILTERED_VALUES_MAX:
            return Values(shortest), False
        return Values(frozenset(value for value in shortest if all(one.accepts(value) for one in others))), True
    ordered = [literal for literal in literals if literal.leaf.operator in _ORDER]
    if any(not literal.negated for literal in ordered):
        return _spans(ordered), len(ordered) == len(literals)
    prefixed = [one for one in literals if one.leaf.operator in PREFIX and not one.negated]
    if prefixed:
        prefixes = values_of(prefixed[0].leaf)
        squeezed = _squeezed(prefixes)
        for one in prefixed[1:]:
            squeezed = _common_prefixes(squeezed, _squeezed(values_of(one.leaf)))
        if not squeezed:
            return Values(frozenset()), True  # a contradiction
        if all(_squeezed(values_of(one.leaf)) == values_of(one.leaf) for one in prefixed):
            return Prefixes(squeezed), len(prefixed) == len(literals)
        return Prefixes(prefixes), len(literals) == 1  # type: ignore[arg-type]  # texts
    included = [one for one in literals if one.leaf.operator in _INCLUDES and not one.negated]
    if included:
        first = included[0].leaf
        wanted: frozenset[str] = first.wanted
        if first.operator == "includes_any":
            return Members(wanted), len(literals) == 1
        return Members(frozenset({min(wanted)})), len(literals) == 1 and len(wanted) == 1
    return There(there=True), False


def _squeezed(prefixes: frozenset[Any]) -> frozenset[str]:
    """Return prefixes without blanks, as they are compared with postal codes (C10)."""
    return frozenset(map(without_blanks, prefixes))


def _common_prefixes(left: frozenset[Any], right: frozenset[Any]) -> frozenset[str]:
    """Return the prefixes of the texts that begin with one of each."""
    return frozenset(
        prefix
        for prefixes, others in ((left, right), (right, left))
        for prefix in prefixes
        if any(prefix[:length] in others for length in range(1, len(prefix) + 1))
    )


# --- spans -----------------------------------------------------------------------------------


def _spans(literals: list[Literal]) -> Spans:
    spans: list[Span] = [LINE]
    for literal in literals:
        spans = _common(spans, spans_of(literal))
    return Spans(tuple(spans), missing=all(literal.negated for literal in literals))


def spans_of(literal: Literal) -> list[Span]:
    """Return the spans of the values for which a literal with an order holds."""
    spans = _spans_of_leaf(literal.leaf)
    return _gaps_between(spans) if literal.negated else spans


def _common(spans: list[Span], others: list[Span]) -> list[Span]:
    return [both for left in spans for right in others if (both := _both(left, right)) is not None]


def _spans_of_leaf(leaf: Leaf) -> list[Span]:
    """Return the spans of the values for which a leaf's positive test holds."""
    wanted: Any = leaf.wanted
    if isinstance(wanted, Windows):
        return [Span(first, True, last, True) for first, last in wanted.stretches]
    if leaf.operator == "lt":
        return [Span(None, False, wanted, False)]
    if leaf.operator == "le":
        return [Span(None, False, wanted, True)]
    if leaf.operator == "gt":
        return [Span(wanted, False, None, False)]
    if leaf.operator == "ge":
        return [Span(wanted, True, None, False)]
    low, high = wanted
    return [Span(low, True, high, True)]


def _gaps_between(spans: list[Span]) -> list[Span]:
    """Return what sorted spans without a common value leave of the line; a rule may name thousands of days."""
    gaps: list[Span] = []
    low, low_included = None, False
    for span in spans:
        if span.low is not None:
            gaps.append(Span(low, low_included, span.low, not span.low_included))
        if span.high is None:
            return gaps
        low, low_included = span.high, not span.high_included
    return [*gaps, Span(low, low_included, None, False)]


def _both(left: Span, right: Span) -> Span | None:
    low, low_included = left.low, left.low_included
    if right.low is not None and (low is None or (right.low, not right.low_included) > (low, not low_included)):
        low, low_included = right.low, right.low_included
    high, high_included = left.high, left.high_included
    if right.high is not None and (high is None or (right.high, right.high_included) < (high, high_included)):
        high, high_included = right.high, right.high_included
    if low is not None and high is not None and (low > high or (low == high and not (low_included and high_included))):
        return None
    return Span(low, low_included, high, high_included)
