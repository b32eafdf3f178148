"""Finds expensive, impossible and empty rules of a model, from the rules alone; pure.

A finding is never wrong: an impossible rule holds for no record whatever its fields are, and an empty one
holds for all whose fields can be read. But not every such rule is found. The analysis does not look inside
texts and sets, does not combine choices with each other, and ends after `WORK_MAX` values.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from assigner.assignment.policy import RULED_OBJECTS, TREE_RULED
from assigner.matching.clauses import CLAUSES_MAX, Clause, NotValues, There, clauses_of
from assigner.matching.operators import EQUAL, RELATIVE, TABLE
from assigner.matching.rule_book import NO_PARENT, Rule, rule_book, sharing_book
from territory.criteria import All, Criterion, Leaf, leaves_of
from territory.model.compiled import Model
from territory.model.document import OBJECTS, ObjectType, RuledObject
from territory_admin.lint.satisfiability import (
    AnalysisBudget,
    Conditions,
    Literal,
    Literals,
    alternatives_of,
    leaf_of,
    settled,
)

WORK_MAX = 20_000_000
"""The most list values that are compared with other conditions on their fields; takes some seconds."""
COSTLIEST = 10
CLASHES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class EvaluatedRule:
    """A rule that no index decides alone, so it is evaluated for the records that the index lets through."""

    object: RuledObject
    territory_id: str
    reasons: tuple[str, ...]
    """What can't be looked up in an index; the words before a colon are the kind of reason."""
    comparisons: int
    """The most comparisons of one evaluation: one a leaf, and one a corner of a polygon."""
    narrowed_by: tuple[str, ...]
    """The fields by which an index excludes most records first; none if every record is evaluated."""


@dataclass(frozen=True, slots=True)
class ImpossibleRule:
    """A rule that no record can satisfy together with those above it (A1)."""

    object: ObjectType
    territory_id: str
    why: str
    below: Sequence[str]
    """The territories below it that have a rule; they never take a record either."""


@dataclass(frozen=True, slots=True)
class EmptyRule:
    """A rule without effect: it holds for every record for which the rules above it hold.

    Unless a value that it asks for is unreadable: then no rule on that field holds (C2).
    """

    object: ObjectType
    territory_id: str
    alone: bool
    """Whether it holds for every record, also without the rules above it."""


@dataclass(frozen=True, slots=True)
class OddSharing:
    """A sharing rule that shares nothing, or every record of its object (V6)."""

    rule_id: str
    object: ObjectType
    why: str | None
    """Why no record can satisfy it; None if it holds for every record."""


@dataclass(frozen=True, slots=True)
class RuleAnalysis:
    """All findings about a model's rules."""

    rules: dict[RuledObject, int]
    """The number of rules by object."""
    evaluated: tuple[EvaluatedRule, ...]
    costliest: tuple[EvaluatedRule, ...]
    """The most expensive of them by their structure, the most expensive first; nothing is measured."""
    impossible: tuple[ImpossibleRule, ...]
    empty: tuple[EmptyRule, ...]
    unfinished: int
    """Rules that were not analysed to the end, as it takes too much work; they may be impossible or empty."""
    sharing: tuple[OddSharing, ...] = ()
    """The sharing rules that are impossible or empty."""


def analyse_rules(model: Model) -> RuleAnalysis:
    """Return which rules of a model are expensive, impossible or empty."""
    books = {kind: rule_book(model, kind) for kind in RULED_OBJECTS}
    budget = AnalysisBudget(WORK_MAX)
    trees = [_TreeAnalysis(kind, book.rules, budget) for kind, book in books.items()]
    shared = [_TreeAnalysis(kind, sharing_book(model.sharing, kind).rules, budget) for kind in OBJECTS]
    evaluated = [
        found for kind, book in books.items() for rule in book.rules if (found := _evaluated(kind, rule)) is not None
    ]
    return RuleAnalysis(
        rules={kind: len(book.rules) for kind, book in books.items()},
        evaluated=tuple(evaluated),
        costliest=tuple(heapq.nsmallest(COSTLIEST, evaluated, key=_by_cost)),
        impossible=tuple(found for tree in trees for found in tree.impossible),
        empty=tuple(found for tree in trees for found in tree.empty),
        unfinished=sum(tree.unfinished for tree in [*trees, *shared]),
        sharing=tuple(
            OddSharing(model.sharing[mark].id, model.sharing[mark].object, why)
            for tree in shared
            for mark, why in [
                *((found.territory_id, found.why) for found in tree.impossible),
                *((found.territory_id, None) for found in tree.empty),
            ]
        ),
    )


# --- what a rule costs -----------------------------------------------------------------------


def _by_cost(rule: EvaluatedRule) -> tuple[bool, int, str, str]:
    return (bool(rule.narrowed_by), -rule.comparisons, rule.territory_id, rule.object)


def _evaluated(kind: RuledObject, rule: Rule) -> EvaluatedRule | None:
    """Return why a rule is evaluated, and its cost; None if an index decides it alone."""
    if _is_plain(rule.criterion):
        return None
    criterion = settled(rule.criterion)
    inexact = [clause for clause in clauses_of(criterion) if not clause.exact]
    if not inexact:
        return None
    narrowing = [_narrowing(clause) for clause in inexact]
    fields = set.intersection(*narrowing) or set.union(*narrowing)
    return EvaluatedRule(
        kind,
        rule.territory_id,
        tuple(dict.fromkeys(_reasons(criterion))),
        sum(map(_comparisons, leaves_of(rule.criterion))),
        tuple(sorted(fields)) if all(narrowing) else (),
    )


def _narrowing(clause: Clause) -> set[str]:
    """Return the fields by which a clause excludes more than records without a value or with one certain value."""
    return {
        column.field for column, predicate in clause.predicates.items() if not isinstance(predicate, There | NotValues)
    }


_ORDERED = {"lt", "le", "gt", "ge", "between", "not_between", "on_days", "not_on_days", *RELATIVE}
_PLAIN = {*EQUAL, *TABLE, "is_empty", "is_not_empty", "postal_between", *_ORDERED}
PLAIN_LEAVES_MAX = 9
"""Combined in any way, so many make at most 27 alternatives, fewer than `CLAUSES_MAX`."""


def _is_plain(criterion: Criterion) -> bool:
    """Whether an index certainly decides a rule; a cheap check, which nearly all rules pass."""
    leaves = list(islice(leaves_of(criterion), PLAIN_LEAVES_MAX + 1))
    if len(leaves) > PLAIN_LEAVES_MAX or not all(leaf.operator in _PLAIN for leaf in leaves):
        return False
    if len({leaf.field for leaf in leaves}) == len(leaves):
        return True
    times = Counter(leaf.field for leaf in leaves)
    return all(leaf.operator in _ORDERED for leaf in leaves if times[leaf.field] > 1)


def _reasons(criterion: Criterion) -> Iterable[str]:
    """Yield the reasons why an index does not decide a rule alone."""
    alternatives = alternatives_of(criterion)
    if alternatives is None:
        yield f"more than {CLAUSES_MAX} alternatives"
        return
    for alternative in alternatives:
        by_field: dict[str, list[Leaf]] = {}
        for literal in alternative:
            leaf, negated = leaf_of(literal)
            if _is_exact((literal,)):
                by_field.setdefault(leaf.field, []).append(leaf)
            else:
                yield _operator(leaf, negated=negated)
        for field, leaves in by_field.items():
            of_field = tuple(literal for literal in alternative if leaf_of(literal)[0] in leaves)
            if len(leaves) > 1 and not _is_exact(of_field):
                words = ", ".join(dict.fromkeys(_operator(*leaf_of(literal)) for literal in of_field))
                yield f"several conditions on one field: {field} ({words})"


def _is_exact(literals: Literals) -> bool:
    return all(clause.exact for clause in clauses_of(All(literals)))


_POSITIVE = {"ne": "eq", "excludes_any": "includes_any", "excludes_all": "includes_all", "is_empty": "is_not_empty"}


def _operator(leaf: Leaf, negated: bool) -> str:
    positive = _POSITIVE.get(leaf.operator, leaf.operator.removeprefix("not_"))
    return f"negated {positive}" if negated else positive


def _comparisons(leaf: Leaf) -> int:
    return max(1, _corners(leaf.operand)) if leaf.operator == "in_polygon" else 1


def _corners(shape: object) -> int:
    """Return how many points a GeoJSON shape has."""
    if isinstance(shape, dict):
        return _corners(shape.get("coordinates", ()))
    if not isinstance(shape, list | tuple):
        return 0
    return 1 if shape and not isinstance(shape[0], list | tuple) else sum(map(_corners, shape))


# --- impossible and empty rules --------------------------------------------------------------


class _TreeAnalysis:
    """Analyses each rule of one object together with the rules above it in the tree."""

    def __init__(self, kind: ObjectType, rules: tuple[Rule, ...], budget: AnalysisBudget) -> None:
        self.impossible: list[ImpossibleRule] = []
        self.empty: list[EmptyRule] = []
        self.unfinished = 0
        self._kind = kind
        self._rules = rules
        self._budget = budget
        self._analyse()

    def _analyse(self) -> None:
        conditions = {NO_PARENT: Conditions()}
        """By position of a rule: the conditions of it and of the rules above it, as far as the budget allows."""
        below: dict[int, list[str]] = {}
        """By position of an impossible rule, and of all rules below it: the territories below the impossible one."""
        for position, rule in enumerate(self._rules):
            # A deal's rule does not depend on the rules above it (A6).
            parent = rule.parent if self._kind in TREE_RULED else NO_PARENT
            if parent in below:
                below[position] = below[parent]
                below[position].append(rule.territory_id)
                continue
            overdrawn = self._budget.overdrawn
            joined, clashes = conditions[parent].joined_with(settled(rule.criterion), self._budget)
            if joined is None:
                below[position] = []
                why = self._explain(position, clashes)
                self.impossible.append(ImpossibleRule(self._kind, rule.territory_id, why, below[position]))
                continue
            conditions[position] = joined
            if self._is_implied(rule, conditions[parent]):
                alone = self._is_implied(rule, conditions[NO_PARENT])
                self.empty.append(EmptyRule(self._kind, rule.territory_id, alone))
            self.unfinished += self._budget.overdrawn > overdrawn

    def _is_implied(self, rule: Rule, above: Conditions) -> bool:
        """Whether a rule certainly holds wherever some conditions hold: none of its parts can fail then."""
        parts = rule.criterion.parts if isinstance(rule.criterion, All) else (rule.criterion,)
        return all(above.joined_with(settled(part, negated=True), self._budget)[0] is None for part in parts)

    def _explain(self, position: int, clashes: list[Literals]) -> str:
        lines = list(
            dict.fromkeys(
                f"{' and '.join(self._named(position, literal) for literal in clash)} can't {_together(clash)} hold"
                for clash in clashes
            )
        )
        more = len(lines) - CLASHES_SHOWN
        return "; ".join(lines[:CLASHES_SHOWN]) + (f"; … {more} more" if more > 0 else "")

    def _named(self, position: int, literal: Literal) -> str:
        """Return a literal as text, with its territory if that is above the rule."""
        leaf, _ = leaf_of(literal)
        above = position
        while above != NO_PARENT and not any(
            leaf is other or (other.operator in RELATIVE and leaf.text == other.text)
            for other in leaves_of(self._rules[above].criterion)
        ):
            above = self._rules[above].parent
        return str(literal) if above in (position, NO_PARENT) else f"{literal} (of {self._rules[above].territory_id})"


def _together(clash: Literals) -> str:
    return "both" if len(clash) == 2 else "all"
