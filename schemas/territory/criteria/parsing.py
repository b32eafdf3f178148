"""Parses a criteria document into a tree, or reports every fault by its path (C1, C5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from territory.criteria.faults import WrongOperand, found
from territory.criteria.lists import Lists
from territory.criteria.operands import typed_operand
from territory.criteria.operators import OPERATORS
from territory.criteria.places import Circle, Region
from territory.criteria.tree import All, AnyOf, Criterion, Leaf, Not, shown
from territory.criteria.values import FieldType
from territory.errors import Fault

NESTING_MAX = 32


def parse(
    document: object, types: Mapping[str, FieldType], path: str, lists: Lists | None = None, zone: tzinfo = UTC
) -> tuple[Criterion | None, list[Fault]]:
    """Return the criteria of a document, or None and every fault in it (C1, C5).

    Args:
        document: The criteria as JSON values.
        types: The declared fields of the object.
        path: The path of the document in the model, for the faults.
        lists: The model's tables and interned lists; without it there are no tables.
        zone: The organisation's time zone, for days beside datetimes (C8).
    """
    faults: list[Fault] = []
    criterion = _Parser(types, lists or Lists(), zone, faults).parsed(document, path, depth=1)
    return (None, faults) if faults else (criterion, [])


class _Parser:
    """Parses the criteria of one rule and collects the faults."""

    def __init__(self, types: Mapping[str, FieldType], lists: Lists, zone: tzinfo, faults: list[Fault]) -> None:
        self._types = types
        self._lists = lists
        self._zone = zone
        self._faults = faults

    def _refuse(self, path: str, problem: str) -> None:
        self._faults.append(Fault(path, problem))

    def parsed(self, document: object, path: str, *, depth: int) -> Criterion | None:
        """Return the criteria of a part of the document; None if it has faults."""
        if depth > NESTING_MAX:
            self._refuse(path, f"criteria are nested deeper than {NESTING_MAX}; flatten them")
        elif not isinstance(document, dict):
            self._refuse(path, f"found {found(document)}, expected a mapping with all, any, not or field")
        elif "field" in document:
            return self._leaf(document, path)
        elif len(document) != 1 or next(iter(document)) not in ("all", "any", "not"):
            keys = ", ".join(sorted(map(str, document))) or "nothing"
            self._refuse(path, f"found {keys}, expected exactly one of all, any, not, or a field with an operator")
        else:
            ((connective, body),) = document.items()
            return self._branch(connective, body, f"{path}.{connective}", depth)
        return None

    def _branch(self, connective: str, body: object, path: str, depth: int) -> Criterion | None:
        if connective == "not":
            part = self.parsed(body, path, depth=depth + 1)
            return None if part is None else Not(part)
        if not isinstance(body, list) or not body:
            self._refuse(path, f"found {found(body)}, expected a list with at least one criterion")
            return None
        parts = [self.parsed(item, f"{path}[{index}]", depth=depth + 1) for index, item in enumerate(body)]
        kept = tuple(part for part in parts if part is not None)
        return All(kept) if connective == "all" else AnyOf(kept)

    def _leaf(self, document: dict[Any, Any], path: str) -> Leaf | None:
        field = document["field"]
        names = [key for key in document if key != "field"]
        known = isinstance(field, str) and field in self._types
        if not known:
            declared = ", ".join(sorted(self._types)) or "none"
            self._refuse(f"{path}.field", f"unknown field {field!r}; declared are {declared}; declare it under fields")
        if len(names) != 1 or names[0] not in OPERATORS:
            others = ", ".join(map(str, names)) or "none"
            self._refuse(path, f"found operator {others}, expected exactly one of {', '.join(OPERATORS)}")
            return None
        return self._comparison(field, names[0], document[names[0]], path) if known else None

    def _comparison(self, field: str, name: str, operand: object, path: str) -> Leaf | None:
        operator, kind = OPERATORS[name], self._types[field]
        path = f"{path}.{name}"
        if kind not in operator.types:
            fitting = ", ".join(other for other, spec in OPERATORS.items() if kind in spec.types)
            self._refuse(path, f"operator {name} does not fit field {field!r} of type {kind}; use {fitting}")
            return None
        try:
            wanted = typed_operand(operator.shape, operand, kind, self._lists, self._zone)
        except WrongOperand as wrong:
            self._refuse(path + wrong.where, wrong.problem)
            return None
        text = str(wanted) if isinstance(wanted, Circle | Region) else shown(operand)
        return operator.leaf(field, kind, name=name, operand=operand, wanted=wanted, text=f"{field} {name} {text}")
