from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_indexer.core.viewers import Path, paths_of
from assigner.assignment.family import Family
from territory.model.compiled import Model, compile_model
from territory.wire.events import LinkKind, Record
from territory.wire.keys import family_key
from territory_admin.queries.explanations import Explainer, Near, Reason, viewers_of
from tests.support.memory import FIRST_DAY
from tests.support.strategies import FIELDS, LINK_KINDS, MOON, STRANGER, TERRITORIES, USERS, VALUES, models

MODEL: dict[str, Any] = {
    "org": "acme",
    "settings": {"max_territories_per_record": 2},
    "fields": {"account": {"country": "text", "size": "number"}, "deal": {"product": "text"}},
    "roles": [{"id": "ceo"}, {"id": "rep", "parent": "ceo"}],
    "users": [
        {"id": "ann", "role": "ceo"},
        {"id": "bob", "role": "rep"},
        {"id": "cleo", "role": "rep"},
        {"id": "root", "role": "rep", "admin": True},
        {"id": "gone", "role": "ceo", "active": False},
    ],
    "territories": [
        {"id": "world"},
        {"id": "emea", "parent": "world", "rules": {"account": {"field": "country", "in": ["DE", "FR"]}}},
        {"id": "dach", "parent": "emea", "users": ["cleo"], "rules": {"account": {"field": "country", "eq": "DE"}}},
        {"id": "desk", "parent": "dach"},
        {"id": "large", "priority": 5, "rules": {"account": {"field": "size", "ge": 100},
                                                 "deal": {"field": "product", "starts_with": "GT"}}},
        {"id": "small", "rules": {"account": {"field": "size", "lt": 1000}}},
        {"id": "hand"},
    ],
}  # fmt: skip


SHARED: dict[str, Any] = {
    "id": "s1",
    "object": "account",
    "criteria": {"field": "size", "ge": 5},
    "to": {"role": "rep"},
}


def record(kind: Any, record_id: str, **values: Any) -> Record:
    account, contact = values.get("account"), values.get("contact")
    return Record(
        org_id="acme", object=kind, id=record_id, version=1, link_version=0, deleted=False,
        owner_id=values.get("owner"), account_id=account, contact_id=contact, fields=values.get("fields", {}),
        links=values.get("links", {}), family=family_key("acme", kind, record_id, account, contact),
        intake_partition=0, event_id="e", since_ms=0,
    )  # fmt: skip


def explainer(*records: Record, model: Model | None = None) -> Explainer:
    family = Family()
    for one in records:
        family.put(one.key, one)
    return Explainer(model or compile_model(MODEL, 3), family)


def german(**values: Any) -> Record:
    return record("account", "A", fields={"country": "DE", "size": 500}, **values)


def reason(key: str, territory_id: str, *records: Record) -> Reason:
    return explainer(*records).reason(f"acme/{key}", territory_id)


# --- accounts ---------------------------------------------------------------------------------


def test_a_link_is_explained_by_the_leaves_that_held() -> None:
    """A rule link names its leaves, those of ancestors included (A10)."""
    found = explainer(record("account", "A", fields={"country": "de"})).links("acme/account/A")
    assert [(one.territory_id, one.causes) for one in found] == [("dach", ("rule",))]
    assert found[0].why == ("emea: country in [DE, FR]", "dach: country eq DE")


@pytest.mark.parametrize(
    ("territory_id", "outcome", "says"),
    [
        ("world", "no_rule", "it has no rule for accounts, so it never takes one by rule"),
        ("emea", "deeper", "it qualifies, but below it so does dach, and the deepest of a branch takes it"),
        ("desk", "no_rule", "it has no rule for accounts"),
        ("small", "cut", "at most 2 territories, and these rank before it: large, dach"),
    ],
)
def test_an_account_is_not_in_a_territory_for_one_reason(territory_id: str, outcome: str, says: str) -> None:
    """The tree and the limit decide which of the qualifying territories take it (A1, A2, A3)."""
    found = reason("account/A", territory_id, german())
    assert found.outcome == outcome
    assert says in found.why[0]


def test_the_first_leaf_that_failed_is_named_with_the_records_value() -> None:
    """Of the territory's own rule, or of the first above it whose rule fails (A10)."""
    brazilian = record("account", "A", fields={"country": "BR"})
    assert reason("account/A", "emea", brazilian).why == (
        "its own rule does not hold: country in [DE, FR]: the record's value is br",
    )
    assert reason("account/A", "dach", brazilian).why == (
        "the rule of emea, which is above it, does not hold: country in [DE, FR]: the record's value is br",
    )
    assert reason("account/A", "large", brazilian).why == (
        "its own rule does not hold: size ge 100: the record's value is missing",
    )


def test_decisions_by_hand_are_explained() -> None:
    """An exclusion beats the rule, a manual link needs none, one to no territory is dropped (A4, A11)."""
    by_hand = german(links={"dach": "exclude", "hand": "assign", "moon": "assign", "small": "exclude"})
    assert reason("account/A", "dach", by_hand).outcome == "excluded"
    assert reason("account/A", "hand", by_hand) == Reason("hand", "linked", ("assigned by hand",), ("manual",))
    assert reason("account/A", "moon", by_hand).outcome == "dropped"
    excluded_in_vain = record("account", "A", links={"emea": "exclude"})
    assert reason("account/A", "emea", excluded_in_vain).outcome == "rule_failed"
    assert reason("account/A", "emea", excluded_in_vain).why[-1] == "it is excluded by hand as well"


def test_near_misses_are_named_with_the_one_condition_that_fails() -> None:
    """What would take the record if one condition held, of it or of one above it; the deepest first (A10)."""
    french = record("account", "A", fields={"country": "FR", "size": 5000}, links={"small": "assign"})
    near = explainer(french).near_misses("acme/account/A", 9)
    assert near == [Near("dach", "dach", "country eq DE: the record's value is fr")]  # small: it is in it by hand
    brazilian = explainer(record("account", "A", fields={"country": "BR", "size": 5}))
    found = brazilian.near_misses("acme/account/A", 9)
    assert [(one.territory_id, one.failing_territory) for one in found] == [("emea", "emea"), ("large", "large")]
    assert brazilian.near_misses("acme/account/A", 1) == found[:1]
    assert brazilian.near_misses("acme/account/A", 0) == []


def test_what_goes_by_others_has_no_near_misses() -> None:
    """A contact takes its account's territories, a deal one of them: no rule of theirs nearly holds (A5, A6)."""
    contact, deal = record("contact", "C", account="A"), record("deal", "D", account="A")
    explaining = explainer(german(), contact, deal)
    assert explaining.near_misses("acme/contact/C", 9) == explaining.near_misses("acme/deal/D", 9) == []


# --- contacts and deals -----------------------------------------------------------------------


def test_a_contact_is_explained_by_its_account() -> None:
    """A contact takes the territories of its account: the account's reason is the contact's (A5)."""
    contact = record("contact", "C", account="A", links={"dach": "exclude"})
    assert reason("contact/C", "large", german(), contact).why == ("inherited from account A",)
    assert reason("contact/C", "dach", german(), contact).outcome == "excluded"
    not_there = reason("contact/C", "world", german(), contact)
    assert not_there.outcome == "not_inherited"
    assert not_there.why[1] == "account A: it has no rule for accounts, so it never takes one by rule"
    assert reason("contact/C", "dach", contact).why == ("its account A is not known",)
    assert reason("contact/C", "dach", record("contact", "C")).why == ("the contact names no account",)


def test_a_deal_is_explained_by_its_candidates() -> None:
    """One of its account's territories, whose deal rule holds, in the order of A3; the rest are runners-up (A6)."""
    deal = record("deal", "D", account="A", fields={"product": "GTX"})
    assert reason("deal/D", "large", german(), deal).outcome == "linked"
    runner_up = reason("deal/D", "dach", german(), deal)
    assert (runner_up.outcome, runner_up.why) == (
        "runner_up",
        ("a deal has one territory, and large has the higher priority: 5 against 0",),
    )
    assert reason("deal/D", "emea", german(), deal).outcome == "not_candidate"
    assert "account A: it qualifies, but below it" in reason("deal/D", "emea", german(), deal).why[1]
    other = record("deal", "D", account="A", fields={"product": "MG"}, links={"dach": "exclude"})
    assert reason("deal/D", "large", german(), other).why == (
        "account A is in it, but its rule for deals does not hold: product starts_with GT: the record's value is mg",
    )
    assert reason("deal/D", "dach", german(), other).outcome == "excluded"
    assert reason("deal/D", "dach", record("deal", "D")).why == ("the deal names no account",)


def test_a_deal_that_is_assigned_by_hand_asks_no_rule() -> None:
    """A manual link on the deal itself wins (A6)."""
    deal = record("deal", "D", account="A", links={"hand": "assign"})
    assert reason("deal/D", "hand", german(), deal).causes == ("manual",)
    assert reason("deal/D", "large", german(), deal).outcome == "manual_wins"


def test_a_deal_goes_by_its_contact_if_that_has_territories() -> None:
    """The contact's territories are the candidates, else the account's (A6)."""
    contact = record("contact", "C", account="A", links={"hand": "assign", "dach": "exclude"})
    deal = record("deal", "D", account="A", contact="C", fields={"product": "MG"})
    found = reason("deal/D", "dach", german(), contact, deal)
    assert (found.outcome, found.why[0]) == (
        "not_candidate",
        "a deal takes one of the territories of its contact, and contact C is not in it",
    )


# --- any organisation -------------------------------------------------------------------------


@st.composite
def families(draw: st.DrawFn) -> list[Record]:
    """Return an account family with everything that can be odd about it."""
    dice = random.Random(draw(st.integers(0, 2**20)))  # noqa: S311 -- not a secret

    def some(kind: Any, record_id: str, **values: Any) -> Record:
        types = FIELDS.get(kind, {})
        fields = {name: dice.choice(VALUES[of]) for name, of in types.items() if dice.random() < 0.8}
        kinds: list[LinkKind] = [kind for kind in LINK_KINDS if kind != "none"]  # type: ignore[misc]  # two of three
        links = {name: dice.choice(kinds) for name in (*TERRITORIES, MOON) if dice.random() < 0.15}
        return record(kind, record_id, fields=fields, links=links, owner=dice.choice((*USERS, STRANGER)), **values)

    account = dice.choice(("A", None))
    found = [some("account", "A")] if dice.random() < 0.9 else []
    found.append(some("contact", "C", account=account))
    found.append(some("deal", "D", account=account, contact=dice.choice(("C", None))))
    return [*found, some("lead", "L")]


@given(models(), families())
def test_every_territory_has_a_reason_and_it_is_that_of_the_links(
    document: dict[str, Any], family: list[Record]
) -> None:
    """A territory is linked exactly when the services link it, and else something stood against it (A10)."""
    model = compile_model(document, 1, today=FIRST_DAY)
    explaining = explainer(*family, model=model)
    for one in family:
        standing = explaining.standing(one.key)
        linked = {link.territory_id for link in standing.links}
        for territory_id in (*model.territories, *standing.dropped):
            found = explaining.reason(one.key, territory_id)
            assert found.why
            assert (found.outcome == "linked") == (territory_id in linked)
            assert (found.outcome == "cut") == (territory_id in standing.cut)
            assert (found.outcome == "runner_up") == (territory_id in standing.runners_up)


@given(models(), families())
def test_a_near_miss_is_not_linked_and_one_condition_away(document: dict[str, Any], family: list[Record]) -> None:
    """Of accounts and leads: it fails where `reason` says it fails, and the record is not in it (A10)."""
    model = compile_model(document, 1, today=FIRST_DAY)
    explaining = explainer(*family, model=model)
    for one in family:
        for near in explaining.near_misses(one.key, 99):
            reason = explaining.reason(one.key, near.territory_id)
            assert reason.outcome == "rule_failed"
            place = "its own rule" if near.failing_territory == near.territory_id else near.failing_territory
            assert place in reason.why[0]


@given(
    models(), st.sampled_from([*USERS, STRANGER, None]), st.sets(st.sampled_from(TERRITORIES), max_size=3), st.data()
)
def test_who_sees_a_record_is_who_has_a_path(
    document: dict[str, Any], owner: str | None, held: set[str], data: st.DataObject
) -> None:
    """The viewers by their sets and their explained paths agree, in who and in how (V1, V3, V4, V6, V9)."""
    model = compile_model(document, 1)
    marks = tuple(data.draw(st.lists(st.sampled_from([*model.sharing, "s1#of-another-model"]), unique=True)))
    territories = tuple(sorted(held))
    found = {viewer.user_id: viewer for viewer in viewers_of(model, owner, territories, marks)}
    for user in model.people:
        paths = paths_of(model, user, owner, territories, marks)
        levels = {path.level for path in paths}
        assert (user in found) is bool(paths)
        if paths:
            assert (found[user].paths, found[user].level) == (tuple(paths), "edit" if "edit" in levels else "read")


def test_viewers_are_told_with_all_their_paths() -> None:
    """Of several paths each is named, and the highest level counts (V3, V9)."""
    model = compile_model({**MODEL, "sharing": [SHARED]}, 1)
    by_id = {viewer.user_id: viewer for viewer in viewers_of(model, "cleo", ("dach",), tuple(model.sharing))}
    assert [str(path) for path in by_id["cleo"].paths] == [
        "owner (edit)",
        "member of territory dach (read)",
        "sharing rule s1 for role rep (read)",
    ]
    assert (by_id["cleo"].level, by_id["bob"].level) == ("edit", "read")
    assert [str(path) for path in by_id["bob"].paths] == ["sharing rule s1 for role rep (read)"]
    assert by_id["root"].paths[0] == Path("administrator", "edit")


def test_viewers_are_named_with_their_level() -> None:
    """Administrators are among them; who is deactivated is not (V1, V7)."""
    found = viewers_of(compile_model(MODEL, 1), "bob", ("dach",), ())
    assert [(viewer.user_id, viewer.level, viewer.admin) for viewer in found] == [
        ("ann", "edit", False),
        ("bob", "edit", False),
        ("cleo", "read", False),
        ("root", "edit", True),
    ]
