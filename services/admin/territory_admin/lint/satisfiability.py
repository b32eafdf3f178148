"""Finds conditions that can't hold together, along a path of rules; pure.

Errors are on one side only: a clash that is found is certain, but not every clash is found. Conditions that
depend on the day never clash, since their day may come (C7). An unreadable value is left out of account: it
satisfies no condition but that it is there (C2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from assigner.matching.clauses import CLAUSES_MAX, clauses_of
from assigner.matching.operators import EQUAL, RELATIVE, values_of
from territory.criteria import All, AnyOf, Criterion, Leaf, Not
from territory.criteria.values import Value

CHOICES_MAX = 16
"""The most choices along one path that are analysed."""
CLASH_WORK = 50
"""The fixed cost of looking for a clash, in values compared."""
TRUE = All(())

Literal = Leaf | Not
"""A leaf or a negated leaf."""
Literals = tuple[Literal, ...]


# --- parts of criteria -----------------------------------------------------------------------


def settled(criterion: Criterion, *, negated: bool = False) -> Criterion:
    """Return a criterion, without days, that holds wherever the given one, or its negation, can hold on any day.

    Negations are moved to the leaves (C2). A leaf with a relative date becomes the condition that its field
    has a value; its negation becomes no condition at all.
    """
    if isinstance(criterion, Not):
        return settled(criterion.part, negated=not negated)
    if isinstance(criterion, Leaf):
        if criterion.operator not in RELATIVE:
            return Not(criterion) if negated else criterion
        return TRUE if negated else _there(criterion)
    parts = tuple(settled(part, negated=negated) for part in criterion.parts)
    return All(parts) if isinstance(criterion, All) is not negated else AnyOf(parts)


def _there(leaf: Leaf) -> Leaf:
    """Return the condition that a leaf's field has a value, under the leaf's own text."""
    return Leaf(
        leaf.field, "is_not_empty", operand=True, wanted=True, test=lambda _: True, negated=False, text=leaf.text
    )


def factors_of(criterion: Criterion) -> Iterator[Literal | AnyOf]:
    """Yield the literals and choices that must all hold for a settled criterion to hold."""
    if isinstance(criterion, All):
        for part in criterion.parts:
            yield from factors_of(part)
    else:
        yield criterion


def alternatives_of(criterion: Criterion) -> list[Literals] | None:
    """Return the alternatives of a settled criterion; None if there are more than `CLAUSES_MAX`."""
    if isinstance(criterion, Leaf | Not):
        return [(criterion,)]
    is_choice = isinstance(criterion, AnyOf)
    found: list[Literals] = [] if is_choice else [()]
    for part in criterion.parts:
        inner = alternatives_of(part)
        if inner is None:
            return None
        found = found + inner if is_choice else [left + right for left in found for right in inner]
        if len(found) > CLAUSES_MAX:
            return None
    return found


def leaf_of(literal: Literal) -> tuple[Leaf, bool]:
    """Return a literal's leaf, and whether a missing value satisfies the literal (C2)."""
    if isinstance(literal, Leaf):
        return literal, literal.negated
    leaf = literal.part
    if not isinstance(leaf, Leaf):
        raise TypeError(f"found not {leaf}, expected a negated leaf: settle the criterion first")
    return leaf, not leaf.negated


# --- clashes ---------------------------------------------------------------------------------


class AnalysisBudget:
    """The work that is left for the analysis, in values compared."""

    def __init__(self, work: int) -> None:
        self.left = work
        self.overdrawn = 0
        """How often something was skipped for lack of budget."""

    def takes(self, work: int) -> bool:
        """Take some work from the budget; return whether there was enough left."""
        self.left -= work
        if self.left < 0:
            self.overdrawn += 1
            return False
        return True


def clash_of(literals: Literals, budget: AnalysisBudget) -> Literals | None:
    """Return literals of one field that no value satisfies together, two if two suffice; None if no clash was found."""
    if len(literals) < 2:
        return None
    wanting = [leaf for leaf, negated in map(leaf_of, literals) if not negated]
    if not wanting:
        return None  # a missing value satisfies all of them
    shortest = _shortest_list(wanting)
    if not budget.takes(CLASH_WORK + len(shortest or ())) or _is_possible(literals, shortest):
        return None
    pairs = ((left, right) for place, left in enumerate(literals) for right in literals[place + 1 :])
    return next((pair for pair in pairs if not _is_possible(pair)), literals)


def _shortest_list(wanting: Iterable[Leaf]) -> frozenset[Value] | None:
    """Return the shortest list of values that a field must have one of; None if no leaf has a list."""
    return min((values_of(leaf) for leaf in wanting if leaf.operator in EQUAL), key=len, default=None)


def _is_possible(literals: Literals, shortest: frozenset[Value] | None = None) -> bool:
    """Whether a value may satisfy all of some literals of one field."""
    if shortest is None:
        shortest = _shortest_list(leaf for leaf, negated in map(leaf_of, literals) if not negated)
    if shortest is None:
        return bool(clauses_of(All(literals)))
    tests = [(leaf.test, negated) for leaf, negated in map(leaf_of, literals)]
    return any(all(test(value) is not negated for test, negated in tests) for value in shortest)


class Conditions:
    """Conditions that must hold together: literals by field, and choices that each need one alternative."""

    __slots__ = ("_by_field", "_choices")

    def __init__(self, by_field: Mapping[str, Literals] | None = None, choices: Iterable[list[Literals]] = ()) -> None:
        self._by_field = dict(by_field or {})
        self._choices = list(choices)

    def joined_with(self, criterion: Criterion, budget: AnalysisBudget) -> tuple[Conditions | None, list[Literals]]:
        """Return these conditions joined with a settled criterion's, or None and the literals that clash.

        A choice with one possible alternative left becomes that alternative. Choices are not combined with
        each other. Conditions beyond the budget are left out.
        """
        joined = Conditions(self._by_field, self._choices)
        fresh: list[Literal] = []
        unseen: list[list[Literals]] = []
        for factor in factors_of(criterion):
            if isinstance(factor, Leaf | Not):
                fresh.append(factor)
                continue
            alternatives = alternatives_of(factor)
            if alternatives is None or len(unseen) + len(self._choices) >= CHOICES_MAX:
                budget.overdrawn += 1
            else:
                unseen.append(alternatives)
        while fresh or unseen:
            clashes, fresh = joined._take(fresh, unseen, budget)
            unseen = []
            if clashes:
                return None, clashes
        return joined, []

    def _take(
        self, fresh: list[Literal], unseen: list[list[Literals]], budget: AnalysisBudget
    ) -> tuple[list[Literals], list[Literal]]:
        """Add literals and choices; return what clashes, and literals that follow from choices."""
        changed = set()
        for literal in fresh:
            field = leaf_of(literal)[0].field
            changed.add(field)
            self._by_field[field] = (*self._by_field.get(field, ()), literal)
        for field in changed:
            clash = clash_of(self._by_field[field], budget)
            if clash is not None:
                return [clash], []
        following: list[Literal] = []
        seen, self._choices = self._choices, []
        for choice in (*seen, *unseen):
            is_new = any(choice is other for other in unseen)
            if not is_new and changed.isdisjoint(leaf_of(literal)[0].field for inner in choice for literal in inner):
                self._choices.append(choice)
                continue
            clashes = [self._clash_with(alternative, budget) for alternative in choice]
            left = [alternative for alternative, clash in zip(choice, clashes, strict=True) if clash is None]
            if not left:
                return [clash for clash in clashes if clash is not None], []
            if len(left) == 1:
                following += left[0]
            else:
                self._choices.append(left)
        return [], following

    def _clash_with(self, alternative: Literals, budget: AnalysisBudget) -> Literals | None:
        by_field: dict[str, Literals] = {}
        for literal in alternative:
            field = leaf_of(literal)[0].field
            by_field[field] = (*by_field.get(field, self._by_field.get(field, ())), literal)
        for literals in by_field.values():
            clash = clash_of(literals, budget)
            if clash is not None:
                return clash
        return None
