"""The engines of the contest mean what the plain engine means, else their figures are none (A1, A2, C1 to C6)."""

from __future__ import annotations

import importlib.util
from functools import cache

import pytest
from benchmarks.contest import Contender
from benchmarks.corpus import model_document
from benchmarks.entrants.durable import without
from benchmarks.p1_matching import CONTENDERS, LIBRARY_OF, accounts

from assigner.matching.plain import PlainMatcher
from assigner.matching.rule_book import NO_PARENT, RuleBook, rule_book
from territory.criteria import Fields
from territory.model.compiled import compile_model

SEED = 3
KNOWN = [contender for contender in CONTENDERS if contender.name != "durable-rules"]


@cache
def _corpus() -> tuple[RuleBook, list[Fields]]:
    model = compile_model(model_document(120, SEED), 1)
    return rule_book(model, "account"), list(accounts(model, 60, SEED))


@pytest.mark.parametrize("contender", KNOWN, ids=lambda contender: contender.name)
def test_every_engine_answers_as_the_plain_one_does(contender: Contender) -> None:
    """A1, A2: no figure without equal answers, on rules of all kinds of the corpus."""
    library = LIBRARY_OF.get(contender.name)
    if library is not None and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is in the group `bench`")
    book, records = _corpus()
    engine, plain = contender.built(book), PlainMatcher(book)
    expected = [plain.matching(fields) for fields in records]
    assert [engine.matching(engine.prepared(fields)) for fields in records] == expected
    assert any(len(territories) > 1 for territories in expected)
    assert engine.carried == len(book.rules)


def test_a_rule_that_is_left_out_passes_its_parents_answer_on() -> None:
    """A1: without its rule, a territory's children stand under the next rule above it."""
    book, _ = _corpus()
    left_out = next(rule for rule in book.rules if rule.parent != NO_PARENT and _children(book, rule.territory_id))
    above = book.rules[left_out.parent].territory_id
    rest = without(book, {left_out.territory_id})
    assert len(rest.rules) == len(book.rules) - 1
    for child in _children(book, left_out.territory_id):
        (rule,) = [rule for rule in rest.rules if rule.territory_id == child]
        assert rest.rules[rule.parent].territory_id == above


def _children(book: RuleBook, territory_id: str) -> list[str]:
    return [
        rule.territory_id
        for rule in book.rules
        if rule.parent != NO_PARENT and book.rules[rule.parent].territory_id == territory_id
    ]
