"""The decision for one record: rules, manual links, inheritance and sharing rules."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.assignment.emission import Origin, decide_and_emit
from assigner.assignment.family import Family
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from assigner.matching.engines import EngineName
from territory.model.compiled import Model, compile_model
from territory.stage import Effects
from territory.wire.events import Cause, Link
from tests.unit.assigner.examples import FIELDS, IN_AMERICA, SAN_FRANCISCO, TREE, model_of, record

BY_HAND = "assigned by hand"


def in_territories(*territories: str) -> AssignmentDecision:
    """Return the decision for an account or contact in some territories."""
    return AssignmentDecision(tuple(Link(territory, ("rule",), ()) for territory in territories))


def territories(decision: AssignmentDecision) -> list[str]:
    return [link.territory_id for link in decision.links]


def causes(decision: AssignmentDecision) -> dict[str, tuple[Cause, ...]]:
    return {link.territory_id: link.causes for link in decision.links}


# --- accounts and leads -----------------------------------------------------------------------


def test_rule_and_manual_link_at_once() -> None:
    """A record linked by rule and manually keeps both causes, with both explanations (A4, A10)."""
    decision = AssignmentPolicy(model_of()).decide_by_rules(
        record("account/A-1", fields=SAN_FRANCISCO, links={"bay": "assign"})
    )
    assert decision.links == (
        Link("bay", ("rule", "manual"), ("west: country in [US, CA]", "bay: city eq San Francisco", BY_HAND)),
    )


def test_manual_link_needs_no_rule() -> None:
    """A manual link does not depend on rules (A4)."""
    decision = AssignmentPolicy(model_of()).decide_by_rules(record("lead/L-1", links={"world": "assign"}))
    assert decision.links == (Link("world", ("manual",), (BY_HAND,)),)


def test_exclusion_beats_a_rule() -> None:
    """An excluded territory still qualifies, so its parent does not get the record instead (A2, A4)."""
    decision = AssignmentPolicy(model_of()).decide_by_rules(
        record("account/A-1", fields=SAN_FRANCISCO, links={"bay": "exclude"})
    )
    assert decision == AssignmentDecision(())


def test_territory_that_is_not_in_the_model() -> None:
    """A manual link to an unknown territory is named in `dropped`; an exclusion of one has no effect (A11)."""
    decision = AssignmentPolicy(model_of()).decide_by_rules(
        record("lead/L-1", links={"y": "assign", "x": "assign", "z": "exclude"})
    )
    assert decision == AssignmentDecision((), dropped=("x", "y"))


def ranked_model(limit: int | None) -> Any:
    """Return a model with priorities, in which all territories qualify for American accounts."""
    rules = {"account": IN_AMERICA}
    return model_of(
        {"id": "b", "rules": rules},
        {"id": "a", "rules": rules},
        {"id": "top"},
        {"id": "deep", "parent": "top", "rules": rules},
        {"id": "first", "rules": rules, "priority": 1},
        {"id": "hand", "priority": -1},
        limit=limit,
    )


ORDER = ["hand", "first", "deep", "a", "b"]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, None])
def test_links_beyond_the_limit_are_cut(limit: int | None) -> None:
    """The order is manual, priority, depth, id; links beyond the limit are named in `cut` in that order (A3)."""
    account = record("account/A-1", fields={"country": "US"}, links={"hand": "assign"})
    decision = AssignmentPolicy(ranked_model(limit)).decide_by_rules(account)
    kept = len(ORDER) if limit is None else limit
    assert (territories(decision), list(decision.cut)) == (ORDER[:kept], ORDER[kept:])


# --- contacts ---------------------------------------------------------------------------------


def test_contact_takes_all_links_of_its_account() -> None:
    """A contact inherits its account's territories; manual links add to them, exclusions remove (A4, A5)."""
    contact = record("contact/C-1", account_id="A-1", links={"games": "assign", "large": "exclude", "west": "assign"})
    decision = AssignmentPolicy(model_of()).decide_contact(contact, in_territories("west", "bay", "large"))
    assert causes(decision) == {"west": ("inherited", "manual"), "games": ("manual",), "bay": ("inherited",)}
    assert decision.links[2].why == ("inherited from account A-1",)


@pytest.mark.parametrize("account", [None, in_territories()], ids=["not known", "in no territory"])
def test_contact_without_an_account_that_has_links(account: AssignmentDecision | None) -> None:
    """Such a contact has only its manual links (A5)."""
    contact = record("contact/C-1", account_id="A-1", fields=SAN_FRANCISCO)
    assert AssignmentPolicy(model_of()).decide_contact(contact, account) == AssignmentDecision(())


def test_contact_has_the_limit_of_accounts() -> None:
    """The limit applies to contacts: manual links count, and come first (A3, A5)."""
    contact = record("contact/C-1", account_id="A-1", links={"world": "assign"})
    decision = AssignmentPolicy(model_of(limit=2)).decide_contact(contact, in_territories("west", "bay"))
    assert (territories(decision), decision.cut) == (["world", "bay"], ("west",))


# --- deals ------------------------------------------------------------------------------------


def test_deal_inherits_from_its_contact_first() -> None:
    """A deal inherits from its account only if its contact has no territories (A6)."""
    deal = record("deal/D-1", account_id="A-1", contact_id="C-1")
    policy = AssignmentPolicy(model_of())
    by_contact = policy.decide_deal(deal, in_territories("large"), in_territories("west"))
    assert by_contact.links == (Link("large", ("inherited",), ("inherited from contact C-1",)),)
    for contact in (None, in_territories()):
        by_account = policy.decide_deal(deal, contact, in_territories("west"))
        assert by_account.links == (Link("west", ("inherited",), ("inherited from account A-1",)),)


def test_one_candidate_is_chosen_and_the_others_are_named() -> None:
    """A deal has at most one territory, chosen by priority, depth and id (A3, A6)."""
    deal = record("deal/D-1", account_id="A-1")
    decision = AssignmentPolicy(model_of()).decide_deal(deal, None, in_territories("west", "bay", "large"))
    assert (territories(decision), decision.runners_up) == (["bay"], ("large", "west"))


def test_manual_link_of_the_account_is_not_one_of_the_deal() -> None:
    """Only the deal's own manual link comes first; the account's ranks like any candidate (A6)."""
    manual = AssignmentDecision((Link("west", ("manual",), ()), Link("bay", ("rule",), ())))
    assert territories(
        AssignmentPolicy(model_of()).decide_deal(record("deal/D-1", account_id="A-1"), None, manual)
    ) == ["bay"]


def test_deal_rule_of_the_territory_itself() -> None:
    """A candidate is kept if its own deal rule holds, or if it has none (A6, A10)."""
    policy, candidates = AssignmentPolicy(model_of()), in_territories("games", "world")
    gtx = record("deal/D-1", account_id="A-1", fields={"product": "GTX Pro"})
    assert policy.decide_deal(gtx, None, candidates).links == (
        Link("games", ("inherited",), ("inherited from account A-1", "games: product starts_with GTX")),
    )
    other = record("deal/D-2", account_id="A-1", fields={"product": "MG"})
    assert territories(policy.decide_deal(other, None, candidates)) == ["world"]


def test_deal_rules_of_ancestors_do_not_count() -> None:
    """A child of `games` without a deal rule of its own is kept for any deal (A6)."""
    model = model_of(
        {"id": "games", "rules": {"deal": {"field": "product", "eq": "GTX"}}}, {"id": "sub", "parent": "games"}
    )
    assert territories(
        AssignmentPolicy(model).decide_deal(record("deal/D-1", account_id="A-1"), None, in_territories("sub"))
    ) == ["sub"]


def test_manual_link_on_the_deal_wins() -> None:
    """A manual link wins over candidates and deal rules; of several, the others are runners-up (A6)."""
    deal = record("deal/D-1", account_id="A-1", links={"games": "assign", "bay": "assign", "gone": "assign"})
    decision = AssignmentPolicy(model_of()).decide_deal(deal, None, in_territories("west"))
    assert decision == AssignmentDecision(
        (Link("bay", ("manual",), (BY_HAND,)),), runners_up=("games",), dropped=("gone",)
    )


def test_exclusion_on_the_deal_takes_a_candidate() -> None:
    """An exclusion removes a candidate; if none is left, the deal does not inherit from the account (A4, A6)."""
    policy = AssignmentPolicy(model_of())
    deal = record("deal/D-1", account_id="A-1", contact_id="C-1", links={"bay": "exclude"})
    assert territories(policy.decide_deal(deal, None, in_territories("bay", "west"))) == ["west"]
    assert territories(policy.decide_deal(deal, in_territories("bay"), in_territories("west"))) == []


@pytest.mark.parametrize(
    ("state", "account", "reason"),
    [
        ({}, None, "it names no account"),
        ({"account_id": "A-1"}, None, "its account A-1 is not known"),
        ({"account_id": "A-1"}, in_territories(), "its account A-1 is in no territory"),
        ({"account_id": "A-1"}, in_territories("games"), "none of the 1 territories of its account takes it"),
    ],
)
def test_deal_without_a_territory_has_a_reason(
    state: dict[str, Any], account: AssignmentDecision | None, reason: str
) -> None:
    """An unassigned deal is emitted with the reason, never silently dropped (A10, F2)."""
    decision = AssignmentPolicy(model_of()).decide_deal(record("deal/D-1", **state), None, account)
    assert decision.links == ()
    assert (decision.unassigned or "").startswith(reason)


# --- sharing rules (V6) -----------------------------------------------------------------------


def sharing_model(*rules: dict[str, Any], **sections: Any) -> Model:
    """Return the model of these tests with sharing rules; a rule is its id, its object and its criteria."""
    document: dict[str, Any] = {
        "org": "acme",
        "fields": {**FIELDS, "contact": {"country": "text"}},
        "territories": list(TREE),
        "sharing": [{**rule, "to": {"territory": "world"}} for rule in rules],
    }
    return compile_model(document | sections, 1)


def american(rule_id: str, kind: str, field: str = "country") -> dict[str, Any]:
    """Return a sharing rule for records in the US."""
    return {"id": rule_id, "object": kind, "criteria": {"field": field, "eq": "US"}}


def ids(marks: tuple[str, ...]) -> list[str]:
    """Return the ids of the sharing rules of some marks."""
    return [mark.partition("#")[0] for mark in marks]


def test_sharing_rules_that_hold_are_named() -> None:
    """Every sharing rule that holds is named by its mark, whatever territories the record has (V6)."""
    model = sharing_model(american("s2", "account"), american("s1", "account"), american("s0", "lead"))
    policy = AssignmentPolicy(model)
    decision = policy.decide_by_rules(record("account/A-1", fields={"country": "US"}))
    assert (ids(decision.shared), territories(decision)) == (["s1", "s2"], ["west"])
    assert set(decision.shared) < set(model.sharing)
    excluded = policy.decide_by_rules(record("account/A-1", fields={"country": "US"}, links={"west": "exclude"}))
    assert (excluded.shared, territories(excluded)) == (decision.shared, [])
    assert policy.decide_by_rules(record("account/A-1", fields={"country": "FR"})).shared == ()
    assert ids(policy.decide_by_rules(record("lead/L-1", fields={"country": "us"})).shared) == ["s0"]


def test_contacts_and_deals_are_shared_by_their_own_fields() -> None:
    """Contacts and deals inherit territories but no sharing: its rules compare their own fields (V6, A5, A6)."""
    policy = AssignmentPolicy(
        sharing_model(american("c", "contact"), american("d", "deal", "product"), american("a", "account"))
    )
    account = AssignmentDecision((Link("west", ("rule",), ()),), shared=("a#of-the-account",))
    contact = record("contact/C-1", account_id="A-1", fields={"country": "US"})
    assert ids(policy.decide_contact(contact, account).shared) == ["c"]
    assert ids(policy.decide_contact(contact, None).shared) == ["c"]
    assert policy.decide_contact(record("contact/C-2", account_id="A-1"), account).shared == ()
    for links in ({}, {"west": "assign"}, {"west": "exclude"}):
        deal = record("deal/D-1", account_id="A-1", fields={"product": "US"}, links=links)
        assert ids(policy.decide_deal(deal, None, account).shared) == ["d"]
    assert policy.decide_deal(record("deal/D-2", account_id="A-1"), None, account).shared == ()


def test_fields_are_read_in_the_organisations_zone() -> None:
    """An instant in a date field, and a day in a datetime field, are days of the organisation's time zone (C8)."""
    document: dict[str, Any] = {
        "org": "acme",
        "settings": {"time_zone": "America/Los_Angeles"},
        "fields": {"account": {"since": "date", "seen": "datetime"}},
        "territories": [
            {"id": "day", "rules": {"account": {"field": "since", "eq": "2017-02-28"}}},
            {"id": "instant", "rules": {"account": {"field": "seen", "ge": "2017-03-01T08:00:00Z"}}},
        ],
    }
    policy = AssignmentPolicy(compile_model(document, 1))
    fields = {"since": "2017-03-01T07:59:59Z", "seen": "2017-03-01"}
    assert territories(policy.decide_by_rules(record("account/A-1", fields=fields))) == ["day", "instant"]


def test_wrong_values_are_counted_once() -> None:
    """An unreadable value counts once, also where territories and sharing rules compare its field (C6)."""
    policy = AssignmentPolicy(sharing_model(american("s1", "account"), american("s2", "deal", "product")))
    policy.decide_by_rules(record("account/A-1", fields={"country": True}))
    assert policy.wrong_values == 1
    policy.decide_deal(record("deal/D-1", fields={"product": True}), None, in_territories("games"))
    assert policy.wrong_values == 2


@pytest.mark.parametrize("count", [3, 200])
@pytest.mark.parametrize("engine", ["index", "plain"])
def test_many_sharing_rules_are_indexed(engine: EngineName, count: int) -> None:
    """Few sharing rules are evaluated, many are indexed: the same ones hold (V6)."""
    rules = [
        {"id": f"s{number}", "object": "account", "criteria": {"field": "revenue", "ge": number * 10}}
        for number in range(count)
    ]
    policy = AssignmentPolicy(sharing_model(*rules), engine)
    shared = policy.decide_by_rules(record("account/A-1", fields={"revenue": 15})).shared
    assert ids(shared) == ["s0", "s1"]


def test_unreadable_fields_of_messages_are_counted() -> None:
    """Each unreadable value of a declared field in a message counts by object and field, ruled or not (C6)."""
    fields = {"account": {"country": "text", "revenue": "money", "vip": "boolean"}, "deal": {"product": "text"}}
    rules = {"account": {"field": "country", "eq": "US"}}
    document: dict[str, Any] = {
        "org": "acme",
        "currency": "USD",
        "fields": fields,
        "territories": [{"id": "west", "rules": rules}],
    }
    policy = AssignmentPolicy(compile_model(document, 1))
    cases: tuple[tuple[dict[str, Any], list[str]], ...] = (
        ({"country": True}, ["country"]),
        ({"vip": "on"}, ["vip"]),
        ({"country": True, "vip": "on", "revenue": "1,5", "other": {}}, ["country", "revenue", "vip"]),
        ({"country": "US", "vip": "yes", "revenue": ""}, []),
    )
    for spoiled, found in cases:
        account = record("account/A-1", fields=spoiled)
        family, effects = Family(), Effects()
        decide_and_emit(family.put(account.key, account), family, policy, Origin("e", 0), effects)
        assert effects.unreadable == {("account", name): 1 for name in found}
    deal = record("deal/D-1", fields={"product": ["x"]})
    family, effects = Family(), Effects()
    decide_and_emit(family.put(deal.key, deal), family, policy, Origin("e", 0), effects)
    assert effects.unreadable == {("deal", "product"): 1}
