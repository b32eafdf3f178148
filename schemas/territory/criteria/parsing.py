"""A document becomes a criteria tree, or faults by their paths (C1, C5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from territory.criteria.faults import WrongOperand, found
from territory.criteria.lists import Lists
from territory.criteria.operands import read_operand
from territory.criteria.operators import OPERATORS
from territory.criteria.places import Circle, Region
from territory.criteria.tree import All, AnyOf, Criterion, Leaf, Not, shown
from territory.criteria.values import FieldType
from territory.errors import Fault

NESTING_MAX = 32


def parse(
    document: object, types: Mapping[str, FieldType], path: str, lists: Lists | None = None
) -> tuple[Criterion | None, list[Fault]]:
    """Return the criteria of a document, or every fault in it by path (C1, C5).

    Args:
        document: What YAML or JSON gave.
        types: The declared fields of the object type.
        path: Where the document stands in the model, for the faults.
        lists: The tables of the model, and the lists of its other rules; none without it.
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
        """Return the criteria of a part of the document, None where it has faults."""
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
            ((word, body),) = document.items()
            return self._branch(word, body, f"{path}.{word}", depth)
        return None

    def _branch(self, word: str, body: object, path: str, depth: int) -> Criterion | None:
        if word == "not":
            part = self.parsed(body, path, depth=depth + 1)
            return None if part is None else Not(part)
        if not isinstance(body, list) or not body:
            self._refuse(path, f"found {found(body)}, expected a list with at least one criterion")
            return None
        parts = [self.parsed(item, f"{path}[{index}]", depth=depth + 1) for index, item in enumerate(body)]
        kept = tuple(part for part in parts if part is not None)
        return All(kept) if word == "all" else AnyOf(kept)

    def _leaf(self, document: dict[Any, Any], path: str) -> Leaf | None:
        name = document["field"]
        words = [word for word in document if word != "field"]
        known = isinstance(name, str) and name in self._types
        if not known:
            declared = ", ".join(sorted(self._types)) or "none"
            self._refuse(f"{path}.field", f"unknown field {name!r}; declared are {declared}; declare it under fields")
        if len(words) != 1 or words[0] not in OPERATORS:
            others = ", ".join(map(str, words)) or "none"
            self._refuse(path, f"found operator {others}, expected exactly one of {', '.join(OPERATORS)}")
            return None
        return self._comparison(name, words[0], document[words[0]], path) if known else None

    def _comparison(self, name: str, word: str, operand: object, path: str) -> Leaf | None:
        operator, kind = OPERATORS[word], self._types[name]
        path = f"{path}.{word}"
        if kind not in operator.types:
            fitting = ", ".join(other for other, spec in OPERATORS.items() if kind in spec.types)
            self._refuse(path, f"operator {word} does not fit field {name!r} of type {kind}; use {fitting}")
            return None
        try:
            wanted = read_operand(operator.shape, operand, kind, self._lists)
        except WrongOperand as wrong:
            self._refuse(path + wrong.where, wrong.problem)
            return None
        told = str(wanted) if isinstance(wanted, Circle | Region) else shown(operand)
        return operator.leaf(name, kind, word=word, operand=operand, wanted=wanted, text=f"{name} {word} {told}")
