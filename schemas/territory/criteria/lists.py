"""Lists and tables of values, stored once for all rules of a model (C4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from territory.criteria.postal import table_key
from territory.criteria.values import FieldType, Value, folded

_NONE: Mapping[str, Iterable[str]] = {}


class Lists:
    """Interns the value sets of one model: rules with equal lists, or with one table, share a set."""

    def __init__(self, tables: Mapping[str, Iterable[str]] = _NONE) -> None:
        self._written = tables
        self._tables: dict[str, frozenset[Value]] = {}
        self._kept: dict[tuple[FieldType, frozenset[Value]], frozenset[Value]] = {}

    @property
    def tables(self) -> Iterable[str]:
        """The names of the model's tables."""
        return self._written

    def shared(self, kind: FieldType, values: Iterable[Value]) -> frozenset[Value]:
        """Return the interned set equal to these values."""
        found = frozenset(values)
        return self._kept.setdefault((kind, found), found)

    def table(self, name: str) -> frozenset[Value]:
        """Return the values of a table, folded for comparison (C3, C10); computed at the first use."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = self.shared(
                "text", (table_key(folded(entry)) for entry in self._written[name])
            )
        return found
