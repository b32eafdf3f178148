"""Which territories a record qualifies for, along the tree."""

from __future__ import annotations

from typing import Any

from assigner.assignment.policy import AssignmentPolicy
from territory.model.document import RuledObject
from tests.unit.assigner.examples import SAN_FRANCISCO, model_of


def found(kind: RuledObject = "account", **fields: Any) -> list[str]:
    """Return the territories that take a record by rule."""
    linker = AssignmentPolicy(model_of())
    return linker.matching(kind, linker.fields_of(kind, fields))


def test_child_qualifies_with_its_parent_only() -> None:
    """A rule that holds is nothing under a parent's that does not (A1)."""
    assert found(country="FR", city="San Francisco") == []


def test_territory_without_a_rule_passes_the_answer_on() -> None:
    """`coast` stands between `west` and `bay`, lets pass, and never takes a record itself (A1)."""
    assert found(**SAN_FRANCISCO) == ["bay"]
    assert found(country="US", city="Reno") == ["west"]


def test_deepest_of_each_branch() -> None:
    """A parent takes nothing that a child takes; siblings can both match (A2)."""
    assert found(**SAN_FRANCISCO, revenue=2_000_000) == ["bay", "large"]
    assert found(country="CA", revenue=2_000_000) == ["west", "large"]


def test_every_object_has_rules_of_its_own() -> None:
    """A lead is asked the lead rules alone (A7)."""
    assert found("lead", country="US", city="San Francisco", revenue=2_000_000) == ["west"]


def test_root_with_a_rule_decides_for_all_below() -> None:
    """The root's parent is true, the root itself may fail (A1)."""
    american = {"account": {"field": "country", "eq": "US"}}
    model = model_of(
        {"id": "root", "rules": american},
        {"id": "leaf", "parent": "root", "rules": {"account": {"field": "revenue", "is_not_empty": True}}},
        {"id": "other-root", "rules": american},
    )
    linker = AssignmentPolicy(model)
    assert linker.matching("account", {"country": "us"}) == ["root", "other-root"]
    assert linker.matching("account", {"revenue": 5}) == []


def test_wrong_types_are_missing_and_counted() -> None:
    """A revenue that is no number is a missing field (C6)."""
    linker = AssignmentPolicy(model_of())
    assert linker.fields_of("account", {"country": "US", "revenue": "much", "other": []}) == {"country": "us"}
    assert linker.wrong_values == 1
