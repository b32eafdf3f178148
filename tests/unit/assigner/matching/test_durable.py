"""The durable engine: what it refuses, and the limits of durable_rules that it does not reach."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from assigner.assignment.policy import AssignmentPolicy
from assigner.matching import durable
from assigner.matching.durable import DurableMatcher
from assigner.matching.port import RulesRefused
from assigner.matching.rule_book import NO_PARENT, Rule, RuleBook
from territory.criteria import Lists, parse
from territory.errors import Fault, ModelRefused
from territory.model.compiled import compile_model
from tests.contracts.carried import needs_durable
from tests.unit.assigner.examples import model_of


def book_of(*documents: Any, fields: int = 1) -> RuleBook:
    """Return siblings t0, t1 and so on; `c` is a text, `n` a number, like `n1` and the others."""
    rules = []
    for place, document in enumerate(documents):
        numbers = {f"n{number}": "number" for number in range(fields)}
        criterion, faults = parse(document, {"c": "text", "n": "number"} | numbers, "rule", Lists({"none": []}))  # type: ignore[arg-type]  # types of fields
        assert criterion is not None, faults
        rules.append(Rule(f"t{place}", criterion, NO_PARENT))
    return RuleBook(tuple(rules))


def refusals(book: RuleBook) -> dict[str, str]:
    """Return the refused territories of a book, with the reasons."""
    with pytest.raises(RulesRefused) as refused:
        DurableMatcher(book)
    return dict(refused.value.refused)


FINE = {"field": "n", "lt": 5}


@needs_durable
@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"field": "c", "contains": "x"}, "c contains has no equal in durable_rules"),
        ({"field": "n", "in": list(range(durable.ALTERNATIVES_MAX + 1))}, "n in has 1001 values, at most 1000"),
        ({"all": [{"field": "n", "in": list(range(32))}] * 2}, "it has more than 1000 alternatives"),
        ({"field": "c", "eq": "x" * 1_001}, "c is compared with 1001 characters, at most 1000"),
        ({"field": "n", "lt": 2**61}, "together they need more than 18 digits"),
        ({"field": "n", "gt": -(2**61)}, "together they need more than 18 digits"),
        ({"any": [{"field": "n", "lt": "0.000000000001"}, {"field": "n", "eq": 10**7}]}, "somewhere with 12 decimals"),
    ],
)
def test_inexpressible_rule_is_refused_by_name(document: Any, why: str) -> None:
    """A rule that cannot be expressed exactly is refused with territory, reason and remedy; others are not."""
    found = refusals(book_of(FINE, document))
    assert list(found) == ["t1"]
    assert why in found["t1"]
    assert "use the index engine (TERRITORY_ASSIGNER_ENGINE=index)" in found["t1"]


@needs_durable
def test_largest_number_is_exact() -> None:
    """Numbers up to the bound are distinguished; larger ones of records are above all of them (C6)."""
    most = 2**61 - 2
    matcher = DurableMatcher(
        book_of({"field": "n", "lt": most}, {"field": "n", "eq": most}, {"field": "n", "gt": most})
    )
    assert [matcher.matching({"n": number}) for number in (most - 1, most, most + 1, 10**29, -(10**29))] == [
        ["t0"], ["t1"], ["t2"], ["t2"], ["t0"],
    ]  # fmt: skip
    assert matcher.matching({}) == []


@needs_durable
def test_book_with_too_many_alternatives() -> None:
    """A book with more alternatives than the limit is refused as a whole."""
    lists = [{"field": "n", "in": list(range(1_000))}] * 21
    found = refusals(book_of(*lists))
    assert len(found) == 21
    assert "the rules have 21000 alternatives in all, at most 20000 are supported" in found["t20"]


@needs_durable
def test_too_many_fields() -> None:
    """A book that compares more fields than a fact can have is refused."""
    rules = [{"field": f"n{number}", "lt": number} for number in range(durable.ATTRIBUTES_MAX + 1)]
    found = refusals(book_of(*rules, fields=len(rules)))
    assert list(found) == [f"t{durable.ATTRIBUTES_MAX}"]
    assert "the rules compare more than 250 fields" in found["t250"]
    matcher = DurableMatcher(book_of(*rules[:-1], fields=len(rules)))
    assert len(matcher.matching({f"n{number}": 0 for number in range(250)})) == 249


@needs_durable
@pytest.mark.parametrize(
    "documents",
    [
        [{"field": "n", "ge": number} for number in range(1_000)],
        [{"field": "n", "ge": 1}] * 1_000,
        [{"field": "n", "not_in": [-number, -number - 1]} for number in range(1, 600)],
        [{"all": [{"field": "c", "eq": "x"}, {"field": "n", "ne": -number}]} for number in range(1, 600)],
        [{"all": [{"field": "n", "eq": 1_000}, {"field": "c", "ne": str(number)}]} for number in range(600)],
    ],
)
def test_all_hold_at_once(documents: list[Any]) -> None:
    """However many rules hold for one record, all are found: durable_rules fails or forgets beyond its limits."""
    matcher = DurableMatcher(book_of(*documents))
    for _ in range(3):
        assert matcher.matching({"n": 1_000, "c": "x"}) == [f"t{place}" for place in range(len(documents))]
        assert matcher.matching({"n": -10_000, "c": "y"}) in ([], [f"t{place}" for place in range(len(documents))])


@needs_durable
def test_two_matchers_of_one_book() -> None:
    """A model that is loaded twice has two independent matchers."""
    first, second = DurableMatcher(book_of(FINE)), DurableMatcher(book_of(FINE))
    assert first.matching({"n": 1}) == second.matching({"n": 1}) == ["t0"]
    del first
    assert second.matching({"n": 9}) == []
    assert second.matching({"n": 1}) == ["t0"]


@needs_durable
def test_model_is_refused() -> None:
    """A model with inexpressible rules is refused, with the path of each rule."""
    rules = {"account": {"field": "city", "contains": "x"}, "lead": {"field": "country", "ends_with": "x"}}
    model = model_of({"id": "world"}, {"id": "odd", "parent": "world", "rules": rules})
    with pytest.raises(ModelRefused) as refused:
        AssignmentPolicy(model, "durable")
    advice = "change the rule, or use the index engine (TERRITORY_ASSIGNER_ENGINE=index)"
    assert refused.value.faults == (
        Fault("territories[odd].rules.account", f"city contains has no equal in durable_rules; {advice}"),
        Fault("territories[odd].rules.lead", f"country ends_with has no equal in durable_rules; {advice}"),
    )


@needs_durable
@pytest.mark.parametrize("count", [1, 50])
def test_inexpressible_sharing_rules(count: int) -> None:
    """Many sharing rules go to durable_rules, and can be refused; few are evaluated by the plain engine (V6)."""
    rules = [
        {"id": f"s{number:02}", "object": "contact", "to": {"territory": "world"},
         "criteria": {"field": "city", "ends_with" if number == 0 else "eq": "x"}}
        for number in range(count)
    ]  # fmt: skip
    document: Any = {
        "org": "acme",
        "fields": {"contact": {"city": "text"}},
        "territories": [{"id": "world"}],
        "sharing": rules,
    }
    if count == 1:
        assert AssignmentPolicy(compile_model(document, 1), "durable").shared("contact", {"city": "fox"})
        return
    with pytest.raises(ModelRefused) as refused:
        AssignmentPolicy(compile_model(document, 1), "durable")
    assert [fault.path for fault in refused.value.faults] == ["sharing[s00].criteria"]


def test_extra_is_missing() -> None:
    """A missing library is reported with what to install; it refuses no model."""
    program = (
        "import sys\n"
        "sys.modules['durable_rules_engine'] = None\n"
        "from assigner.matching.engines import matcher_of\n"
        "from assigner.matching.port import EngineMissing\n"
        "from assigner.matching.rule_book import RuleBook\n"
        "matcher_of('index', RuleBook(()))\n"
        "try:\n"
        "    matcher_of('durable', RuleBook(()))\n"
        "except EngineMissing as missing:\n"
        "    print(missing)\n"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert "install territory[durable], for which a C compiler must be there" in output
