"""The criteria tree: evaluation, and the reasons why it holds or fails (C1, C2, A10).

The logic is Kleene's: a comparison with an unreadable value is neither true nor false. `holds` says that
criteria are true, `fails` that they are false; where both are False, the answer is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from territory.criteria.values import Unreadable, Value
from territory.errors import DayNotSet
from territory.model.periods import FiscalCalendar

SHOWN_VALUES_MAX = 5

Test = Callable[[Any], bool]
Fields = Mapping[str, Value | Unreadable]
"""A record's typed values by field; a missing field is absent (C2)."""
_EMPTINESS = ("is_empty", "is_not_empty")
"""Operators that an unreadable value answers: it is there, whatever it is (C2)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A comparison of one field with an operand. `test` never gets a missing or an unreadable value (C2)."""

    field: str
    operator: str
    """As in the model; a datetime that is compared with days has `on_days` or `not_on_days` (C8)."""
    operand: object
    """The operand as written in the model."""
    wanted: Any
    """The operand as typed, folded values: one value, a frozenset for a list or a table, a (low, high)
    tuple for bounds with None for an open end, Windows, a Circle or a Region. A relative leaf has its number of
    days or its period until `on` makes it absolute."""
    test: Test
    negated: bool
    text: str
    """The leaf as people read it. It is built once, because every assignment quotes it (A10)."""

    def holds(self, fields: Fields) -> bool:
        """Whether the record certainly matches: an unreadable value makes it unknown (C1, C2)."""
        value = fields.get(self.field)
        if value.__class__ is Unreadable:
            return self.operator in _EMPTINESS and not self.negated
        return (value is not None and self.test(value)) is not self.negated

    def fails(self, fields: Fields) -> bool:
        """Whether the record certainly does not match (C1, C2)."""
        value = fields.get(self.field)
        if value.__class__ is Unreadable:
            return self.operator in _EMPTINESS and self.negated
        return (value is not None and self.test(value)) is self.negated

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; call only if it holds (A10)."""
        return [self.text]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; call only if it fails (A10)."""
        return Failure(self.text, fields.get(self.field))

    @property
    def is_relative(self) -> bool:
        """Whether it has a relative date that is not absolute yet (C7)."""
        return False

    def on(self, today: date, calendar: FiscalCalendar) -> Criterion:
        """Make relative dates absolute for a day; return the same object if there are none (C7)."""
        return self

    def __str__(self) -> str:
        return self.text


Bounds = tuple[Value | None, Value | None]
"""The lowest and the highest matching value; None for an open end."""


@dataclass(frozen=True, slots=True)
class RelativeLeaf(Leaf):
    """A leaf with a relative date. It can't be evaluated until `on` makes it absolute (C7)."""

    bounds: Callable[[date, FiscalCalendar], Bounds]

    def holds(self, fields: Fields) -> bool:
        """Raise DayNotSet: without a day there is no answer."""
        raise DayNotSet(f"{self.text} depends on the day, and no day was set; call `Model.on` first")

    def fails(self, fields: Fields) -> bool:
        """Raise DayNotSet: without a day there is no answer."""
        raise DayNotSet(f"{self.text} depends on the day, and no day was set; call `Model.on` first")

    def failure(self, fields: Fields) -> Failure:
        """Raise DayNotSet: without a day there is no answer."""
        raise DayNotSet(f"{self.text} depends on the day, and no day was set; call `Model.on` first")

    @property
    def is_relative(self) -> bool:
        """Always True (C7)."""
        return True

    def on(self, today: date, calendar: FiscalCalendar) -> Leaf:
        """Return the leaf with absolute, inclusive bounds for a day of the organisation (C7)."""
        bounds = self.bounds(today, calendar)
        return Leaf(self.field, self.operator, self.operand, bounds, within(*bounds), self.negated, self.text)


def within(low: Any, high: Any) -> Test:
    """Return a test for values between two inclusive bounds; None for an open end."""
    if low is None:
        return lambda value: value <= high
    if high is None:
        return lambda value: value >= low
    return lambda value: low <= value <= high


def unanswerable(value: Value) -> bool:
    """Raise DayNotSet: the placeholder test of a relative leaf."""
    raise DayNotSet(f"found {value}, but no day was set to compare it with; call `Model.on` first")


@dataclass(frozen=True, slots=True)
class All:
    """Holds when every part holds."""

    parts: tuple[Criterion, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether the record certainly matches (C1, C2)."""
        for part in self.parts:  # a loop, because `all()` over a generator takes twice as long
            if not part.holds(fields):
                return False
        return True

    def fails(self, fields: Fields) -> bool:
        """Whether the record certainly does not match (C1, C2)."""
        for part in self.parts:
            if part.fails(fields):
                return True
        return False

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; call only if it holds (A10)."""
        return [leaf for part in self.parts for leaf in part.held(fields)]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; call only if it fails (A10)."""
        return next(part for part in self.parts if not part.holds(fields)).failure(fields)

    @property
    def is_relative(self) -> bool:
        """Whether a part has a relative date that is not absolute yet (C7)."""
        return any(part.is_relative for part in self.parts)

    def on(self, today: date, calendar: FiscalCalendar) -> Criterion:
        """Make relative dates absolute for a day; return the same object if there are none (C7)."""
        return All(tuple(part.on(today, calendar) for part in self.parts)) if self.is_relative else self

    def __str__(self) -> str:
        return "all(" + ", ".join(map(str, self.parts)) + ")"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple[Criterion, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether the record certainly matches (C1, C2)."""
        for part in self.parts:
            if part.holds(fields):
                return True
        return False

    def fails(self, fields: Fields) -> bool:
        """Whether the record certainly does not match (C1, C2)."""
        for part in self.parts:
            if not part.fails(fields):
                return False
        return True

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; call only if it holds (A10)."""
        return [leaf for part in self.parts if part.holds(fields) for leaf in part.held(fields)]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; call only if it fails (A10)."""
        return self.parts[0].failure(fields)

    @property
    def is_relative(self) -> bool:
        """Whether a part has a relative date that is not absolute yet (C7)."""
        return any(part.is_relative for part in self.parts)

    def on(self, today: date, calendar: FiscalCalendar) -> Criterion:
        """Make relative dates absolute for a day; return the same object if there are none (C7)."""
        return AnyOf(tuple(part.on(today, calendar) for part in self.parts)) if self.is_relative else self

    def __str__(self) -> str:
        return "any(" + ", ".join(map(str, self.parts)) + ")"


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part certainly fails, not where that is unknown (C2)."""

    part: Criterion

    def holds(self, fields: Fields) -> bool:
        """Whether the record certainly matches (C1, C2)."""
        return self.part.fails(fields)

    def fails(self, fields: Fields) -> bool:
        """Whether the record certainly does not match (C1, C2)."""
        return self.part.holds(fields)

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; call only if it holds (A10)."""
        return [f"not {self.part}"]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; call only if it fails (A10)."""
        culprit = self.part
        while not isinstance(culprit, Leaf):
            if isinstance(culprit, Not):
                return culprit.part.failure(fields)  # double negation
            culprit = next(part for part in culprit.parts if not part.fails(fields))
        return Failure(f"not {culprit}", fields.get(culprit.field))

    @property
    def is_relative(self) -> bool:
        """Whether its part has a relative date that is not absolute yet (C7)."""
        return self.part.is_relative

    def on(self, today: date, calendar: FiscalCalendar) -> Criterion:
        """Make relative dates absolute for a day; return the same object if there are none (C7)."""
        return Not(self.part.on(today, calendar)) if self.is_relative else self

    def __str__(self) -> str:
        return f"not {self.part}"


Criterion = Leaf | All | AnyOf | Not


def leaves_of(criterion: Criterion) -> Iterator[Leaf]:
    """Iterate over the leaves of a criteria tree."""
    if isinstance(criterion, Leaf):
        yield criterion
    elif isinstance(criterion, Not):
        yield from leaves_of(criterion.part)
    else:
        for part in criterion.parts:
            yield from leaves_of(part)


@dataclass(frozen=True, slots=True)
class Failure:
    """The first leaf that did not hold, with the record's value; None if it is missing (A10)."""

    leaf: str
    value: Value | Unreadable | None

    def __str__(self) -> str:
        found = "is missing" if self.value is None else f"is {shown(self.value)}"
        return f"{self.leaf}: the record's value {found}"


def shown(value: object) -> str:
    """Format an operand or a value for people; long lists are cut."""
    if isinstance(value, frozenset):
        return shown(sorted(value))
    if isinstance(value, list | tuple):
        beginning = ", ".join(map(shown, value[:SHOWN_VALUES_MAX]))
        more = len(value) - SHOWN_VALUES_MAX
        return f"[{beginning}, … {more} more]" if more > 0 else f"[{beginning}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
