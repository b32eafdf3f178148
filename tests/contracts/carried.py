"""The engines that the suite runs, and the part of a rule book that each of them supports."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from benchmarks.entrants.durable import without

from assigner.matching.engines import ENGINE_NAMES, EngineName, matcher_of
from assigner.matching.port import Matcher, RulesRefused
from assigner.matching.rule_book import RuleBook

needs_durable = pytest.mark.skipif(find_spec("durable") is None, reason="the extra durable is not installed")
_PARAMS = {name: pytest.param(name, marks=needs_durable if name == "durable" else ()) for name in ENGINE_NAMES}
engines = pytest.mark.parametrize("engine", _PARAMS.values())
others = pytest.mark.parametrize("engine", [param for name, param in _PARAMS.items() if name != "plain"])


def carried(engine: EngineName, book: RuleBook) -> tuple[Matcher, RuleBook]:
    """Return a matcher for the part of a book that the engine supports; only durable_rules may refuse rules."""
    try:
        return matcher_of(engine, book), book
    except RulesRefused as refused:
        assert engine == "durable"
        book = without(book, {territory_id for territory_id, _ in refused.refused})
        return matcher_of(engine, book), book
