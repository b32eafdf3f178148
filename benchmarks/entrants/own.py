"""Our own engines, by their names in the setting."""

from __future__ import annotations

from assigner.matching.engines import EngineName, matcher_of
from assigner.matching.indexed import IndexedMatcher
from assigner.matching.rule_book import RuleBook
from territory.criteria import Fields


class OwnEngine:
    """An engine of the assigner, unchanged."""

    def __init__(self, engine: EngineName, book: RuleBook) -> None:
        self.carried = len(book.rules)
        matcher = matcher_of(engine, book)
        self.matching = matcher.matching
        self.off_index = len(matcher.off_index) if isinstance(matcher, IndexedMatcher) else 0

    def prepared(self, fields: Fields) -> Fields:
        """Return the fields unchanged: they are in our own form."""
        return fields
