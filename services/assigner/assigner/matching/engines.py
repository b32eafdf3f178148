"""The engines by name, as the setting TERRITORY_ASSIGNER_ENGINE has them."""

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
"""So few rules are evaluated sooner than they are indexed."""


def quick_matcher_of(engine: EngineName, book: RuleBook) -> Matcher:
    """Return a matcher for a rule book that may be small: the plain engine's where it has few rules.

    Raises: RulesRefused where the engine cannot carry a rule exactly; EngineMissing where it is not installed.
    """
    return matcher_of("plain" if len(book.rules) <= PLAIN_RULES_MAX else engine, book)


def matcher_of(engine: EngineName, book: RuleBook) -> Matcher:
    """Return a matcher for a rule book.

    Raises: RulesRefused where the engine cannot carry a rule exactly; EngineMissing where it is not installed.
    """
    return _ENGINES[engine](book)
