"""Errors of the shared language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class TerritoryError(Exception):
    """Base class of all errors of this project."""


class BadMessage(TerritoryError):
    """Raised when a message breaks the contract of its topic; it becomes a dead letter.

    `code` is one of a fixed set of words; metrics and dead letters are grouped by it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AmountOutOfRange(TerritoryError):
    """Raised when an exact result needs more digits than we keep. We refuse rather than round."""


class DayNotSet(TerritoryError):
    """Raised when a rule with relative dates is evaluated before a day was set: a bug in the caller (C7)."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong with a model: its path, what was found and what was expected."""

    path: str
    message: str
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)
    """Its place in the text, counted from 1; None for a model that was not read from a text."""

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}, column {self.column}: "
        return f"{place}{self.path}: {self.message}"


class ModelRefused(TerritoryError):
    """Raised for a model with faults. A model is accepted whole or refused whole."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
