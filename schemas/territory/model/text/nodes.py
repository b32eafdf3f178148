"""The parts of a YAML or JSON text with their places, and the values that they make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from territory.errors import TerritoryError

MERGE = "<<"


class Unquoted(str):
    """A scalar without quotes, as its author wrote it: a text, a number, true, false or null."""

    __slots__ = ()


class UnreadableText(TerritoryError):
    """Raised for a text that can't be read on after a fault; lines and columns count from 1."""

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value. Lines and columns count from 1; `end` is the column after it."""

    text: str
    quoted: bool
    line: int
    column: int
    end: int
    problem: str | None = None
    """Why it can't be used, if it can't."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    problem: str | None = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A mapping; its pairs in the order of the text, repeated keys included."""

    line: int
    column: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    problem: str | None = None


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class TextFault:
    """Something wrong at a node, whatever the model means; the rest of the text is read all the same."""

    node: Node
    problem: str


def value_of(root: Node, values_max: int) -> tuple[Any, list[TextFault]]:
    """Return the JSON value of a text, with scalars without quotes as `Unquoted`, and the faults of the text.

    Raises: UnreadableText for more than `values_max` values: aliases of aliases multiply.
    """
    values = _ValueReader(values_max)
    value = values.of(root)
    return value, list(values.faults.values())


class _ValueReader:
    """Makes values from nodes, and collects each fault once however often aliases repeat it."""

    def __init__(self, values_max: int) -> None:
        self.faults: dict[tuple[int, str], TextFault] = {}
        self._values_max = values_max
        self._left = values_max
        self._open: set[int] = set()

    def of(self, node: Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise UnreadableText(
                f"found more than {self._values_max} values, aliases counted each time; write fewer aliases",
                node.line,
                node.column,
            )
        if node.problem is not None:
            self._refuse(node, node.problem)
            return None
        if isinstance(node, Scalar):
            return node.text if node.quoted else Unquoted(node.text)
        if id(node) in self._open:
            self._refuse(node, "found an alias within the value that it stands for; write the value itself")
            return None
        self._open.add(id(node))
        value = [self.of(item) for item in node.items] if isinstance(node, Sequence) else self._mapping(node)
        self._open.discard(id(node))
        return value

    def _refuse(self, node: Node, problem: str) -> None:
        self.faults.setdefault((id(node), problem), TextFault(node, problem))

    def _mapping(self, node: Mapping) -> dict[str, Any]:
        own: dict[str, Any] = {}
        first: dict[str, Node] = {}
        merged: list[dict[str, Any]] = []
        for key, inner in self._joined(node):
            if isinstance(key, Scalar) and not key.quoted and key.text == MERGE:
                merged += self._merged(inner)
            elif not isinstance(key, Scalar) or key.problem is not None:
                self._refuse(key, "found a list, a mapping or a tag as a key, expected a text")
            elif not key.text and not key.quoted:
                self._refuse(key, "found an empty key, expected a text before the colon")
            elif key.text in first:
                self._refuse(key, f"{key.text} is written twice, also on line {first[key.text].line}; keep one of them")
            else:
                first[key.text] = key
                own[key.text] = self.of(inner)
        for values in merged:  # the mapping's own keys win, then earlier merged ones
            for name, value in values.items():
                own.setdefault(name, value)
        return own

    def _merged(self, node: Node) -> list[dict[str, Any]]:
        merged = node.items if isinstance(node, Sequence) else [node]
        if not all(isinstance(item, Mapping) for item in merged):
            self._refuse(node, "found a merge key << without a mapping; write <<: *NAME, or put << in quotes")
            return []
        return [value for value in map(self.of, merged) if isinstance(value, dict)]  # None: it has a fault

    def _joined(self, node: Mapping) -> Iterator[tuple[Node, Node]]:
        """Yield the pairs of a mapping, without the pieces of numbers with commas, such as `{amount: 1,000}`."""
        last: Scalar | None = None
        """The scalar before, if it is the beginning of such a number."""
        written: list[str] = []
        start: Scalar | None = None
        for key, inner in node.pairs:
            if last is not None and isinstance(key, Scalar) and _is_thousands(last, key, inner, is_first=not written):
                start = start or last
                written = [*(written or [last.text]), key.text]
                last = key
                continue
            self._refuse_commas(start, written)
            last, start, written = inner if isinstance(inner, Scalar) else None, None, []
            yield key, inner
        self._refuse_commas(start, written)

    def _refuse_commas(self, start: Scalar | None, written: list[str]) -> None:
        if start is not None:
            self._refuse(
                start,
                f"found {','.join(written)}, which YAML cuts at the comma; "
                f"write {''.join(written)}, or put it in quotes if it is a text",
            )


_FIRST_DIGITS = re.compile(r"[-+]?[0-9]{1,3}")
_THREE_DIGITS = re.compile(r"[0-9]{3}(\.[0-9]*)?")


def _is_thousands(last: Scalar, key: Scalar, inner: Node, *, is_first: bool) -> bool:
    """Whether a key without a value goes on with the number before the comma: `000` in `{amount: 1,000}`."""
    return (
        not (last.quoted or key.quoted)
        and isinstance(inner, Scalar)
        and not (inner.text or inner.quoted)
        and (key.line, key.column) == (last.line, last.end + 1)
        and (_FIRST_DIGITS if is_first else _THREE_DIGITS).fullmatch(last.text) is not None
        and _THREE_DIGITS.fullmatch(key.text) is not None
    )
