"""zen-engine's decision table: a row for each rule, a column for each field; all matching rows are collected.

Equalities, lists and ranges are in the field's own column, for which the engine has an index. The rest of the rule
is one expression in the last column.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import zen

from assigner.matching.rule_book import RuleBook
from benchmarks.entrants.entrant import ORDER, Dialect, written
from territory.criteria import All, Criterion, Fields, Leaf

REST, PLACE = "rest", "place"


class ZenTable:
    """Evaluates one decision table, then the tree."""

    def __init__(self, book: RuleBook) -> None:
        self.carried = len(book.rules)
        self._book = book
        self._decision = zen.ZenEngine().create_decision(zen.ZenDecisionContent(json.dumps(_graph(book))))
        self._decision.evaluate({})  # the first call compiles: that belongs to the build

    def prepared(self, fields: Fields) -> dict[str, Any]:
        """Return the values as JSON has them."""
        return {name: _plain(value) for name, value in fields.items()}

    def matching(self, prepared: dict[str, Any]) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        return self._book.deepest(row[PLACE] for row in self._decision.evaluate(prepared)["result"])


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.toordinal()
    return float(value) if isinstance(value, Decimal) else value


class _Zen(Dialect):
    """zen-engine's expression language. Dates are compared as day numbers."""

    def number_or_day(self, value: Any) -> str:
        return str(_plain(value))

    def is_among(self, name: str, listed: str) -> str:
        return f"{name} in [{listed}]"

    def starts_with(self, name: str, literal: str) -> str:
        return f"startsWith({name}, {literal})"

    def contains(self, name: str, literal: str) -> str:
        return f"contains({name}, {literal})"


DIALECT = _Zen()


def _cell(leaf: Leaf) -> str | None:
    """Return a leaf in the form of a field's own column; None if it does not fit there."""
    match leaf.operator:
        case "eq":
            return DIALECT.literal(leaf.wanted)
        case "in":
            return DIALECT.listed(leaf.wanted)
        case "between":
            return f"[{DIALECT.literal(leaf.wanted[0])}..{DIALECT.literal(leaf.wanted[1])}]"
        case "lt" | "le" | "gt" | "ge":
            return f"{ORDER[leaf.operator]} {DIALECT.literal(leaf.wanted)}"
    return None


def _row(place: int, criterion: Criterion) -> dict[str, str]:
    row = {"_id": str(place), PLACE: str(place)}
    rest: list[Criterion] = []
    for part in criterion.parts if isinstance(criterion, All) else (criterion,):
        cell = _cell(part) if isinstance(part, Leaf) else None
        if cell is None or not isinstance(part, Leaf) or part.field in row:
            rest.append(part)
        else:
            row[part.field] = cell
    if rest:
        row[REST] = written(All(tuple(rest)), DIALECT)
    return row


def _graph(book: RuleBook) -> dict[str, Any]:
    columns = [{"id": name, "name": name, "type": "expression", "field": name} for name in sorted(book.fields)]
    table = {
        "hitPolicy": "collect",
        "inputs": [*columns, {"id": REST, "name": REST, "type": "expression"}],
        "outputs": [{"id": PLACE, "name": PLACE, "type": "expression", "field": PLACE}],
        "rules": [_row(place, rule.criterion) for place, rule in enumerate(book.rules)],
    }
    kinds: dict[str, dict[str, Any]] = {"inputNode": {}, "decisionTableNode": table, "outputNode": {}}
    nodes = [
        {"id": kind, "name": kind, "type": kind, "position": {"x": 0, "y": 0}, "content": content}
        for kind, content in kinds.items()
    ]
    edges = [
        {"id": f"from-{source}", "sourceId": source, "targetId": target, "type": "edge"}
        for source, target in (("inputNode", "decisionTableNode"), ("decisionTableNode", "outputNode"))
    ]
    return {"nodes": nodes, "edges": edges}
