"""Groups of operators that the engines and the rule analysis treat alike."""

from __future__ import annotations

from typing import Any

from territory.criteria import Leaf
from territory.criteria.values import Value

EQUAL = frozenset({"eq", "ne", "in", "not_in"})
"""Operators that test whether the field has one of the leaf's values (`values_of`), or that it has none."""
TABLE = frozenset({"in_table"})
"""Operators that test whether one of the field's keys is one of the leaf's values (`postal.table_keys`)."""
RELATIVE = frozenset({"within_last_days", "within_next_days", "older_than_days", "in_period"})
"""Operators whose bounds depend on the current day (C7)."""


PREFIX = frozenset({"starts_with", "not_starts_with"})
"""Operators that test whether the text begins with one of the leaf's values (`values_of`), or with none."""


def values_of(leaf: Leaf) -> frozenset[Value]:
    """Return the values of a leaf whose operator is one of `EQUAL`, `TABLE` or `PREFIX`."""
    wanted: Any = leaf.wanted
    return wanted if isinstance(wanted, frozenset) else frozenset((wanted,))
