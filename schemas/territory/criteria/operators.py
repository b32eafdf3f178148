"""The table of operators: the field types they fit, their operands and their tests (C2, C4, C5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from territory.criteria import days
from territory.criteria.postal import first_of_length, is_code, table_keys, without_blanks
from territory.criteria.tree import Bounds, Leaf, RelativeLeaf, Test, unanswerable, within
from territory.criteria.values import FieldType, Value
from territory.criteria.windows import Stretch, Windows
from territory.model.periods import FiscalCalendar

_EQUALITY: tuple[FieldType, ...] = ("text", "number", "money", "date", "datetime", "boolean")
_ORDER: tuple[FieldType, ...] = ("number", "money", "date", "datetime")
_DAYS: tuple[FieldType, ...] = ("date", "datetime")
_TEXT: tuple[FieldType, ...] = ("text",)
_SET: tuple[FieldType, ...] = ("set",)
_GEO: tuple[FieldType, ...] = ("geo",)
_EVERY: tuple[FieldType, ...] = ("text", "number", "money", "date", "datetime", "boolean", "set", "geo")


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator on absolute values. `shape` names the form of its operand (see `operands.py`)."""

    types: tuple[FieldType, ...]
    shape: str
    build: Callable[[Any], Test]
    negated: bool = False

    def leaf(self, field: str, kind: FieldType, *, name: str, operand: object, wanted: Any, text: str) -> Leaf:
        """Build the leaf for a field and an operand that was read.

        A datetime is compared with the first or the last instant of a day, or with all of them (C8).
        """
        if isinstance(wanted, Stretch):
            wanted = Windows.of((wanted,)) if name in ("eq", "ne") else _bound_of(name, wanted)
        if isinstance(wanted, Windows):
            word = "not_on_days" if self.negated else "on_days"
            return Leaf(field, word, operand, wanted, wanted.__contains__, self.negated, text)
        return Leaf(field, name, operand, wanted, self.build(wanted), self.negated, text)


@dataclass(frozen=True, slots=True)
class RelativeOperator:
    """An operator with a relative date; its operand describes a window of days (C7)."""

    shape: str
    window: Callable[[Any], days.Window]
    types: tuple[FieldType, ...] = _DAYS
    negated: bool = False

    def leaf(self, field: str, kind: FieldType, *, name: str, operand: object, wanted: Any, text: str) -> Leaf:
        """Build the leaf for a field and an operand that was read; it has to be made absolute with `on`."""
        window = self.window(wanted)

        def bounds(today: date, calendar: FiscalCalendar) -> Bounds:
            return days.bounds_of(kind, window(today, calendar), calendar)

        return RelativeLeaf(field, name, operand, wanted, unanswerable, self.negated, text, bounds)


def _bound_of(name: str, day: Stretch) -> Value:
    return day.first if name in ("lt", "ge") else day.last


def _equal(wanted: Value) -> Test:
    return lambda value: value == wanted


def _member_of(wanted: Any) -> Test:
    return wanted.__contains__  # type: ignore[no-any-return]  # of a set, a circle or a region


def _part(wanted: str) -> Test:
    return lambda value: wanted in value


def _beginning(wanted: str | frozenset[str]) -> Test:
    """Return a test for texts that begin with one of some; blanks in postal codes are ignored (C10)."""
    beginnings = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    begins = _begins_with(frozenset(beginnings))
    code_begins = _begins_with(frozenset(map(without_blanks, beginnings)))
    has_blanks = any(one != without_blanks(one) for one in beginnings)

    def test(value: str) -> bool:
        if begins(value):
            return True
        return (has_blanks or " " in value) and is_code(value) and code_begins(without_blanks(value))

    return test


def _begins_with(wanted: frozenset[str]) -> Test:
    if len(wanted) == 1:
        (beginning,) = wanted
        return lambda value: value.startswith(beginning)
    lengths = sorted(set(map(len, wanted)))  # few, even of many beginnings
    return lambda value: any(value[:length] in wanted for length in lengths)


def _in_table(entries: frozenset[str]) -> Test:
    return lambda value: any(key in entries for key in table_keys(value))


def _between(bounds: Bounds) -> Test:
    return within(*bounds)


def _code_between(bounds: tuple[str, str]) -> Test:
    low, high = bounds
    length = len(low)

    def test(value: str) -> bool:
        code = first_of_length(value, length)
        return code is not None and low <= code <= high

    return test


def _any_of(wanted: frozenset[str]) -> Test:
    return lambda value: not wanted.isdisjoint(value)


def _all_of(wanted: frozenset[str]) -> Test:
    return lambda value: wanted <= value


OPERATORS: dict[str, Operator | RelativeOperator] = {
    "eq": Operator(_EQUALITY, "one", _equal),
    "ne": Operator(_EQUALITY, "one", _equal, negated=True),
    "in": Operator(_EQUALITY, "many", _member_of),
    "not_in": Operator(_EQUALITY, "many", _member_of, negated=True),
    "in_table": Operator(_TEXT, "table", _in_table),
    "contains": Operator(_TEXT, "one", _part),
    "not_contains": Operator(_TEXT, "one", _part, negated=True),
    "starts_with": Operator(_TEXT, "one or many", _beginning),
    "not_starts_with": Operator(_TEXT, "one or many", _beginning, negated=True),
    "ends_with": Operator(_TEXT, "one", lambda wanted: lambda value: value.endswith(wanted)),
    "postal_between": Operator(_TEXT, "codes", _code_between),
    "lt": Operator(_ORDER, "one", lambda bound: lambda value: value < bound),
    "le": Operator(_ORDER, "one", lambda bound: lambda value: value <= bound),
    "gt": Operator(_ORDER, "one", lambda bound: lambda value: value > bound),
    "ge": Operator(_ORDER, "one", lambda bound: lambda value: value >= bound),
    "between": Operator(_ORDER, "pair", _between),
    "not_between": Operator(_ORDER, "pair", _between, negated=True),
    "within_last_days": RelativeOperator("days", days.last_days),
    "within_next_days": RelativeOperator("days", days.next_days),
    "older_than_days": RelativeOperator("days", days.before_last_days),
    "in_period": RelativeOperator("period", days.period),
    "includes_any": Operator(_SET, "texts", _any_of),
    "includes_all": Operator(_SET, "texts", _all_of),
    "excludes_any": Operator(_SET, "texts", _any_of, negated=True),
    "excludes_all": Operator(_SET, "texts", _all_of, negated=True),
    "within_km": Operator(_GEO, "circle", _member_of),
    "in_polygon": Operator(_GEO, "region", _member_of),
    "is_empty": Operator(_EVERY, "flag", lambda _: lambda value: True, negated=True),
    "is_not_empty": Operator(_EVERY, "flag", lambda _: lambda value: True),
}
