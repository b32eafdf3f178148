"""What every engine of the contest serves, and what all of those share that don't know the tree."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from territory.criteria import AnyOf, Criterion, Fields, Leaf, Not


class Entrant(Protocol):
    """One engine, made from one rule book."""

    carried: int
    """How many of the book's rules it carries: all, but for an engine that refuses some."""

    def prepared(self, fields: Fields) -> Any:
        """Return typed values in the form that the engine wants; not on the clock."""

    def matching(self, prepared: Any) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""


ORDER: Mapping[str, str] = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Dialect(ABC):
    """How an expression language says what a leaf asks of a value that is there."""

    def test(self, leaf: Leaf) -> str:
        """Return the expression. Raises: ValueError for an operator that no corpus has."""
        name, wanted = leaf.field, leaf.wanted
        match leaf.operator:
            case "eq" | "ne":
                return f"{name} == {self.literal(wanted)}"
            case "in" | "not_in":
                return self.is_among(name, self.listed(wanted))
            case "between" | "not_between":
                return f"{name} >= {self.literal(wanted[0])} and {name} <= {self.literal(wanted[1])}"
            case "lt" | "le" | "gt" | "ge":
                return f"{name} {ORDER[leaf.operator]} {self.literal(wanted)}"
            case "starts_with" | "not_starts_with":
                return self.starts_with(name, self.literal(wanted))
            case "contains" | "not_contains":
                return self.contains(name, self.literal(wanted))
            case "is_empty" | "is_not_empty":
                return "true"
        raise ValueError(f"no expression is known for {leaf.operator!r} ({leaf.text}); add it to the dialect")

    def listed(self, values: frozenset[Any]) -> str:
        """Return the literals of some values, in order."""
        return ", ".join(self.literal(value) for value in sorted(values))

    def literal(self, value: Any) -> str:
        """Return how a value is written: texts and truths as in JSON, the rest as the language has it."""
        return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else self.number_or_day(value)

    @abstractmethod
    def number_or_day(self, value: Any) -> str:
        """Return how a number or a day is written."""

    @abstractmethod
    def is_among(self, name: str, listed: str) -> str:
        """Return that a field has one of some values."""

    @abstractmethod
    def starts_with(self, name: str, literal: str) -> str:
        """Return that a field's text begins with another."""

    @abstractmethod
    def contains(self, name: str, literal: str) -> str:
        """Return that a field's text has another in it."""


def written(criterion: Criterion, dialect: Dialect) -> str:
    """Return a rule as an expression of `and`, `or`, `not` and `null`, as both languages have them (C1, C2)."""
    if isinstance(criterion, Leaf):
        text = f"({criterion.field} != null and {dialect.test(criterion)})"
        return f"(not {text})" if criterion.negated else text
    if isinstance(criterion, Not):
        return f"(not {written(criterion.part, dialect)})"
    word = " or " if isinstance(criterion, AnyOf) else " and "
    return f"({word.join(written(part, dialect) for part in criterion.parts)})"
