"""The engines by the names that the setting TERRITORY_ASSIGNER_ENGINE takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from assigner.matching.durable import DurableMatcher
from assigner.matching.indexed import IndexedMatcher
from assigner.matching.plain import PlainMatcher
from assigner.matching.port import Matcher
from assigner.matching.rule_book import RuleBook

EngineName = Literal["index", "plain", "durable"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)

_ENGINES: dict[EngineName, Callable[[RuleBook], Matcher]] = {
    "index": IndexedMatcher,
    "plain": PlainMatcher,
    "durable": DurableMatcher,
}


PLAIN_RULES_MAX = 40
"""Up to so many rules, evaluating all of them is faster than an index."""


def quick_matcher_of(engine: EngineName, book: RuleBook) -> Matcher:
    """Return a matcher for a rule book that may be small: with few rules, the plain engine's.

    Raises: RulesRefused where the engine cannot evaluate a rule exactly; EngineMissing where it is not installed.
    """
    return matcher_of("plain" if len(book.rules) <= PLAIN_RULES_MAX else engine, book)


def matcher_of(engine: EngineName, book: RuleBook) -> Matcher:
    """Return a matcher for a rule book.

    Raises: RulesRefused where the engine cannot evaluate a rule exactly; EngineMissing where it is not installed.
    """
    return _ENGINES[engine](book)
