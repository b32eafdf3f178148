"""The interface of every engine in the contest, and what engines that do not know the tree share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from territory.criteria import AnyOf, Criterion, Fields, Leaf, Not


class Entrant(Protocol):
    """One engine, made from one rule book."""

    carried: int
    """Number of the book's rules it can represent; all, except for an engine that refuses some."""

    def prepared(self, fields: Fields) -> Any:
        """Convert typed values to the engine's own format; not on the clock."""

    def matching(self, prepared: Any) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""


ORDER: Mapping[str, str] = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Dialect(ABC):
    """How an expression language writes a leaf for a value that is present."""

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
        """Write a value: texts and booleans as in JSON, the rest in the language's own way."""
        return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else self.number_or_day(value)

    @abstractmethod
    def number_or_day(self, value: Any) -> str:
        """Write a number or a day."""

    @abstractmethod
    def is_among(self, name: str, listed: str) -> str:
        """Write that a field has one of some values."""

    @abstractmethod
    def starts_with(self, name: str, literal: str) -> str:
        """Write that a field's text begins with another."""

    @abstractmethod
    def contains(self, name: str, literal: str) -> str:
        """Write that a field's text contains another."""


def written(criterion: Criterion, dialect: Dialect) -> str:
    """Return a rule as an expression of `and`, `or`, `not` and `null`, which both languages have (C1, C2)."""
    if isinstance(criterion, Leaf):
        text = f"({criterion.field} != null and {dialect.test(criterion)})"
        return f"(not {text})" if criterion.negated else text
    if isinstance(criterion, Not):
        return f"(not {written(criterion.part, dialect)})"
    word = " or " if isinstance(criterion, AnyOf) else " and "
    return f"({word.join(written(part, dialect) for part in criterion.parts)})"
