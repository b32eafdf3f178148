"""The port that every matching engine implements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from territory.criteria import Fields
from territory.errors import TerritoryError


class Matcher(Protocol):
    """Finds the territories whose rules hold for a record; built from one rule book."""

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2).

        They are in the order of the rule book.
        """


class RulesRefused(TerritoryError):
    """Raised when an engine cannot evaluate rules exactly; `refused` has each territory id with the reason."""

    def __init__(self, refused: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{territory_id}: {why}" for territory_id, why in refused))
        self.refused = tuple(refused)


class EngineMissing(TerritoryError):
    """Raised when the configured engine is not installed."""
