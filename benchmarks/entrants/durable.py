"""durable_rules through our own engine, without the rules it cannot represent."""

from __future__ import annotations

from assigner.matching.engines import matcher_of
from assigner.matching.port import Matcher
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import Fields
from territory.errors import TerritoryError


class DurableBook:
    """The engine with the rules of a book that it can represent; the others are left out, as if never written (A1)."""

    def __init__(self, book: RuleBook) -> None:
        self.book, matcher = _carried(book)
        self.carried = len(self.book.rules)
        self.matching = matcher.matching

    def prepared(self, fields: Fields) -> Fields:
        """Return the fields unchanged."""
        return fields


def _carried(book: RuleBook) -> tuple[RuleBook, Matcher]:
    """Return the book without refused rules, and its matcher."""
    while True:
        try:
            return book, matcher_of("durable", book)
        except TerritoryError as refusal:
            named: list[tuple[str, str]] | None = getattr(refusal, "refused", None)
            if not named:
                raise
            refused = {territory_id for territory_id, _ in named}
            if len(refused) == len(book.rules):  # refused for their number, not one by one
                refused = {rule.territory_id for rule in book.rules[len(book.rules) // 2 :]}
            book = without(book, refused)


def without(book: RuleBook, left_out: set[str]) -> RuleBook:
    """Return a book without some rules; their children move up to the next rule above."""
    rules: list[Rule] = []
    place_below: dict[int, int] = {NO_PARENT: NO_PARENT}
    for place, rule in enumerate(book.rules):
        if rule.territory_id in left_out:
            place_below[place] = place_below[rule.parent]
        else:
            place_below[place] = len(rules)
            rules.append(rule._replace(parent=place_below[rule.parent]))
    return RuleBook(tuple(rules))
