"""The indexed engine: what a record's fields rule out is looked up, not evaluated.

Siblings are indexed together: every clause of their rules has a bit, a field's value gives the bits
that it does not rule out, and the clauses that no field rules out are left. Only below rules that
hold are the children looked at. So a rule that fails costs nothing below it (A1), and what a
record costs depends on the branches that it goes down, not on how many territories there are.
"""

from __future__ import annotations

from collections.abc import Iterable

from assigner.matching.clauses import Clause, Column, Predicate, clauses_of
from assigner.matching.columns import ColumnIndex
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import Criterion, Fields

BLOCK_CLAUSES_MAX = 4_096
"""More clauses of siblings are indexed in several blocks: a set of them takes a bit each."""


class IndexedMatcher:
    """Looks up which rules may hold, and evaluates what no index can decide."""

    def __init__(self, book: RuleBook) -> None:
        clauses = [clauses_of(rule.criterion) for rule in book.rules]
        self.off_index = tuple(
            rule.territory_id
            for rule, of_rule in zip(book.rules, clauses, strict=True)
            if not all(clause.exact for clause in of_rule)
        )
        """The territories whose rules are evaluated after the index has narrowed them."""
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
    """Some siblings, or all of them."""

    __slots__ = ("_columns", "_everything", "_places", "_unproved")

    def __init__(self, numbered: list[tuple[int, Criterion, Clause]]) -> None:
        """Index clauses, each with the place of its rule in the book and the rule itself."""
        self._everything = (1 << len(numbered)) - 1
        self._places = [place for place, _, _ in numbered]
        self._unproved = [None if clause.exact else criterion for _, criterion, clause in numbered]
        by_column: dict[Column, list[tuple[int, Predicate]]] = {}
        for number, (_, _, clause) in enumerate(numbered):
            for column, predicate in clause.predicates.items():
                by_column.setdefault(column, []).append((1 << number, predicate))
        columns = [(column, ColumnIndex(column.kind, self._everything, asked)) for column, asked in by_column.items()]
        columns.sort(key=lambda indexed: -indexed[1].asking.bit_count())  # the most telling first
        self._columns = [(column.field, index.asking, index.bits, index.there) for column, index in columns]

    def holding(self, fields: Fields) -> list[int]:
        """Return the places of the rules that hold."""
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
                continue  # another clause of a rule that holds
            unproved = self._unproved[number]
            if unproved is None or unproved.holds(fields):
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
