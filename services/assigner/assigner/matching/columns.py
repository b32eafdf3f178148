"""The index of one column: from a field's value to the clauses that the value does not rule out.

The clauses of a block of siblings are numbered; a set of clauses is an integer with one bit each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from assigner.matching.clauses import Column, Members, NotValues, Predicate, Prefixes, Span, Spans, Values
from territory.criteria.postal import first_of_length, is_code, table_keys, without_blanks
from territory.criteria.values import Unreadable, Value

LONG_LIST = 64
LONG_LISTS_MAX = 8
"""Up to so many long lists in a column are searched one by one; with more, every value has an entry in the table."""


Lookup = Callable[[Value | Unreadable | None, int], int]

_UNREADABLE = Unreadable(None, "text")
"""Equal to every unreadable value: the key of their common entry in a table."""


class ColumnIndex:
    """One column of one block.

    Attributes:
        asking: The clauses with a predicate of this column.
        there: The clauses that a value without an entry in the table does not rule out.
        bits: Called with a value, None for a missing one, and `there`; returns the clauses that it does not rule out.
            An unreadable value rules out all that ask for more than that it is there (C2).
    """

    __slots__ = (
        "_are_sets", "_codes", "_has_blanks", "_length", "_lines", "_long", "_prefixes", "_refusing", "_table",
        "asking", "bits", "there",
    )  # fmt: skip

    def __init__(self, column: Column, everything: int, asked: list[tuple[int, Predicate]]) -> None:
        """Index predicates, each with the bit of its clause; the other clauses of `everything` have none here."""
        self._length = column.length
        self._are_sets = any(isinstance(predicate, Members) for _, predicate in asked)
        self.asking = sum(bit for bit, _ in asked)
        self.there = missing = unreadable = everything & ~self.asking
        equal: dict[frozenset[Any], int] = {}
        unequal: dict[frozenset[Any], int] = {}
        self._refusing = 0
        prefixes: dict[int, dict[str, int]] = {}
        codes: dict[int, dict[str, int]] = {}
        spans: list[tuple[int, Span]] = []
        for bit, predicate in asked:
            if isinstance(predicate, Values | Members):
                equal[predicate.values] = equal.get(predicate.values, 0) | bit
            elif isinstance(predicate, NotValues):
                unequal[predicate.values] = unequal.get(predicate.values, 0) | bit
                self._refusing |= bit
                self.there |= bit
                missing |= bit
            elif isinstance(predicate, Prefixes):
                for prefix in predicate.prefixes:
                    _add(prefixes, prefix, bit)
                    _add(codes, without_blanks(prefix), bit)
            elif isinstance(predicate, Spans):
                spans += [(bit, span) for span in predicate.spans]
                missing |= bit if predicate.missing else 0
            elif predicate.there:
                self.there |= bit
                unreadable |= bit
            else:
                missing |= bit
        self._long = [(values, bits) for values, bits in equal.items() if len(values) >= LONG_LIST]
        if self._are_sets or len(self._long) > LONG_LISTS_MAX:
            self._long = []
        asked_alone = {values for values, _ in self._long}
        accepting = _by_value((values, bits) for values, bits in equal.items() if values not in asked_alone)
        refusing = _by_value(unequal.items())
        self._table: dict[Value | Unreadable | None, int] = {
            value: (self.there | accepting.get(value, 0)) & ~refusing.get(value, 0)
            for value in accepting.keys() | refusing.keys()
        }
        self._table[None], self._table[_UNREADABLE] = missing, unreadable
        self._prefixes, self._codes = sorted(prefixes.items()), sorted(codes.items())
        self._has_blanks = prefixes != codes
        self._lines = SpanTable(spans) if spans else None
        self.bits: Lookup = self._lookup(column.kind)

    def _lookup(self, kind: str) -> Lookup:
        if kind == "postal":
            return self._postal_bits
        if kind == "table":
            return self._key_bits
        if self._are_sets or self._long or self._prefixes:
            return self._bits
        if self._lines is None:
            return self._table.get
        return self._bits if len(self._table) > 2 else self._line_bits

    def _postal_bits(self, value: Value | Unreadable | None, there: int) -> int:
        """Look up the first characters of a postal code; a code without such has no place in any range (C10)."""
        if value.__class__ is Unreadable:
            return self._table[value]
        code = None if value is None else first_of_length(value, self._length)  # type: ignore[arg-type]  # a text
        return self._table[None] if code is None else there | self._lines.bits(code)  # type: ignore[union-attr]

    def _key_bits(self, value: Value | Unreadable | None, there: int) -> int:
        """Look up a value by its keys in tables: one must be there, or for a negation none may be (C10)."""
        if value is None or value.__class__ is Unreadable:
            return self._table[value]
        accepted, kept = 0, -1
        for key in table_keys(value):  # type: ignore[arg-type]  # a text
            found = self._table.get(key, there)
            for values, bits in self._long:
                if key in values:
                    found |= bits
            accepted |= found
            kept &= found
        return accepted & ~self._refusing | kept & self._refusing

    def _line_bits(self, value: Value | Unreadable | None, there: int) -> int:
        """Return the same as `_bits` for a column that has ranges only."""
        if value is None or value.__class__ is Unreadable:
            return self._table[value]
        return there | self._lines.bits(value)  # type: ignore[union-attr]  # it has ranges

    def _bits(self, value: Value | Unreadable | None, there: int) -> int:
        if value is None or value.__class__ is Unreadable:
            return self._table[value]
        if self._are_sets:
            for member in value:  # type: ignore[union-attr]  # of a field of type set
                there |= self._table.get(member, 0)
            return there
        found = self._table.get(value, there)
        for values, bits in self._long:
            if value in values:
                found |= bits
        for length, by_prefix in self._prefixes:
            found |= by_prefix.get(value[:length], 0)  # type: ignore[index, arg-type]  # a text
        if self._codes and (self._has_blanks or " " in value) and is_code(value):  # type: ignore[arg-type, operator]
            code = without_blanks(value)  # type: ignore[arg-type]  # only texts have prefixes
            for length, by_prefix in self._codes:
                found |= by_prefix.get(code[:length], 0)
        if self._lines is not None:
            found |= self._lines.bits(value)
        return found


class SpanTable:
    """The clauses with a span that a value is in, by binary search over the sorted bounds."""

    __slots__ = ("_bits", "_bounds")

    def __init__(self, spans: list[tuple[int, Span]]) -> None:
        bounds = {bound for _, span in spans for bound in (span.low, span.high) if bound is not None}
        self._bounds: list[Any] = sorted(bounds)
        rank = {bound: place for place, bound in enumerate(self._bounds)}
        self._bits = [0] * (2 * len(rank) + 1)
        opening: dict[int, int] = {}
        closing: dict[int, int] = {}
        for bit, span in spans:
            first = 0 if span.low is None else 2 * rank[span.low] + (1 if span.low_included else 2)
            last = 2 * len(rank) if span.high is None else 2 * rank[span.high] + (1 if span.high_included else 0)
            opening[first] = opening.get(first, 0) | bit
            closing[last + 1] = closing.get(last + 1, 0) | bit
        is_open = 0
        for place in range(len(self._bits)):
            # Closing first: one span of a clause may end where another begins.
            is_open = is_open & ~closing.get(place, 0) | opening.get(place, 0)
            self._bits[place] = is_open

    def bits(self, value: Any) -> int:
        """Return the clauses with a span that a value is in."""
        at = bisect_left(self._bounds, value)
        is_bound = at < len(self._bounds) and self._bounds[at] == value
        return self._bits[2 * at + is_bound]


def _add(prefixes: dict[int, dict[str, int]], prefix: str, bit: int) -> None:
    by_prefix = prefixes.setdefault(len(prefix), {})
    by_prefix[prefix] = by_prefix.get(prefix, 0) | bit


def _by_value(groups: Iterable[tuple[frozenset[Any], int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for values, bits in groups:
        for value in values:
            found[value] = found.get(value, 0) | bits
    return found
