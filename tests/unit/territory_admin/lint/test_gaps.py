"""Gaps of a model: territories without people, users without a territory, targets that do not add up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given

from territory.model.compiled import compile_model
from territory_admin.lint.gaps import ModelGaps, UnequalTarget, UnstaffedTerritory, gaps_of
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, Document

RULE = {"account": {"field": "country", "eq": "US"}}


def found_in(**sections: Any) -> ModelGaps:
    """Return the gaps of a model with some users."""
    users = [
        {"id": "ann", "role": "r"},
        {"id": "bob", "role": "r"},
        {"id": "gone", "role": "r", "active": False},
        {"id": "root", "role": "r", "admin": True},
    ]
    document: Document = {
        "org": "acme",
        "roles": [{"id": "r"}],
        "users": users,
        "fields": {"account": {"country": "text"}},
    }
    return gaps_of(compile_model({**document, **sections}, 1))


def test_an_organisation_without_territories() -> None:
    """A model without territories is one gap; that its users have none is no second one."""
    assert found_in() == ModelGaps(True, (), (), ())


def test_territories_without_an_active_user() -> None:
    """A territory with a rule, or without children, needs an active member; the nearest above it with one sees (V1)."""
    territories = [
        {"id": "world"},
        {"id": "west", "parent": "world", "manager": "ann"},
        {"id": "ruled", "parent": "west", "rules": RULE, "users": ["gone"]},
        {"id": "leaf", "parent": "ruled"},
        {"id": "staffed", "parent": "ruled", "users": ["bob", "gone"]},
        {"id": "by-admin", "parent": "world", "users": ["root"]},
        {"id": "east", "parent": "world"},
    ]
    assert found_in(territories=territories).unstaffed == (
        UnstaffedTerritory("ruled", "west"),
        UnstaffedTerritory("leaf", "west"),
        UnstaffedTerritory("east", None),
    )


def test_users_without_a_territory() -> None:
    """An active user in no territory is a gap; administrators see everything, and the inactive nothing (V1, V7)."""
    assert found_in(territories=[{"id": "world", "manager": "bob"}]).without_territory == ("ann",)


def test_targets_that_do_not_add_up() -> None:
    """A target is compared with those of its children and of its users, where one of them is set (F5)."""
    territories = [{"id": "world"}, *({"id": name, "parent": "world"} for name in ("west", "east", "north"))]
    targets = [
        {"territory": "world", "period": "2017-Q1", "amount": "100"},
        {"territory": "west", "period": "2017-Q1", "amount": "60.5"},
        {"territory": "east", "period": "2017-Q1", "amount": "40"},
        {"territory": "west", "user": "ann", "period": "2017-Q1", "amount": "60.50"},
        {"territory": "east", "user": "ann", "period": "2017-Q1", "amount": "0"},
        {"territory": "west", "period": "2017-Q2", "amount": "5"},  # nothing below, and none above
        {"territory": "world", "period": "2017-Q3", "amount": "5"},  # nothing below
    ]
    assert found_in(territories=territories, targets=targets).unequal_targets == (
        UnequalTarget("east", "2017-Q1", "40", "0"),
        UnequalTarget("world", "2017-Q1", "100", "100.5"),
    )


@given(models())
@FEW
def test_unequal_targets_are_those_of_the_rule(document: Document) -> None:
    """For any model, the pairs are exactly those in which target and sum differ and the sum has a part (F5)."""
    amounts = {(t["territory"], t["period"], t.get("user")): Decimal(t["amount"]) for t in document["targets"]}
    parent = {node["id"]: node.get("parent") for node in document["territories"]}
    expected = set()
    for (name, period, user), amount in amounts.items():
        parts = [
            other
            for (place, when, whose), other in amounts.items()
            if when == period and (place == name if whose else parent[place] == name)
        ]
        if user is None and parts and sum(parts) != amount:
            expected.add((name, period, amount, sum(parts)))
    found = gaps_of(compile_model(document, 1)).unequal_targets
    assert {(each.territory_id, each.period, Decimal(each.target), Decimal(each.parts)) for each in found} == expected
