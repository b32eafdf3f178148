"""Why a territory takes a record, why another does not, and which ones nearly did (A10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from territory.criteria import All, AnyOf, Criterion, Failure, Fields, Leaf, Not
from territory.model.compiled import Model
from territory.model.document import RuledObject

WHY_LINES_MAX = 100
WHY_CHARACTERS_MAX = 300
"""How many leaves are told of one link, and how much of each: a model that has rules of thousands of leaves, or
operands of any length, must not make an assignment that its topic refuses, which would stop the partition."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A territory that would qualify if one leaf held: its own or one of a territory above it."""

    territory_id: str
    failing_territory: str
    failure: Failure


class RuleExplainer:
    """Tells about one object type under one model. Lines are made once; records choose among them."""

    def __init__(self, model: Model, kind: RuledObject) -> None:
        self._model = model
        self._kind = kind
        self._tellers: dict[str, _Teller] = {}

    def why(self, territory_id: str, fields: Fields) -> tuple[str, ...]:
        """Return the leaves that held for a qualifying territory, from the root down."""
        teller = self._tellers.get(territory_id)
        if teller is None:
            teller = self._tellers[territory_id] = _Teller(self._rules_above(territory_id))
        return teller.lines(fields)

    def failure(self, territory_id: str, fields: Fields) -> tuple[str, Failure] | None:
        """Return the first territory from the root down whose rule fails, and its failing leaf; None if none does."""
        for above, rule in self._rules_above(territory_id):
            if not rule.holds(fields):
                return above, rule.failure(fields)
        return None

    def near_misses(self, fields: Fields, limit: int) -> list[NearMiss]:
        """Return territories with a rule that fail by exactly one leaf, ancestors' rules included; deepest first.

        Of an `any`, the part with the fewest failing leaves counts; of a `not`, the leaves that
        would have to fail.
        """
        found: list[NearMiss] = []
        miss_of: dict[str, tuple[str, Failure] | None] = {}
        """By territory that is no further than one leaf away: what fails there or above."""
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

    def _rules_above(self, territory_id: str) -> list[tuple[str, Criterion]]:
        path = reversed(self._model.tree.path_of(territory_id))
        rules = [(above, self._model.territories[above].rules.get(self._kind)) for above in path]
        return [(above, rule) for above, rule in rules if rule is not None]


def told(lines: Sequence[str]) -> tuple[str, ...]:
    """Return why as an assignment says it: so many lines, and how many there are besides."""
    more = len(lines) - WHY_LINES_MAX
    return tuple(map(_cut, lines)) if more <= 0 else (*map(_cut, lines[:WHY_LINES_MAX]), f"and {more} more")


def _cut(line: str) -> str:
    return line if len(line) <= WHY_CHARACTERS_MAX else f"{line[: WHY_CHARACTERS_MAX - 1]}…"


class _Teller:
    """Tells why one territory takes a record."""

    __slots__ = ("_always", "_parts")

    def __init__(self, rules: list[tuple[str, Criterion]]) -> None:
        self._parts = [part for territory_id, rule in rules for part in _parts(f"{territory_id}: ", rule)]
        fixed = tuple(part for part in self._parts if isinstance(part, str))
        self._always = told(fixed) if len(fixed) == len(self._parts) else None

    def lines(self, fields: Fields) -> tuple[str, ...]:
        if self._always is not None:
            return self._always
        lines: list[str] = []
        _tell(self._parts, fields, lines)
        return tuple(lines) if len(lines) <= WHY_LINES_MAX else told(lines)


_Part = str | list[tuple[Criterion, "list[_Part]"]]
"""A line that is told always, or those of an `any` with what each is told for."""


def _parts(prefix: str, criterion: Criterion) -> list[_Part]:
    if isinstance(criterion, All):
        return [part for inner in criterion.parts for part in _parts(prefix, inner)]
    if isinstance(criterion, AnyOf):
        return [[(inner, _parts(prefix, inner)) for inner in criterion.parts]]
    return [_cut(prefix + line) for line in criterion.held({})]


def _tell(parts: list[_Part], fields: Fields, lines: list[str]) -> None:
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            for criterion, inner in part:
                if criterion.holds(fields):
                    _tell(inner, fields, lines)


def _leaves_to_hold(criterion: Criterion, fields: Fields) -> int:
    """Return how many leaves would have to change for a criterion to hold."""
    return _leaves_to_change(criterion, fields, wanted=True)


def _leaves_to_change(criterion: Criterion, fields: Fields, *, wanted: bool) -> int:
    if isinstance(criterion, Not):
        return _leaves_to_change(criterion.part, fields, wanted=not wanted)
    if isinstance(criterion, Leaf):
        return 0 if criterion.holds(fields) is wanted else 1
    counts = [_leaves_to_change(part, fields, wanted=wanted) for part in criterion.parts]
    return sum(counts) if isinstance(criterion, All) is wanted else min(counts)


def _nearest(criterion: Criterion, fields: Fields, *, wanted: bool) -> Failure:
    """Return the one leaf that would have to change."""
    if isinstance(criterion, Not):
        return _nearest(criterion.part, fields, wanted=not wanted)
    if isinstance(criterion, Leaf):
        return Failure(criterion.text if wanted else f"not {criterion.text}", fields.get(criterion.field))
    counts = [_leaves_to_change(part, fields, wanted=wanted) for part in criterion.parts]
    return _nearest(criterion.parts[counts.index(1)], fields, wanted=wanted)
