"""Explains territory rules: which leaves held, which one failed, and which territories a record nearly had (A10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from territory.criteria import All, AnyOf, Criterion, Failure, Fields, Leaf, Not
from territory.model.compiled import Model
from territory.model.document import RuledObject

WHY_LINES_MAX = 100
WHY_CHARACTERS_MAX = 300
"""Bounds of the explanation of one link. Without them, a rule of thousands of leaves, or with long operands, would
make an assignment that its topic refuses, and that would stop the partition."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A territory that would qualify if one leaf held, of its own rule or of an ancestor's."""

    territory_id: str
    failing_territory: str
    failure: Failure


class RuleExplainer:
    """The explanations of one object type under one model. Their lines are formatted once, and shared by records."""

    def __init__(self, model: Model, kind: RuledObject) -> None:
        self._model = model
        self._kind = kind
        self._lines_of: dict[str, _RuleLines] = {}
        """By territory, made when the first record qualifies."""

    def why(self, territory_id: str, fields: Fields) -> tuple[str, ...]:
        """Return the leaves that held for a qualifying territory, from the root down."""
        lines_of = self._lines_of.get(territory_id)
        if lines_of is None:
            lines_of = self._lines_of[territory_id] = _RuleLines(self._rules_on_path(territory_id))
        return lines_of.held(fields)

    def failure(self, territory_id: str, fields: Fields) -> tuple[str, Failure] | None:
        """Return the first territory from the root down whose rule fails, and the leaf that fails; None if all hold."""
        for above, rule in self._rules_on_path(territory_id):
            if not rule.holds(fields):
                return above, rule.failure(fields)
        return None

    def near_misses(self, fields: Fields, limit: int) -> list[NearMiss]:
        """Return the territories that a record misses by exactly one leaf, ancestors' rules included; deepest first.

        Of an `any`, the part with the fewest failing leaves counts. Of a `not`, the leaves count that
        would have to fail.
        """
        found: list[NearMiss] = []
        miss_of: dict[str, tuple[str, Failure] | None] = {}
        """By territory at most one leaf away, the leaf that fails there or above; others are absent."""
        for territory_id in self._model.tree:
            parent = self._model.tree.parent_of(territory_id)
            if parent is not None and parent not in miss_of:
                continue
            miss = None if parent is None else miss_of[parent]
            rule = self._model.territories[territory_id].rules.get(self._kind)
            if rule is not None and not rule.holds(fields):
                if miss is not None or _leaves_to_hold(rule, fields) != 1:
                    continue
                miss = (territory_id, _nearest(rule, fields, wanted=True))
            miss_of[territory_id] = miss
            if miss is not None and rule is not None:
                found.append(NearMiss(territory_id, *miss))
        found.sort(key=lambda near: (-self._model.tree.depth_of(near.territory_id), near.territory_id))
        return found[:limit]

    def _rules_on_path(self, territory_id: str) -> list[tuple[str, Criterion]]:
        path = reversed(self._model.tree.path_of(territory_id))
        rules = [(above, self._model.territories[above].rules.get(self._kind)) for above in path]
        return [(above, rule) for above, rule in rules if rule is not None]


def shorten_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Return an explanation within the bounds; its last line counts what was left out."""
    more = len(lines) - WHY_LINES_MAX
    return tuple(map(_shorten, lines)) if more <= 0 else (*map(_shorten, lines[:WHY_LINES_MAX]), f"and {more} more")


def _shorten(line: str) -> str:
    return line if len(line) <= WHY_CHARACTERS_MAX else f"{line[: WHY_CHARACTERS_MAX - 1]}…"


class _RuleLines:
    """The lines of the rules on one territory's path."""

    __slots__ = ("_always", "_parts")

    def __init__(self, rules: list[tuple[str, Criterion]]) -> None:
        self._parts = [part for territory_id, rule in rules for part in _parts(f"{territory_id}: ", rule)]
        fixed = tuple(part for part in self._parts if isinstance(part, str))
        self._always = shorten_lines(fixed) if len(fixed) == len(self._parts) else None

    def held(self, fields: Fields) -> tuple[str, ...]:
        """Return the lines of the leaves that held, if all rules hold."""
        if self._always is not None:
            return self._always
        lines: list[str] = []
        _add_held(self._parts, fields, lines)
        return tuple(lines) if len(lines) <= WHY_LINES_MAX else shorten_lines(lines)


_Part = str | list[tuple[Criterion, "list[_Part]"]]
"""A line that holds whenever the rule does; or the parts of an `any`, each with the lines that it adds if it holds."""


def _parts(prefix: str, criterion: Criterion) -> list[_Part]:
    if isinstance(criterion, All):
        return [part for inner in criterion.parts for part in _parts(prefix, inner)]
    if isinstance(criterion, AnyOf):
        return [[(inner, _parts(prefix, inner)) for inner in criterion.parts]]
    return [_shorten(prefix + line) for line in criterion.held({})]


def _add_held(parts: list[_Part], fields: Fields, lines: list[str]) -> None:
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            for criterion, inner in part:
                if criterion.holds(fields):
                    _add_held(inner, fields, lines)


def _leaves_to_hold(criterion: Criterion, fields: Fields) -> int:
    """Return how many leaves would have to change for a criterion to hold."""
    return _leaves_to_change(criterion, fields, wanted=True)


def _leaves_to_change(criterion: Criterion, fields: Fields, *, wanted: bool) -> int:
    if isinstance(criterion, Not):
        return _leaves_to_change(criterion.part, fields, wanted=not wanted)
    if isinstance(criterion, Leaf):
        return 0 if (criterion.holds(fields) if wanted else criterion.fails(fields)) else 1
    counts = [_leaves_to_change(part, fields, wanted=wanted) for part in criterion.parts]
    return sum(counts) if isinstance(criterion, All) is wanted else min(counts)


def _nearest(criterion: Criterion, fields: Fields, *, wanted: bool) -> Failure:
    """Return the one leaf that would have to change for a criterion to hold, or to fail."""
    if isinstance(criterion, Not):
        return _nearest(criterion.part, fields, wanted=not wanted)
    if isinstance(criterion, Leaf):
        return Failure(criterion.text if wanted else f"not {criterion.text}", fields.get(criterion.field))
    counts = [_leaves_to_change(part, fields, wanted=wanted) for part in criterion.parts]
    return _nearest(criterion.parts[counts.index(1)], fields, wanted=wanted)
