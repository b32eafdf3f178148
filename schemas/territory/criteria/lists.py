"""The lists and tables that the rules of one model name, each kept once (C4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from territory.criteria.values import FieldType, Value, folded

_NONE: Mapping[str, Iterable[str]] = {}


class Lists:
    """The lists of one model: rules that name the same values, or the same table, share one set."""

    def __init__(self, tables: Mapping[str, Iterable[str]] = _NONE) -> None:
        self._written = tables
        self._tables: dict[str, frozenset[Value]] = {}
        self._kept: dict[tuple[FieldType, frozenset[Value]], frozenset[Value]] = {}

    @property
    def tables(self) -> Iterable[str]:
        """The names of the tables that are there."""
        return self._written

    def shared(self, kind: FieldType, values: Iterable[Value]) -> frozenset[Value]:
        """Return the set of these values that is kept already, or keep it."""
        found = frozenset(values)
        return self._kept.setdefault((kind, found), found)

    def table(self, name: str) -> frozenset[Value]:
        """Return the values of a table, as texts compare (C3); read when it is first asked for."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = self.shared("text", map(folded, self._written[name]))
        return found
