"""The indexed engine: looks up which rules a record's fields rule out, instead of evaluating rules.

The rules of siblings are indexed together. Every clause of them has a bit. A field's value gives the
bits of the clauses that it does not rule out, and the intersection over all fields are the clauses that
hold. Children are looked at only below rules that hold (A1). So the cost of a record depends on the
branches that it qualifies for, not on the number of territories.
"""

from __future__ import annotations

from collections.abc import Iterable

from assigner.matching.clauses import Clause, Column, Predicate, clauses_of
from assigner.matching.columns import ColumnIndex
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import Criterion, Fields

BLOCK_CLAUSES_MAX = 4_096
"""Siblings with more clauses are indexed in several blocks, so that the bit sets stay short."""


class IndexedMatcher:
    """Looks up which rules may hold, and evaluates those that an index cannot decide."""

    def __init__(self, book: RuleBook) -> None:
        clauses = [clauses_of(rule.criterion) for rule in book.rules]
        self.off_index = tuple(
            rule.territory_id
            for rule, of_rule in zip(book.rules, clauses, strict=True)
            if not all(clause.exact for clause in of_rule)
        )
        """The territories with a rule that is looked up in part, and then evaluated."""
        self._territories = [rule.territory_id for rule in book.rules]
        siblings: dict[int, list[int]] = {}
        for place, rule in enumerate(book.rules):
            siblings.setdefault(rule.parent, []).append(place)
        blocks = {parent: tuple(_blocks(places, book.rules, clauses)) for parent, places in siblings.items()}
        self._roots = blocks.get(NO_PARENT, ())
        self._below = [blocks.get(place, ()) for place in range(len(book.rules))]

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        found: list[int] = []
        holding = [place for block in self._roots for place in block.holding(fields)]
        while holding:
            place = holding.pop()
            below = [child for block in self._below[place] for child in block.holding(fields)]
            if below:
                holding += below
            else:
                found.append(place)
        found.sort()
        return [self._territories[place] for place in found]


class _Block:
    """The index of some siblings' clauses."""

    __slots__ = ("_columns", "_everything", "_places", "_to_evaluate")

    def __init__(self, numbered: list[tuple[int, Criterion, Clause]]) -> None:
        """Index clauses, each with the position of its rule in the book and the rule itself."""
        self._everything = (1 << len(numbered)) - 1
        self._places = [place for place, _, _ in numbered]
        self._to_evaluate = [None if clause.exact else criterion for _, criterion, clause in numbered]
        by_column: dict[Column, list[tuple[int, Predicate]]] = {}
        for number, (_, _, clause) in enumerate(numbered):
            for column, predicate in clause.predicates.items():
                by_column.setdefault(column, []).append((1 << number, predicate))
        columns = [(column, ColumnIndex(column, self._everything, asked)) for column, asked in by_column.items()]
        columns.sort(
            key=lambda indexed: -indexed[1].asking.bit_count()
        )  # the column that most clauses test comes first
        self._columns = [(column.field, index.asking, index.bits, index.there) for column, index in columns]

    def holding(self, fields: Fields) -> list[int]:
        """Return the positions of the rules that hold by themselves."""
        left = self._everything
        for field, asking, bits, there in self._columns:
            if left & asking:
                left &= bits(fields.get(field), there)
                if not left:
                    return []
        places: list[int] = []
        while left:
            lowest = left & -left
            left ^= lowest
            number = lowest.bit_length() - 1
            place = self._places[number]
            if places and places[-1] == place:
                continue  # another clause of the same rule
            to_evaluate = self._to_evaluate[number]
            if to_evaluate is None or to_evaluate.holds(fields):
                places.append(place)
        return places


def _blocks(places: list[int], rules: tuple[Rule, ...], clauses: list[list[Clause]]) -> Iterable[_Block]:
    numbered: list[tuple[int, Criterion, Clause]] = []
    for place in places:
        if len(numbered) + len(clauses[place]) > BLOCK_CLAUSES_MAX:
            yield _Block(numbered)
            numbered = []
        numbered += [(place, rules[place].criterion, clause) for clause in clauses[place]]
    if numbered:
        yield _Block(numbered)
