"""The plain engine: evaluates every rule. It defines what matching means (A1, A2)."""

from __future__ import annotations

from assigner.matching.rule_book import NO_PARENT, RuleBook
from territory.criteria import Fields


class PlainMatcher:
    """Evaluates the rules one by one, parents first."""

    def __init__(self, book: RuleBook) -> None:
        self._rules = book.rules

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        qualifying = {NO_PARENT}
        has_qualifying_below: set[int] = set()
        for place, rule in enumerate(self._rules):
            if rule.parent in qualifying and rule.criterion.holds(fields):
                qualifying.add(place)
                has_qualifying_below.add(rule.parent)
        return [self._rules[place].territory_id for place in sorted(qualifying - has_qualifying_below - {NO_PARENT})]
