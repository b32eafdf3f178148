"""The port that every matching engine serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from territory.criteria import Fields
from territory.errors import TerritoryError


class Matcher(Protocol):
    """Finds the territories that take a record by rule; made from one rule book."""

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2).

        They are in the order of the rule book.
        """


class RulesRefused(TerritoryError):
    """Raised when an engine cannot carry rules exactly as they are meant; `refused` has each territory and why."""

    def __init__(self, refused: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{territory_id}: {why}" for territory_id, why in refused))
        self.refused = tuple(refused)


class EngineMissing(TerritoryError):
    """Raised when the engine that was asked for is not installed."""
