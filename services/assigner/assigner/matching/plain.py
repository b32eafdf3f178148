"""The plain engine: what matching means, in a page."""

from __future__ import annotations

from assigner.matching.rule_book import NO_PARENT, RuleBook
from territory.criteria import Fields


class PlainMatcher:
    """Evaluates rules one by one, each after the one above it."""

    def __init__(self, book: RuleBook) -> None:
        self._rules = book.rules

    def matching(self, fields: Fields) -> list[str]:
        """Return the qualifying territories that have no qualifying one below them (A1, A2)."""
        qualifying = {NO_PARENT}
        surpassed: set[int] = set()
        for place, rule in enumerate(self._rules):
            if rule.parent in qualifying and rule.criterion.holds(fields):
                qualifying.add(place)
                surpassed.add(rule.parent)
        return [self._rules[place].territory_id for place in sorted(qualifying - surpassed - {NO_PARENT})]
