"""The rule language: parsed, type-checked against the declared fields, and evaluated plainly (C1 to C6).

A criteria tree is `all`, `any`, `not` over leaves `{field: NAME, OPERATOR: OPERAND}`. The logic
is two-valued: a negative operator is the negation of its positive one, so it holds for a
missing field (C2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from territory.errors import Fault
from territory.values import FieldType, Value, read_value

NESTING_MAX = 32
SHOWN_VALUES_MAX = 5

Test = Callable[[Any], bool]
Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison of one field; `test` sees only values that are there (C2)."""

    field: str
    operator: str
    operand: object
    """As it is written in the model."""
    wanted: Any
    """The operand as a typed, folded value: one value, a frozenset for a list, a (low, high) tuple for bounds."""
    test: Test
    negated: bool
    text: str
    """How it is shown; made once, since every assignment says why (A10)."""

    def holds(self, fields: Fields) -> bool:
        """Whether it holds for a record's typed values (C1, C2)."""
        value = fields.get(self.field)
        return (value is not None and self.test(value)) is not self.negated

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; ask only where it does (A10)."""
        return [self.text]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; ask only where it does (A10)."""
        return Failure(self.text, fields.get(self.field))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class All:
    """Holds when every part holds."""

    parts: tuple[Criterion, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether it holds for a record's typed values (C1, C2)."""
        for part in self.parts:  # a plain loop: `all()` over a generator costs twice as much
            if not part.holds(fields):
                return False
        return True

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; ask only where it does (A10)."""
        return [leaf for part in self.parts for leaf in part.held(fields)]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; ask only where it does (A10)."""
        return next(part for part in self.parts if not part.holds(fields)).failure(fields)

    def __str__(self) -> str:
        return "all(" + ", ".join(map(str, self.parts)) + ")"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple[Criterion, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether it holds for a record's typed values (C1, C2)."""
        for part in self.parts:
            if part.holds(fields):
                return True
        return False

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; ask only where it does (A10)."""
        return [leaf for part in self.parts if part.holds(fields) for leaf in part.held(fields)]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; ask only where it does (A10)."""
        return self.parts[0].failure(fields)

    def __str__(self) -> str:
        return "any(" + ", ".join(map(str, self.parts)) + ")"


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part does not."""

    part: Criterion

    def holds(self, fields: Fields) -> bool:
        """Whether it holds for a record's typed values (C1, C2)."""
        return not self.part.holds(fields)

    def held(self, fields: Fields) -> list[str]:
        """Return the leaves that made it hold; ask only where it does (A10)."""
        return [f"not {self.part}"]

    def failure(self, fields: Fields) -> Failure:
        """Return the first leaf that made it fail; ask only where it does (A10)."""
        culprit = self.part
        while not isinstance(culprit, Leaf):
            if isinstance(culprit, Not):
                return culprit.part.failure(fields)  # denied twice
            culprit = next(part for part in culprit.parts if part.holds(fields))
        return Failure(f"not {culprit}", fields.get(culprit.field))

    def __str__(self) -> str:
        return f"not {self.part}"


Criterion = Leaf | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Failure:
    """The first leaf that failed, and the record's value, None where it is missing (A10)."""

    leaf: str
    value: Value | None

    def __str__(self) -> str:
        found = "is missing" if self.value is None else f"is {_shown(self.value)}"
        return f"{self.leaf}: the record's value {found}"


def _shown(operand: object) -> str:
    if isinstance(operand, list | tuple):
        shown = ", ".join(map(_shown, operand[:SHOWN_VALUES_MAX]))
        more = len(operand) - SHOWN_VALUES_MAX
        return f"[{shown}, … {more} more]" if more > 0 else f"[{shown}]"
    return str(operand).lower() if isinstance(operand, bool) else str(operand)


# --- operators -------------------------------------------------------------------------------

_EQUALITY: tuple[FieldType, ...] = ("text", "number", "money", "date", "datetime", "boolean")
_ORDER: tuple[FieldType, ...] = ("number", "money", "date", "datetime")
_TEXT: tuple[FieldType, ...] = ("text",)
_EVERY: tuple[FieldType, ...] = ("text", "number", "money", "date", "datetime", "boolean", "set", "geo")


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator accepts and how it tests; `shape` is one, many, pair or flag."""

    types: tuple[FieldType, ...]
    shape: str
    build: Callable[[Any], Test]
    negated: bool = False


def _member_of(wanted: frozenset[Value]) -> Test:
    return wanted.__contains__


OPERATORS: dict[str, Operator] = {
    "eq": Operator(_EQUALITY, "one", lambda wanted: lambda value: value == wanted),
    "ne": Operator(_EQUALITY, "one", lambda wanted: lambda value: value == wanted, negated=True),
    "in": Operator(_EQUALITY, "many", _member_of),
    "not_in": Operator(_EQUALITY, "many", _member_of, negated=True),
    "contains": Operator(_TEXT, "one", lambda wanted: lambda value: wanted in value),
    "not_contains": Operator(_TEXT, "one", lambda wanted: lambda value: wanted in value, negated=True),
    "starts_with": Operator(_TEXT, "one", lambda wanted: lambda value: value.startswith(wanted)),
    "not_starts_with": Operator(_TEXT, "one", lambda wanted: lambda value: value.startswith(wanted), negated=True),
    "ends_with": Operator(_TEXT, "one", lambda wanted: lambda value: value.endswith(wanted)),
    "lt": Operator(_ORDER, "one", lambda bound: lambda value: value < bound),
    "le": Operator(_ORDER, "one", lambda bound: lambda value: value <= bound),
    "gt": Operator(_ORDER, "one", lambda bound: lambda value: value > bound),
    "ge": Operator(_ORDER, "one", lambda bound: lambda value: value >= bound),
    "between": Operator(_ORDER, "pair", lambda pair: lambda value: pair[0] <= value <= pair[1]),
    "not_between": Operator(_ORDER, "pair", lambda pair: lambda value: pair[0] <= value <= pair[1], negated=True),
    "is_empty": Operator(_EVERY, "flag", lambda _: lambda value: True, negated=True),
    "is_not_empty": Operator(_EVERY, "flag", lambda _: lambda value: True),
}


# --- parsing ---------------------------------------------------------------------------------


class Lists:
    """The lists of one model's rules, each kept once: rules that name the same values share one set."""

    def __init__(self) -> None:
        self._kept: dict[tuple[FieldType, frozenset[Value]], frozenset[Value]] = {}

    def shared(self, kind: FieldType, values: Sequence[Value]) -> frozenset[Value]:
        """Return the set of these values that is kept already, or keep it."""
        found = frozenset(values)
        return self._kept.setdefault((kind, found), found)


def parse(
    document: object, types: Mapping[str, FieldType], path: str, lists: Lists | None = None
) -> tuple[Criterion | None, list[Fault]]:
    """Return the criteria of a document, or every fault in it by path (C1, C5).

    Args:
        document: What YAML or JSON gave.
        types: The declared fields of the object type.
        path: Where the document stands in the model, for the faults.
        lists: The lists of the model's other rules.
    """
    faults: list[Fault] = []
    criterion = _Parser(types, lists or Lists(), faults).parsed(document, path, depth=1)
    return (None, faults) if faults else (criterion, [])


class _Parser:
    """Reads the criteria of one rule, noting the faults."""

    def __init__(self, types: Mapping[str, FieldType], lists: Lists, faults: list[Fault]) -> None:
        self._types = types
        self._lists = lists
        self._faults = faults

    def _refuse(self, path: str, problem: str) -> None:
        self._faults.append(Fault(path, problem))

    def parsed(self, document: object, path: str, *, depth: int) -> Criterion | None:
        if depth > NESTING_MAX:
            self._refuse(path, f"criteria are nested deeper than {NESTING_MAX}; flatten them")
            return None
        if not isinstance(document, Mapping):
            self._refuse(path, f"found {_found(document)}, expected a mapping with all, any, not or field")
            return None
        if "field" in document:
            return self._leaf(document, path)
        if len(document) != 1 or next(iter(document)) not in ("all", "any", "not"):
            keys = ", ".join(sorted(map(str, document))) or "nothing"
            self._refuse(path, f"found {keys}, expected exactly one of all, any, not, or a field with an operator")
            return None
        (word, body), *_ = document.items()
        if word == "not":
            part = self.parsed(body, f"{path}.not", depth=depth + 1)
            return None if part is None else Not(part)
        if not isinstance(body, list) or not body:
            self._refuse(f"{path}.{word}", f"found {_found(body)}, expected a list with at least one criterion")
            return None
        parts = [self.parsed(item, f"{path}.{word}[{index}]", depth=depth + 1) for index, item in enumerate(body)]
        kept = tuple(part for part in parts if part is not None)
        return All(kept) if word == "all" else AnyOf(kept)

    def _leaf(self, document: Mapping[Any, Any], path: str) -> Leaf | None:
        name = document["field"]
        words = [word for word in document if word != "field"]
        known = isinstance(name, str) and name in self._types
        if not known:
            declared = ", ".join(sorted(self._types)) or "none"
            self._refuse(f"{path}.field", f"unknown field {name!r}; declared are {declared}; declare it under fields")
        if len(words) != 1 or words[0] not in OPERATORS:
            found = ", ".join(map(str, words)) or "none"
            self._refuse(path, f"found operator {found}, expected exactly one of {', '.join(OPERATORS)}")
            return None
        if not known:
            return None
        word, operand = words[0], document[words[0]]
        operator, kind = OPERATORS[word], self._types[name]
        if kind not in operator.types:
            fitting = ", ".join(word for word, spec in OPERATORS.items() if kind in spec.types)
            self._refuse(f"{path}.{word}", f"operator {word} does not fit field {name!r} of type {kind}; use {fitting}")
            return None
        wanted, problem = self._operand(operator.shape, kind, operand)
        if problem:
            self._refuse(f"{path}.{word}", problem)
            return None
        text = f"{name} {word} {_shown(operand)}"
        return Leaf(name, word, operand, wanted, operator.build(wanted), operator.negated, text)

    def _operand(self, shape: str, kind: FieldType, operand: object) -> tuple[Any, str | None]:
        if shape == "flag":
            return (True, None) if operand is True else (None, f"found {_found(operand)}, expected true")
        if shape == "one":
            value = _value(kind, operand)
            return value, None if value is not None else f"found {_found(operand)}, expected a {kind}"
        if not isinstance(operand, list) or not operand:
            return None, f"found {_found(operand)}, expected a list of {kind} values"
        values = [_value(kind, item) for item in operand]
        if None in values:
            odd = operand[values.index(None)]
            return None, f"found {_found(odd)} in the list, expected {kind} values"
        if shape == "many":
            return self._lists.shared(kind, values), None
        if len(values) != 2:
            return None, f"found {len(values)} values, expected two bounds [low, high]"
        if values[0] > values[1]:
            return None, f"the low bound {operand[0]} is above the high bound {operand[1]}; exchange them"
        return tuple(values), None


def _value(kind: FieldType, operand: object) -> Any:
    return read_value(kind, operand)


def _found(document: object) -> str:
    return "nothing" if document is None else f"{type(document).__name__} {str(document)[:60]!r}"
