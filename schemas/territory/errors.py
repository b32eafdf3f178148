"""Every error of the shared language, with a sentence saying when it is raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TerritoryError(Exception):
    """The root of our own errors."""


class BadMessage(TerritoryError):
    """Raised when the bytes of a message are not what its topic's contract says.

    `code` is one of a few words that operators count by (contracts: dead letters).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AmountOutOfRange(TerritoryError):
    """Raised when an exact sum would need more digits than are kept; never rounds instead."""


class DayNotSet(TerritoryError):
    """Raised when rules that depend on the day are asked without one: a bug of whoever asks (C7)."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong with a model: where, and what was found against what was expected."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ModelRefused(TerritoryError):
    """Raised when a model has faults; it is accepted whole or refused whole."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
