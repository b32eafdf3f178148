from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from territory_admin.models.today import of_today
from territory_admin.planning.assignments import assignments_under, redecided
from territory_admin.planning.handover import Share, empties_tree, membership_share, moves_no_record
from tests.support.strategies import ACCOUNTS, FIELDS, IDS, TERRITORIES, VALUES, edited, models
from tests.unit.territory_admin.planning.examples import record


def model_of(*users: dict[str, Any], territories: list[dict[str, Any]] | None = None) -> Model:
    document: Any = {"org": "acme", "users": list(users), "territories": territories or []}
    return compile_model({**document, "roles": [{"id": "r"}, {"id": "s"}]}, 1)


def users(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"u{number}", "role": "r", **more} for number in range(count)]


@pytest.mark.parametrize(
    ("changing", "of", "is_large"),
    [(0, 0, False), (0, 10, False), (1, 10, False), (2, 10, True), (1, 9, True), (10, 100, False), (11, 100, True)],
)
def test_more_than_a_tenth_is_large(changing: int, of: int, is_large: bool) -> None:
    """More than a tenth is much, exactly a tenth is not, and of nothing nothing is much."""
    assert Share(changing, of).is_large is is_large


def test_every_place_of_a_user_is_a_membership() -> None:
    """Members and managers of territories, roles and administrators: each place decides what a user sees (V1)."""
    west = {"id": "west", "users": ["u0"], "manager": "u1"}
    before = model_of(*users(2), territories=[west])
    assert membership_share(before, before) == Share(0, 5)  # two roles, two members, one of them the manager
    assert membership_share(before, model_of(*users(2), territories=[{**west, "users": []}])) == Share(1, 5)
    assert membership_share(before, model_of(*users(2), territories=[{**west, "manager": "u0"}])) == Share(2, 5)
    other_role: list[Any] = [*users(1), {"id": "u1", "role": "s"}]
    assert membership_share(before, model_of(*other_role, territories=[west])) == Share(1, 5)
    assert membership_share(before, model_of(*users(2, admin=True), territories=[west])) == Share(2, 7)


def test_members_of_groups_have_memberships() -> None:
    """A group's members own what it owns (V10): each is a membership, by name or by role."""
    group: Any = {"id": "g", "users": ["u0"], "roles": ["s"]}
    people: list[Any] = [*users(2), {"id": "u2", "role": "s"}]
    document: Any = {"org": "acme", "roles": [{"id": "r"}, {"id": "s"}], "users": people}
    with_group, without = (compile_model({**document, "groups": groups}, 1) for groups in ([group], []))
    assert membership_share(with_group, without) == Share(2, 5)


def test_a_deactivated_user_leaves_every_place() -> None:
    """A deactivated user sees nothing (V7), so its memberships count as gone."""
    west = [{"id": "west", "users": ["u0", "u1"]}]
    after: list[Any] = [{"id": "u0", "role": "r", "active": False}, {"id": "u1", "role": "r"}]
    assert membership_share(model_of(*users(2), territories=west), model_of(*after, territories=west)) == Share(2, 4)


def test_the_first_people_are_no_change_of_hands() -> None:
    """An organisation whose model had no people gets its first ones without a question."""
    assert membership_share(model_of(), model_of(*users(9))) == Share(0, 0)


def test_an_empty_model_takes_every_membership_away() -> None:
    """A file with `org:` alone is valid and would empty the organisation: that is a large change, tree or people."""
    before = model_of(*users(3), territories=[{"id": "west", "users": ["u0"]}])
    assert membership_share(before, model_of()) == Share(4, 4)
    assert empties_tree(model_of(territories=[{"id": "west"}]), model_of())
    assert not empties_tree(model_of(), model_of())


def territories_under(records: dict[str, Record], model: Model, policies: PolicyCache) -> dict[str, set[str]]:
    return {key: set(each.territories) for key, each in assignments_under(records, model, policies).items()}


@given(models(), st.lists(st.integers(0, 999), min_size=1, max_size=3), st.integers(0, 999))
def test_what_the_safeguard_passes_over_does_not_move(first: dict[str, Any], seeds: list[int], seed: int) -> None:
    """Every record that moves is among those decided differently; where none is read, none moves (A9)."""
    second = first
    for number in seeds:
        second = edited(second, random.Random(number))  # noqa: S311 -- not a secret
    before, after = (of_today(compile_model(document, 1)) for document in (first, second))
    records, policies = records_of(random.Random(seed)), PolicyCache()  # noqa: S311 -- not a secret
    now, then = (territories_under(records, model, policies) for model in (before, after))
    moved = {key for key in records if now[key] != then[key]}
    assert moved <= redecided(records, before, after, policies)
    if moves_no_record(before, after):
        assert moved == set()


def records_of(dice: random.Random) -> dict[str, Record]:
    """Return some accounts, contacts, leads and deals with random fields, some with a link by hand."""
    made = {}
    for kind, ids in IDS.items():
        for record_id in ids:
            account_id = dice.choice((*ACCOUNTS, None)) if kind in ("contact", "deal") else None
            fields = {name: dice.choice(VALUES[of]) for name, of in FIELDS[kind].items()}
            made[record_id] = replace(
                record(kind, record_id, fields, account_id),
                family=f"acme/account/{account_id}" if account_id else f"acme/{kind}/{record_id}",
                links={dice.choice(TERRITORIES): dice.choice(("assign", "exclude"))} if dice.random() < 0.2 else {},
            )
    return {each.key: each for each in made.values()}
