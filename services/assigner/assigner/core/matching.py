"""Which territories a record qualifies for, along the tree (A1, A2), and why (A10).

This is the plain matcher: it walks the tree from the roots and leaves out the subtree of
every territory whose rule fails.
"""

from __future__ import annotations

from collections.abc import Mapping

from territory.criteria import All, AnyOf, Criterion, Failure, Fields
from territory.documents import RuledObject
from territory.model import Model
from territory.values import read_fields


class Matcher:
    """Finds the territories that take a record by rule, under one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._branches = {kind: _branches(model, kind) for kind in ("account", "lead")}
        self._tellers: dict[tuple[str, RuledObject], _Teller] = {}

    def fields_of(self, object_type: str, fields: Mapping[str, object]) -> tuple[Fields, int]:
        """Return the typed values of a record's fields, and how many were of the wrong type (C6)."""
        return read_fields(self._model.field_types.get(object_type, {}), fields)  # type: ignore[call-overload]

    def matching(self, object_type: RuledObject, fields: Fields) -> list[str]:
        """Return the qualifying territories with a rule and no qualifying descendant with one (A2)."""
        found: list[str] = []
        for branch in self._branches[object_type]:
            branch.collect(fields, found)
        return found

    def why(self, territory_id: str, object_type: RuledObject, fields: Fields) -> tuple[str, ...]:
        """Return the leaves that held for a matching territory, from the root down (A10)."""
        teller = self._tellers.get((territory_id, object_type))
        if teller is None:
            path = reversed(self._model.tree.path_of(territory_id))
            rules = [(above, self._model.territories[above].rules.get(object_type)) for above in path]
            teller = _Teller([(above, rule) for above, rule in rules if rule is not None])
            self._tellers[territory_id, object_type] = teller
        return teller.lines(fields)

    def failure(self, territory_id: str, object_type: RuledObject, fields: Fields) -> tuple[str, Failure] | None:
        """Return the first territory from the root down whose rule fails, and its failing leaf; None if none does."""
        for above in reversed(self._model.tree.path_of(territory_id)):
            rule = self._model.territories[above].rules.get(object_type)
            if rule is not None and not rule.holds(fields):
                return above, rule.failure(fields)
        return None


class _Teller:
    """Tells why a territory takes a record (A10). Its lines are made once; records choose among them."""

    __slots__ = ("_always", "_parts")

    def __init__(self, rules: list[tuple[str, Criterion]]) -> None:
        self._parts = [part for territory_id, rule in rules for part in _parts(f"{territory_id}: ", rule)]
        fixed = tuple(part for part in self._parts if isinstance(part, str))
        self._always = fixed if len(fixed) == len(self._parts) else None

    def lines(self, fields: Fields) -> tuple[str, ...]:
        if self._always is not None:
            return self._always
        lines: list[str] = []
        _tell(self._parts, fields, lines)
        return tuple(lines)


_Part = str | list[tuple[Criterion, "list[_Part]"]]
"""A line that is told always, or those of an `any` with what each is told for."""


def _parts(prefix: str, criterion: Criterion) -> list[_Part]:
    if isinstance(criterion, All):
        return [part for inner in criterion.parts for part in _parts(prefix, inner)]
    if isinstance(criterion, AnyOf):
        return [[(inner, _parts(prefix, inner)) for inner in criterion.parts]]
    return [prefix + line for line in criterion.held({})]


def _tell(parts: list[_Part], fields: Fields, lines: list[str]) -> None:
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            for criterion, inner in part:
                if criterion.holds(fields):
                    _tell(inner, fields, lines)


class _Branch:
    """One territory that has a rule for an object, above those of its descendants that do.

    Territories without a rule pass their parent's answer on (A1): they need no node here.
    """

    __slots__ = ("_below", "_rule", "_territory_id")

    def __init__(self, territory_id: str, rule: Criterion, below: list[_Branch]) -> None:
        self._territory_id = territory_id
        self._rule = rule
        self._below = below

    def collect(self, fields: Fields, found: list[str]) -> None:
        if not self._rule.holds(fields):
            return
        before = len(found)
        for branch in self._below:
            branch.collect(fields, found)
        if len(found) == before:
            found.append(self._territory_id)


def _branches(model: Model, kind: RuledObject) -> list[_Branch]:
    below: dict[str | None, list[_Branch]] = {}
    for territory_id in reversed(list(model.tree)):  # children before their parents
        rule = model.territories[territory_id].rules.get(kind)
        collected = below.pop(territory_id, [])
        branches = collected if rule is None else [_Branch(territory_id, rule, collected)]
        if branches:
            below.setdefault(model.tree.parent_of(territory_id), [])[:0] = branches
    return below.get(None, [])
