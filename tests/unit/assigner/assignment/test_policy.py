"""The links of one record, from the rules and from what people decided."""

from __future__ import annotations

from typing import Any

import pytest

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from assigner.matching.engines import EngineName
from territory.model.compiled import Model, compile_model
from territory.wire.events import Cause, Link
from tests.unit.assigner.examples import FIELDS, IN_AMERICA, SAN_FRANCISCO, TREE, model_of, record

BY_HAND = "assigned by hand"


def standing(*territories: str) -> AssignmentDecision:
    """Return where an account or contact stands that is in some territories."""
    return AssignmentDecision(tuple(Link(territory, ("rule",), ()) for territory in territories))


def territories(stands: AssignmentDecision) -> list[str]:
    return [link.territory_id for link in stands.links]


def causes(stands: AssignmentDecision) -> dict[str, tuple[Cause, ...]]:
    return {link.territory_id: link.causes for link in stands.links}


# --- accounts and leads -----------------------------------------------------------------------


def test_rule_and_hand_at_once() -> None:
    """A pair can be linked by rule and by hand: both causes are kept, with both reasons (A4, A10)."""
    stands = AssignmentPolicy(model_of()).decide_by_rules(
        record("account/A-1", fields=SAN_FRANCISCO, links={"bay": "assign"})
    )
    assert stands.links == (
        Link("bay", ("rule", "manual"), ("west: country in [US, CA]", "bay: city eq San Francisco", BY_HAND)),
    )


def test_manual_link_needs_no_rule() -> None:
    """It never depends on rules (A4)."""
    stands = AssignmentPolicy(model_of()).decide_by_rules(record("lead/L-1", links={"world": "assign"}))
    assert stands.links == (Link("world", ("manual",), (BY_HAND,)),)


def test_exclusion_beats_a_rule() -> None:
    """And the territory above does not take the record in its place: the excluded one qualifies still (A2, A4)."""
    stands = AssignmentPolicy(model_of()).decide_by_rules(
        record("account/A-1", fields=SAN_FRANCISCO, links={"bay": "exclude"})
    )
    assert stands == AssignmentDecision(())


def test_territory_that_is_not_in_the_model() -> None:
    """A manual link to it stays with the record and is named; an exclusion of it means nothing (A11)."""
    stands = AssignmentPolicy(model_of()).decide_by_rules(
        record("lead/L-1", links={"y": "assign", "x": "assign", "z": "exclude"})
    )
    assert stands == AssignmentDecision((), dropped=("x", "y"))


def ranked_model(limit: int | None) -> Any:
    """Return a model whose territories all take American accounts, with priorities."""
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
def test_who_stays_below_the_limit(limit: int | None) -> None:
    """Manual first, then priority, depth and id; what was cut is named in that order; no limit cuts nothing (A3)."""
    account = record("account/A-1", fields={"country": "US"}, links={"hand": "assign"})
    stands = AssignmentPolicy(ranked_model(limit)).decide_by_rules(account)
    kept = len(ORDER) if limit is None else limit
    assert (territories(stands), list(stands.cut)) == (ORDER[:kept], ORDER[kept:])


# --- contacts ---------------------------------------------------------------------------------


def test_contact_takes_all_links_of_its_account() -> None:
    """As inherited; its own manual links add, its exclusions take away (A4, A5)."""
    contact = record("contact/C-1", account_id="A-1", links={"games": "assign", "large": "exclude", "west": "assign"})
    stands = AssignmentPolicy(model_of()).decide_contact(contact, standing("west", "bay", "large"))
    assert causes(stands) == {"west": ("inherited", "manual"), "games": ("manual",), "bay": ("inherited",)}
    assert stands.links[2].why == ("inherited from account A-1",)


@pytest.mark.parametrize("account", [None, standing()], ids=["not known", "in no territory"])
def test_contact_without_an_account_that_has_links(account: AssignmentDecision | None) -> None:
    """It has no link but its own (A5)."""
    contact = record("contact/C-1", account_id="A-1", fields=SAN_FRANCISCO)
    assert AssignmentPolicy(model_of()).decide_contact(contact, account) == AssignmentDecision(())


def test_contact_has_the_limit_of_accounts() -> None:
    """Its manual links count, and stay first (A3, A5)."""
    contact = record("contact/C-1", account_id="A-1", links={"world": "assign"})
    stands = AssignmentPolicy(model_of(limit=2)).decide_contact(contact, standing("west", "bay"))
    assert (territories(stands), stands.cut) == (["world", "bay"], ("west",))


# --- deals ------------------------------------------------------------------------------------


def test_deal_goes_by_its_contact_if_that_has_territories() -> None:
    """The account is asked only where the contact has none (A6)."""
    deal = record("deal/D-1", account_id="A-1", contact_id="C-1")
    linker = AssignmentPolicy(model_of())
    by_contact = linker.decide_deal(deal, standing("large"), standing("west"))
    assert by_contact.links == (Link("large", ("inherited",), ("inherited from contact C-1",)),)
    for contact in (None, standing()):
        by_account = linker.decide_deal(deal, contact, standing("west"))
        assert by_account.links == (Link("west", ("inherited",), ("inherited from account A-1",)),)


def test_one_is_chosen_and_the_rest_are_named() -> None:
    """By priority, depth and id, at most one (A3, A6)."""
    deal = record("deal/D-1", account_id="A-1")
    stands = AssignmentPolicy(model_of()).decide_deal(deal, None, standing("west", "bay", "large"))
    assert (territories(stands), stands.runners_up) == (["bay"], ("large", "west"))


def test_manual_link_of_the_account_is_not_one_of_the_deal() -> None:
    """Manual comes first where it is the deal's own; the account's ranks like any candidate (A6)."""
    by_hand = AssignmentDecision((Link("west", ("manual",), ()), Link("bay", ("rule",), ())))
    assert territories(
        AssignmentPolicy(model_of()).decide_deal(record("deal/D-1", account_id="A-1"), None, by_hand)
    ) == ["bay"]


def test_deal_rule_of_the_territory_itself() -> None:
    """A candidate is kept where its own deal rule holds; one without such a rule is kept (A6, A10)."""
    linker, candidates = AssignmentPolicy(model_of()), standing("games", "world")
    gtx = record("deal/D-1", account_id="A-1", fields={"product": "GTX Pro"})
    assert linker.decide_deal(gtx, None, candidates).links == (
        Link("games", ("inherited",), ("inherited from account A-1", "games: product starts_with GTX")),
    )
    other = record("deal/D-2", account_id="A-1", fields={"product": "MG"})
    assert territories(linker.decide_deal(other, None, candidates)) == ["world"]


def test_deal_rules_of_ancestors_are_not_asked() -> None:
    """A child of `games` without a deal rule takes any deal (A6)."""
    model = model_of(
        {"id": "games", "rules": {"deal": {"field": "product", "eq": "GTX"}}}, {"id": "sub", "parent": "games"}
    )
    assert territories(
        AssignmentPolicy(model).decide_deal(record("deal/D-1", account_id="A-1"), None, standing("sub"))
    ) == ["sub"]


def test_manual_link_on_the_deal_wins() -> None:
    """Neither candidates nor deal rules are asked; of several the rest are runners-up (A6)."""
    deal = record("deal/D-1", account_id="A-1", links={"games": "assign", "bay": "assign", "gone": "assign"})
    stands = AssignmentPolicy(model_of()).decide_deal(deal, None, standing("west"))
    assert stands == AssignmentDecision(
        (Link("bay", ("manual",), (BY_HAND,)),), runners_up=("games",), dropped=("gone",)
    )


def test_exclusion_on_the_deal_takes_a_candidate() -> None:
    """The next one is chosen; where none is left the deal does not fall back on the account (A4, A6)."""
    linker = AssignmentPolicy(model_of())
    deal = record("deal/D-1", account_id="A-1", contact_id="C-1", links={"bay": "exclude"})
    assert territories(linker.decide_deal(deal, None, standing("bay", "west"))) == ["west"]
    assert territories(linker.decide_deal(deal, standing("bay"), standing("west"))) == []


@pytest.mark.parametrize(
    ("state", "account", "reason"),
    [
        ({}, None, "it names no account"),
        ({"account_id": "A-1"}, None, "its account A-1 is not known"),
        ({"account_id": "A-1"}, standing(), "its account A-1 is in no territory"),
        ({"account_id": "A-1"}, standing("games"), "none of the 1 territories of its account takes it"),
    ],
)
def test_deal_without_a_territory_says_why(
    state: dict[str, Any], account: AssignmentDecision | None, reason: str
) -> None:
    """It is listed as unassigned with the reason, never silently dropped (A10, F2)."""
    stands = AssignmentPolicy(model_of()).decide_deal(record("deal/D-1", **state), None, account)
    assert stands.links == ()
    assert (stands.unassigned or "").startswith(reason)


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
    """Return the sharing rules that some marks stand for."""
    return [mark.partition("#")[0] for mark in marks]


def test_marks_of_rules_that_hold_are_said() -> None:
    """Every sharing rule that holds is named by its mark, whatever becomes of the record's links (V6)."""
    model = sharing_model(american("s2", "account"), american("s1", "account"), american("s0", "lead"))
    linker = AssignmentPolicy(model)
    stands = linker.decide_by_rules(record("account/A-1", fields={"country": "US"}))
    assert (ids(stands.shared), territories(stands)) == (["s1", "s2"], ["west"])
    assert set(stands.shared) < set(model.sharing)
    excluded = linker.decide_by_rules(record("account/A-1", fields={"country": "US"}, links={"west": "exclude"}))
    assert (excluded.shared, territories(excluded)) == (stands.shared, [])
    assert linker.decide_by_rules(record("account/A-1", fields={"country": "FR"})).shared == ()
    assert ids(linker.decide_by_rules(record("lead/L-1", fields={"country": "us"})).shared) == ["s0"]


def test_contacts_and_deals_are_shared_by_their_own_fields() -> None:
    """They inherit territories, and no sharing: a rule of their own object asks for their own fields (V6, A5, A6)."""
    linker = AssignmentPolicy(
        sharing_model(american("c", "contact"), american("d", "deal", "product"), american("a", "account"))
    )
    account = AssignmentDecision((Link("west", ("rule",), ()),), shared=("a#of-the-account",))
    contact = record("contact/C-1", account_id="A-1", fields={"country": "US"})
    assert ids(linker.decide_contact(contact, account).shared) == ["c"]
    assert ids(linker.decide_contact(contact, None).shared) == ["c"]
    assert linker.decide_contact(record("contact/C-2", account_id="A-1"), account).shared == ()
    for links in ({}, {"west": "assign"}, {"west": "exclude"}):
        deal = record("deal/D-1", account_id="A-1", fields={"product": "US"}, links=links)
        assert ids(linker.decide_deal(deal, None, account).shared) == ["d"]
    assert linker.decide_deal(record("deal/D-2", account_id="A-1"), None, account).shared == ()


def test_wrong_values_are_counted_once() -> None:
    """A value of the wrong type counts once, also where territories and sharing rules compare its field (C6)."""
    linker = AssignmentPolicy(sharing_model(american("s1", "account"), american("s2", "deal", "product")))
    linker.decide_by_rules(record("account/A-1", fields={"country": 7}))
    assert linker.wrong_values == 1
    linker.decide_deal(record("deal/D-1", fields={"product": 7}), None, standing("games"))
    assert linker.wrong_values == 2


@pytest.mark.parametrize("count", [3, 200])
@pytest.mark.parametrize("engine", ["index", "plain"])
def test_many_sharing_rules_are_indexed(engine: EngineName, count: int) -> None:
    """Few rules are evaluated, many indexed: the same ones hold (V6)."""
    rules = [
        {"id": f"s{number}", "object": "account", "criteria": {"field": "revenue", "ge": number * 10}}
        for number in range(count)
    ]
    linker = AssignmentPolicy(sharing_model(*rules), engine)
    shared = linker.decide_by_rules(record("account/A-1", fields={"revenue": 15})).shared
    assert ids(shared) == ["s0", "s1"]
