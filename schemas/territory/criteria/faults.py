"""Faults of operands, and the wording of what was found (C5)."""

from __future__ import annotations

from territory.errors import TerritoryError

FOUND_CHARACTERS_MAX = 60


class WrongOperand(TerritoryError):
    """Raised when an operand does not fit its operator; it becomes a fault of the model.

    `where` is the path of the fault within the operand.
    """

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


def found(document: object) -> str:
    """Describe a value for a message: its type and the beginning of its text."""
    return "nothing" if document is None else f"{type(document).__name__} {str(document)[:FOUND_CHARACTERS_MAX]!r}"
