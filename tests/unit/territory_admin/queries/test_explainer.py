from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assigner.assignment.family import Family
from assigner.assignment.foreign.copies import ForeignContacts
from territory.model.compiled import Model, compile_model
from territory.wire.events import LinkKind, Record
from territory.wire.keys import family_key
from territory_admin.queries.explainer import AssignmentExplainer, NearTerritory, Reason
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


def record(kind: Any, record_id: str, **values: Any) -> Record:
    account, contact = values.get("account"), values.get("contact")
    return Record(
        org_id="acme", object=kind, id=record_id, version=1, link_version=0, deleted=False,
        owner_id=values.get("owner"), account_id=account, contact_id=contact, fields=values.get("fields", {}),
        links=values.get("links", {}), family=family_key("acme", kind, record_id, account, contact),
        intake_partition=0, event_id="e", since_ms=0,
    )  # fmt: skip


def explainer(*records: Record, model: Model | None = None) -> AssignmentExplainer:
    family = Family()
    for one in records:
        family.put(one.key, one)
    return AssignmentExplainer(model or compile_model(MODEL, 3), family)


def german(**values: Any) -> Record:
    return record("account", "A", fields={"country": "DE", "size": 500}, **values)


def reason(key: str, territory_id: str, *records: Record) -> Reason:
    return explainer(*records).reason(f"acme/{key}", territory_id)


# --- accounts ---------------------------------------------------------------------------------


def test_a_link_is_explained_by_its_conditions() -> None:
    """A rule link names the conditions that held, those of ancestors included (A10)."""
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


def test_the_first_failed_condition_is_named_with_the_records_value() -> None:
    """It is of the territory's own rule, or of the first rule above it that fails (A10)."""
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
    """An exclusion beats the rule, a manual link needs no rule, a link to a removed territory is dropped (A4, A11)."""
    by_hand = german(links={"dach": "exclude", "hand": "assign", "moon": "assign", "small": "exclude"})
    assert reason("account/A", "dach", by_hand).outcome == "excluded"
    assert reason("account/A", "hand", by_hand) == Reason("hand", "linked", ("assigned by hand",), ("manual",))
    assert reason("account/A", "moon", by_hand).outcome == "dropped"
    excluded_in_vain = record("account", "A", links={"emea": "exclude"})
    assert reason("account/A", "emea", excluded_in_vain).outcome == "rule_failed"
    assert reason("account/A", "emea", excluded_in_vain).why[-1] == "it is excluded by hand as well"


def test_near_misses_are_named_with_the_one_condition_that_fails() -> None:
    """Territories that miss by one condition, of their own rule or one above, are listed deepest first (A10)."""
    french = record("account", "A", fields={"country": "FR", "size": 5000}, links={"small": "assign"})
    near = explainer(french).near_misses("acme/account/A", 9)
    assert near == [
        NearTerritory("dach", "dach", "country eq DE: the record's value is fr")
    ]  # not small: the account is in it by hand
    brazilian = explainer(record("account", "A", fields={"country": "BR", "size": 5}))
    found = brazilian.near_misses("acme/account/A", 9)
    assert [(one.territory_id, one.failing_territory) for one in found] == [("emea", "emea"), ("large", "large")]
    assert brazilian.near_misses("acme/account/A", 1) == found[:1]
    assert brazilian.near_misses("acme/account/A", 0) == []


def test_contacts_and_deals_have_no_near_misses() -> None:
    """They take territories of other records, so no rule of theirs can miss (A5, A6)."""
    contact, deal = record("contact", "C", account="A"), record("deal", "D", account="A")
    explaining = explainer(german(), contact, deal)
    assert explaining.near_misses("acme/contact/C", 9) == explaining.near_misses("acme/deal/D", 9) == []


# --- contacts and deals -----------------------------------------------------------------------


def test_a_contact_is_explained_by_its_account() -> None:
    """A contact takes the territories of its account, so the account's reason is the contact's (A5)."""
    contact = record("contact", "C", account="A", links={"dach": "exclude"})
    assert reason("contact/C", "large", german(), contact).why == ("inherited from account A",)
    assert reason("contact/C", "dach", german(), contact).outcome == "excluded"
    not_there = reason("contact/C", "world", german(), contact)
    assert not_there.outcome == "not_inherited"
    assert not_there.why[1] == "account A: it has no rule for accounts, so it never takes one by rule"
    assert reason("contact/C", "dach", contact).why == ("its account A is not known",)
    assert reason("contact/C", "dach", record("contact", "C")).why == ("the contact names no account",)


def test_a_deal_is_explained_by_its_candidates() -> None:
    """A deal takes the first of its account's territories whose deal rule holds; the others are runners-up (A3, A6)."""
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


def test_a_deal_assigned_by_hand_needs_no_rule() -> None:
    """A manual link on the deal itself wins over rules (A6)."""
    deal = record("deal", "D", account="A", links={"hand": "assign"})
    assert reason("deal/D", "hand", german(), deal).causes == ("manual",)
    assert reason("deal/D", "large", german(), deal).outcome == "manual_wins"


def test_a_deal_takes_its_contacts_territories_first() -> None:
    """Candidates are the contact's territories if it has any, else the account's (A6)."""
    contact = record("contact", "C", account="A", links={"hand": "assign", "dach": "exclude"})
    deal = record("deal", "D", account="A", contact="C", fields={"product": "MG"})
    found = reason("deal/D", "dach", german(), contact, deal)
    assert (found.outcome, found.why[0]) == (
        "not_candidate",
        "a deal takes one of the territories of its contact, and contact C is not in it",
    )


def test_a_deal_takes_the_territories_of_a_contact_in_another_family() -> None:
    """The reason names the contact's account, and what the contact is not in (A6, A10)."""
    deal = record("deal", "D", account="A", contact="C", fields={"product": "MG"})
    foreign = ForeignContacts()
    account = record("account", "B", fields={"country": "FR"})
    for each in (record("contact", "C", account="B", links={"large": "assign"}), account):
        foreign.put(each.key, each)
    family = Family(foreign)
    for one in (german(), deal):
        family.put(one.key, one)
    found = AssignmentExplainer(compile_model(MODEL, 3), family)
    assert found.links(deal.key)[0].why == ("inherited from contact C, of account B",)
    assert found.reason(deal.key, "large").outcome == "deal_rule_failed"
    reason_of = found.reason(deal.key, "hand")
    assert (reason_of.outcome, reason_of.why) == (
        "not_candidate",
        (
            "a deal takes one of the territories of its contact, and contact C is not in it",
            "contact C is of another account; explain assignment contact/C says more",
        ),
    )


# --- any organisation -------------------------------------------------------------------------


@st.composite
def families(draw: st.DrawFn) -> list[Record]:
    """Return an account family with missing members, odd fields and links by hand."""
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
def test_every_territory_has_a_reason_that_agrees_with_the_decision(
    document: dict[str, Any], family: list[Record]
) -> None:
    """A territory is explained as linked exactly if the services link it, and otherwise has another reason (A10)."""
    model = compile_model(document, 1, today=FIRST_DAY)
    explaining = explainer(*family, model=model)
    for one in family:
        decision = explaining.decision(one.key)
        linked = {link.territory_id for link in decision.links}
        for territory_id in (*model.territories, *decision.dropped):
            found = explaining.reason(one.key, territory_id)
            assert found.why
            assert (found.outcome == "linked") == (territory_id in linked)
            assert (found.outcome == "cut") == (territory_id in decision.cut)
            assert (found.outcome == "runner_up") == (territory_id in decision.runners_up)


@given(models(), families())
def test_a_near_miss_is_not_linked_and_one_condition_away(document: dict[str, Any], family: list[Record]) -> None:
    """It fails at the rule that `reason` names, and the record is not in the territory (A10)."""
    model = compile_model(document, 1, today=FIRST_DAY)
    explaining = explainer(*family, model=model)
    for one in family:
        for near in explaining.near_misses(one.key, 99):
            reason = explaining.reason(one.key, near.territory_id)
            assert reason.outcome == "rule_failed"
            place = "its own rule" if near.failing_territory == near.territory_id else near.failing_territory
            assert place in reason.why[0]
