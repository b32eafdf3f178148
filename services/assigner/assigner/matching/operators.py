"""Operators by what can be made of them, whichever way a rule is looked at."""

from __future__ import annotations

from typing import Any

from territory.criteria import Leaf
from territory.criteria.values import Value

EQUAL = frozenset({"eq", "ne", "in", "not_in", "in_table"})
"""Their positive test is that the field has one of the leaf's values (`values_of`)."""
RELATIVE = frozenset({"within_last_days", "within_next_days", "older_than_days", "in_period"})
"""Their meaning moves with the day (C7)."""


def values_of(leaf: Leaf) -> frozenset[Value]:
    """Return the values of which a leaf's positive test wants one; its operator is one of `EQUAL`."""
    wanted: Any = leaf.wanted
    return wanted if isinstance(wanted, frozenset) else frozenset((wanted,))
