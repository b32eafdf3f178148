"""rule-engine: every rule a compiled expression, all expressions evaluated for every record."""

from __future__ import annotations

from datetime import date
from typing import Any

import rule_engine

from assigner.matching.rule_book import RuleBook
from benchmarks.entrants.entrant import Dialect, written
from territory.criteria import Fields


class RuleExpressions:
    """Evaluates all expressions, then the tree."""

    def __init__(self, book: RuleBook) -> None:
        self.carried = len(book.rules)
        context = rule_engine.Context(default_value=None)
        dialect = _RuleEngine()
        self._rules = [
            (place, rule_engine.Rule(written(rule.criterion, dialect), context=context))
            for place, rule in enumerate(book.rules)
        ]
        self._book = book

    def prepared(self, fields: Fields) -> Fields:
        """Return the fields unchanged."""
        return fields

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        return self._book.deepest([place for place, rule in self._rules if rule.matches(fields)])


class _RuleEngine(Dialect):
    """rule-engine's expression language."""

    def number_or_day(self, value: Any) -> str:
        return f'd"{value.isoformat()}"' if isinstance(value, date) else str(value)

    def is_among(self, name: str, listed: str) -> str:
        return f"{name} in {{{listed}}}"

    def starts_with(self, name: str, literal: str) -> str:
        return f"{name}.starts_with({literal})"

    def contains(self, name: str, literal: str) -> str:
        return f"{literal} in {name}"
