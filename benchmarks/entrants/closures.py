"""The first thing one would write: every rule a closure, all closures called for every record."""

from __future__ import annotations

from collections.abc import Callable

from assigner.matching.rule_book import RuleBook
from territory.criteria import AnyOf, Criterion, Fields, Leaf, Not

Holds = Callable[[Fields], bool]


class Closures:
    """Calls the closures of all rules, then evaluates the tree."""

    def __init__(self, book: RuleBook) -> None:
        self.carried = len(book.rules)
        self._rules = list(enumerate(closure_of(rule.criterion) for rule in book.rules))
        self._book = book

    def prepared(self, fields: Fields) -> Fields:
        """Return the fields unchanged: closures read them as they are."""
        return fields

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        return self._book.deepest([place for place, holds in self._rules if holds(fields)])


def closure_of(criterion: Criterion) -> Holds:
    """Return a rule as one function of a record's typed values."""
    if isinstance(criterion, Leaf):
        return _of_leaf(criterion)
    if isinstance(criterion, Not):
        denied = closure_of(criterion.part)
        return lambda fields: not denied(fields)
    parts = [closure_of(part) for part in criterion.parts]
    stops_at = isinstance(criterion, AnyOf)

    def of_parts(fields: Fields) -> bool:
        for part in parts:
            if part(fields) is stops_at:
                return stops_at
        return not stops_at

    return of_parts


def _of_leaf(leaf: Leaf) -> Holds:
    name, test, negated = leaf.field, leaf.test, leaf.negated

    def holds(fields: Fields) -> bool:
        value = fields.get(name)
        return (value is not None and test(value)) is not negated

    return holds
