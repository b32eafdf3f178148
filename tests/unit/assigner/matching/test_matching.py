"""Matching: the territories that a record qualifies for, along the tree."""

from __future__ import annotations

from typing import Any

from assigner.assignment.policy import AssignmentPolicy
from territory.model.document import RuledObject
from tests.unit.assigner.examples import SAN_FRANCISCO, model_of


def found(kind: RuledObject = "account", **fields: Any) -> list[str]:
    """Return the territories that a record qualifies for."""
    policy = AssignmentPolicy(model_of())
    return policy.matching(kind, policy.fields_of(kind, fields))


def test_child_qualifies_with_its_parent_only() -> None:
    """A territory does not qualify if its parent does not, even if its rule holds (A1)."""
    assert found(country="FR", city="San Francisco") == []


def test_territory_without_a_rule_passes_the_answer_on() -> None:
    """`coast`, between `west` and `bay`, has no rule: it qualifies with `west` and takes no record itself (A1)."""
    assert found(**SAN_FRANCISCO) == ["bay"]
    assert found(country="US", city="Reno") == ["west"]


def test_deepest_of_each_branch() -> None:
    """Only the deepest qualifying territories of each branch match; siblings can both match (A2)."""
    assert found(**SAN_FRANCISCO, revenue=2_000_000) == ["bay", "large"]
    assert found(country="CA", revenue=2_000_000) == ["west", "large"]


def test_every_object_has_rules_of_its_own() -> None:
    """Leads are matched by lead rules alone (A7)."""
    assert found("lead", country="US", city="San Francisco", revenue=2_000_000) == ["west"]


def test_root_with_a_rule_decides_for_all_below() -> None:
    """If the root's rule fails, nothing below it qualifies (A1)."""
    american = {"account": {"field": "country", "eq": "US"}}
    model = model_of(
        {"id": "root", "rules": american},
        {"id": "leaf", "parent": "root", "rules": {"account": {"field": "revenue", "is_not_empty": True}}},
        {"id": "other-root", "rules": american},
    )
    policy = AssignmentPolicy(model)
    assert policy.matching("account", {"country": "us"}) == ["root", "other-root"]
    assert policy.matching("account", {"revenue": 5}) == []


def test_unreadable_values_are_counted() -> None:
    """A revenue that is not a number is unreadable, and counts in `wrong_values` (C6)."""
    policy = AssignmentPolicy(model_of())
    fields = policy.fields_of("account", {"country": "US", "revenue": "much", "other": []})
    assert {name: str(value) for name, value in fields.items()} == {
        "country": "us", "revenue": 'unreadable: found "much", expected an amount of money'
    }  # fmt: skip
    assert policy.wrong_values == 1
