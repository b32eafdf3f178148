"""What every engine of the contest serves, and what all of those share that don't know the tree."""

from __future__ import annotations

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


class Dialect(Protocol):
    """How an expression language says what a leaf asks of a value that is there."""

    def test(self, leaf: Leaf) -> str:
        """Return the expression. Raises: ValueError for an operator that no corpus has."""


def written(criterion: Criterion, dialect: Dialect) -> str:
    """Return a rule as an expression of `and`, `or`, `not` and `null`, as both languages have them (C1, C2)."""
    if isinstance(criterion, Leaf):
        text = f"({criterion.field} != null and {dialect.test(criterion)})"
        return f"(not {text})" if criterion.negated else text
    if isinstance(criterion, Not):
        return f"(not {written(criterion.part, dialect)})"
    word = " or " if isinstance(criterion, AnyOf) else " and "
    return f"({word.join(written(part, dialect) for part in criterion.parts)})"


def unwritable(leaf: Leaf) -> ValueError:
    """Return what a dialect raises for an operator that it does not know."""
    return ValueError(f"no expression is known for {leaf.operator!r} ({leaf.text}); add it to the dialect")
