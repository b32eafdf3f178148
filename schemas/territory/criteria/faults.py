"""Faults of operands, and the wording of what was found (C5)."""

from __future__ import annotations

from collections.abc import Iterable

from territory.errors import TerritoryError

FOUND_CHARACTERS_MAX = 60
KNOWN_NAMED_MAX = 5


class WrongOperand(TerritoryError):
    """Raised when an operand does not fit its operator; it becomes a fault of the model.

    `where` is the path of the fault within the operand.
    """

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


def found(document: object) -> str:
    """Describe a value for a message, as JSON and YAML write it: its kind and the beginning of its text."""
    if document is None:
        return "nothing"
    if isinstance(document, bool):
        return str(document).lower()
    return f"{kind_of(document)} {str(document)[:FOUND_CHARACTERS_MAX]!r}"


def kind_of(document: object) -> str:
    """Return the kind of a JSON value in the words of people who write models."""
    if document is None:
        return "nothing"
    return next(name for kind, name in _KINDS if isinstance(document, kind))


def there_are(known: Iterable[str]) -> str:
    """Name the first of the known ids or names, and say when there are more."""
    names = sorted(known)
    return f"there are {', '.join(names[:KNOWN_NAMED_MAX]) or 'none'}{', …' if len(names) > KNOWN_NAMED_MAX else ''}"


_KINDS: tuple[tuple[type, str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "number"),
    (float, "number"),
    (list, "list"),
    (dict, "mapping"),
    (object, "value"),
)
