"""Which territories a record qualifies for, along the tree (A1, A2), and why (A10).

This is the plain matcher: it walks the tree from the roots and leaves out the subtree of
every territory whose rule fails.
"""

from __future__ import annotations

from collections.abc import Mapping

from territory.criteria import Criterion, Failure, Fields, holds_one_way
from territory.documents import RuledObject
from territory.model import Model
from territory.values import read_fields


class Matcher:
    """Finds the territories that take a record by rule, under one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._branches = {kind: _branches(model, kind) for kind in ("account", "lead")}
        self._one_way: dict[tuple[str, RuledObject], tuple[str, ...] | None] = {}

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
        key = (territory_id, object_type)
        if key not in self._one_way:
            path = self._model.tree.path_of(territory_id)
            rules = [self._model.territories[above].rules.get(object_type) for above in path]
            is_fixed = all(rule is None or holds_one_way(rule) for rule in rules)
            self._one_way[key] = self._why(territory_id, object_type, fields) if is_fixed else None
        fixed = self._one_way[key]
        return self._why(territory_id, object_type, fields) if fixed is None else fixed

    def _why(self, territory_id: str, object_type: RuledObject, fields: Fields) -> tuple[str, ...]:
        territories = self._model.territories
        return tuple(
            f"{above}: {leaf}"
            for above in reversed(self._model.tree.path_of(territory_id))
            if (rule := territories[above].rules.get(object_type)) is not None
            for leaf in rule.held(fields)
        )

    def failure(self, territory_id: str, object_type: RuledObject, fields: Fields) -> tuple[str, Failure] | None:
        """Return the first territory from the root down whose rule fails, and its failing leaf; None if none does."""
        for above in reversed(self._model.tree.path_of(territory_id)):
            rule = self._model.territories[above].rules.get(object_type)
            if rule is not None and not rule.holds(fields):
                return above, rule.failure(fields)
        return None


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
