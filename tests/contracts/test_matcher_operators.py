"""What every matching engine promises, for every operator of the language on any day."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assigner.core.matching.engines import EngineName
from assigner.core.matching.plain import PlainMatcher
from assigner.core.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.values import read_fields
from tests.contracts.carried import carried, others
from tests.support.oracle import Setting
from tests.unit.territory.criteria.examples import parsed, records, settings, trees
from tests.unit.territory.examples import FIELDS, Document


@others
@given(st.lists(trees, min_size=1, max_size=6), st.lists(records, min_size=1, max_size=3), settings)
def test_engine_agrees_with_the_plain_one(
    engine: EngineName, documents: list[Document], raw: list[dict[str, Any]], setting: Setting
) -> None:
    """Every engine finds what the plain one finds, dates relative to today among it (C1 to C7, A1, A2)."""
    rules = (
        Rule(f"t{place}", parsed(document, setting=setting), place - 1 if place % 2 else NO_PARENT)
        for place, document in enumerate(documents)
    )
    matcher, book = carried(engine, RuleBook(tuple(rules)))
    plain = PlainMatcher(book)
    for fields in raw:
        values, _ = read_fields(FIELDS, fields)  # type: ignore[arg-type]  # the values are field types
        assert matcher.matching(values) == plain.matching(values)
