"""Explanations: the leaves that held or failed, and near misses."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.assignment.explanations import WHY_CHARACTERS_MAX, WHY_LINES_MAX
from assigner.assignment.policy import AssignmentPolicy
from territory.criteria import Failure
from territory.model.compiled import compile_model
from territory.wire.codec import encode
from territory_runtime.kafka.clients import REQUEST_BYTES_MAX
from tests.unit.assigner.examples import SAN_FRANCISCO, model_of, record


def test_why_names_the_leaves_that_held() -> None:
    """An explanation names the leaves that held, from the root down (A10)."""
    policy = AssignmentPolicy(model_of())
    fields = policy.fields_of("account", SAN_FRANCISCO)
    assert policy.explainer("account").why("bay", fields) == (
        "west: country in [US, CA]",
        "bay: city eq San Francisco",
    )


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"country": "FR", "city": "Nice"}, ("west", Failure("country in [US, CA]", "fr"))),
        ({"country": "US"}, ("bay", Failure("city eq San Francisco", None))),
        (SAN_FRANCISCO, None),
    ],
    ids=["an ancestor's rule", "its own rule", "none"],
)
def test_failure_is_the_first_from_the_root(fields: dict[str, Any], failure: tuple[str, Failure] | None) -> None:
    """Of a territory without a link, the first leaf that failed is named, with the record's value (A10)."""
    policy = AssignmentPolicy(model_of())
    assert policy.explainer("account").failure("bay", policy.fields_of("account", fields)) == failure


def test_near_misses_fail_by_one_leaf() -> None:
    """Near misses come deepest first; a parent's failing leaf counts for all below, two leaves are too many (A10)."""
    policy = AssignmentPolicy(model_of())
    near = policy.explainer("account").near_misses(policy.fields_of("account", {"country": "US"}), 9)
    assert [(miss.territory_id, str(miss.failure)) for miss in near] == [
        ("bay", "city eq San Francisco: the record's value is missing"),
        ("large", "revenue ge 1000000: the record's value is missing"),
    ]
    assert policy.explainer("account").near_misses(policy.fields_of("account", {"country": "US"}), 1) == near[:1]
    none = policy.explainer("account").near_misses(policy.fields_of("account", {"city": "San Francisco"}), 9)
    assert [(miss.territory_id, miss.failing_territory) for miss in none] == [
        ("bay", "west"),
        ("large", "large"),
        ("west", "west"),
    ]


def test_near_misses_by_what_cannot_be_read() -> None:
    """An unreadable value is one leaf that failed, under `not` as well; it is no leaf that fails (A10, C2)."""
    either = [{"field": "revenue", "ge": 5}, {"field": "country", "eq": "FR"}]
    policy = AssignmentPolicy(model_of({"id": "small", "rules": {"account": {"not": {"any": either}}}}))
    [near] = policy.explainer("account").near_misses(policy.fields_of("account", {"revenue": "much"}), 9)
    why = 'the record\'s value is unreadable: found "much", expected an amount of money'
    assert str(near.failure) == f"not revenue ge 5: {why}"
    fields = policy.fields_of("account", {"revenue": "much", "country": "FR"})
    assert policy.explainer("account").near_misses(fields, 9) == []


LEAVES = 400


def huge_model(territories: int) -> dict[str, Any]:
    """Return a model of rules with hundreds of long leaves, all of which hold for a record without fields."""
    leaves = [{"field": "name", "ne": f"{number} {'x' * 1_000}"} for number in range(LEAVES)]
    return {
        "org": "acme",
        "settings": {"max_territories_per_record": 10},
        "fields": {"account": {"name": "text"}, "deal": {"name": "text"}},
        "territories": [
            {"id": f"t{number}", "rules": {"account": {"all": leaves}, "deal": {"all": leaves}}}
            for number in range(territories)
        ],
    }


def test_why_has_a_bound() -> None:
    """Rules of any size make no assignment that its topic refuses: that would stop the partition."""
    policy = AssignmentPolicy(compile_model(huge_model(12), 1))
    decision = policy.decide_by_rules(record("account/A-1"))
    assert len(decision.links) == 10
    assert len(encode(decision.links)) < REQUEST_BYTES_MAX / 2
    for link in decision.links:
        assert len(link.why) == WHY_LINES_MAX + 1
        assert link.why[-1] == f"and {LEAVES - WHY_LINES_MAX} more"
        assert all(len(line) <= WHY_CHARACTERS_MAX for line in link.why)
        assert link.why[0].endswith("…")
    (chosen,) = policy.decide_deal(record("deal/D-1"), None, decision).links
    assert len(chosen.why) == WHY_LINES_MAX + 1
    assert chosen.why[0].startswith("inherited from account")


def test_why_of_some_parts_has_a_bound() -> None:
    """The bound holds for rules with `any` as well, of which only the parts that hold are named."""
    leaves = [{"field": "name", "ne": str(number)} for number in range(WHY_LINES_MAX)]
    rule = {"any": [{"field": "name", "is_empty": True}, *leaves]}
    territories: Any = [{"id": "t", "rules": {"account": rule}}]
    policy = AssignmentPolicy(
        compile_model({"org": "acme", "fields": {"account": {"name": "text"}}, "territories": territories}, 1)
    )
    explainer = policy.explainer("account")
    assert explainer.why("t", policy.fields_of("account", {}))[-1] == "and 1 more"
    assert len(explainer.why("t", policy.fields_of("account", {"name": "7"}))) == WHY_LINES_MAX - 1
