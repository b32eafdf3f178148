"""The port that every matching engine serves."""

from __future__ import annotations

from typing import Protocol

from territory.criteria import Fields


class Matcher(Protocol):
    """Finds the territories that take a record by rule; made from one rule book."""

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2).

        They are in the order of the rule book.
        """
