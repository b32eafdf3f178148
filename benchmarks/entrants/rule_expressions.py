"""rule-engine: every rule an expression that it has parsed and compiled, every territory asked for every record."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import rule_engine

from assigner.core.matching.rule_book import RuleBook
from benchmarks.entrants.entrant import unwritable, written
from territory.criteria import Fields, Leaf


class RuleExpressions:
    """Asks all expressions, then the tree."""

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
        """Return the fields: it reads them as they are."""
        return fields

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        return self._book.deepest([place for place, rule in self._rules if rule.matches(fields)])


class _RuleEngine:
    """Its expression language."""

    def test(self, leaf: Leaf) -> str:
        name, wanted = leaf.field, leaf.wanted
        match leaf.operator:
            case "eq" | "ne":
                return f"{name} == {_literal(wanted)}"
            case "in" | "not_in":
                return f"{name} in {{{', '.join(_literal(value) for value in sorted(wanted))}}}"
            case "between" | "not_between":
                return f"{name} >= {_literal(wanted[0])} and {name} <= {_literal(wanted[1])}"
            case "lt" | "le" | "gt" | "ge":
                return f"{name} {_ORDER[leaf.operator]} {_literal(wanted)}"
            case "starts_with" | "not_starts_with":
                return f"{name}.starts_with({_literal(wanted)})"
            case "contains" | "not_contains":
                return f"{_literal(wanted)} in {name}"
            case "is_empty" | "is_not_empty":
                return "true"
        raise unwritable(leaf)


_ORDER = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _literal(value: Any) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return f'd"{value.isoformat()}"' if isinstance(value, date) else str(value)
