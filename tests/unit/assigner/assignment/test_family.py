"""Families: their members, and whom each inherits from."""

from __future__ import annotations

import pytest

from assigner.assignment.family import Family
from assigner.assignment.policy import AssignmentPolicy
from territory.wire.events import Record
from tests.unit.assigner.examples import key_of, model_of, record

ACCOUNT = record("account/A-1", fields={"country": "US"})
ANN = record("contact/ann", account_id="A-1")
DEAL = record("deal/D-1", account_id="A-1", contact_id="ann")
OTHER_DEAL = record("deal/D-2", account_id="A-1", contact_id="bob")


def family_of(*records: Record) -> Family:
    family = Family()
    for each in records:
        family.put(each.key, each)
    return family


def keys(family: Family) -> list[str]:
    return [member.record.key.removeprefix("acme/") for member in family]


def test_members_come_after_those_they_inherit_from() -> None:
    """The order is account, contacts, deals, in whatever order they arrived (A5, A6, A9)."""
    assert keys(family_of(DEAL, ANN, OTHER_DEAL, ACCOUNT)) == ["account/A-1", "contact/ann", "deal/D-1", "deal/D-2"]


def test_new_state_replaces_the_old() -> None:
    """A member stays the same, with its decision, when its record is replaced (A9)."""
    family = family_of(ACCOUNT)
    member = family.member(ACCOUNT.key)
    again = record("account/A-1", 2)
    assert family.put(again.key, again) is member
    assert member is not None
    assert (member.record, len(family)) == (again, 1)


def test_removed_member_is_gone() -> None:
    """Removing returns the record; removing what is no member is an error (A8)."""
    family = family_of(ACCOUNT, ANN)
    assert family.remove(ANN.key) is ANN
    assert family.member(ANN.key) is None
    assert keys(family) == ["account/A-1"]
    with pytest.raises(KeyError):
        family.remove(ANN.key)


@pytest.mark.parametrize(
    ("head", "followers"),
    [
        (ACCOUNT, ["contact/ann", "deal/D-1", "deal/D-2"]),
        (ANN, ["deal/D-1"]),
        (DEAL, []),
        (record("lead/L-1"), []),
    ],
    ids=["account", "contact", "deal", "lead"],
)
def test_followers(head: Record, followers: list[str]) -> None:
    """An account has all others as followers, a contact the deals that name it, deals and leads none (A5, A6, A7)."""
    found = family_of(DEAL, OTHER_DEAL, ANN, ACCOUNT).followers_of(head)
    assert [member.record.key.removeprefix("acme/") for member in found] == followers


def test_account_and_contact_of_a_deal() -> None:
    """Account and contact count only within the deal's family (A6)."""
    family = family_of(ACCOUNT, ANN)
    account, contact = family.account_of(DEAL), family.contact_of(DEAL)
    assert account is not None
    assert contact is not None
    assert (account.record, contact.record) == (ACCOUNT, ANN)
    assert family.contact_of(OTHER_DEAL) is None
    assert family.account_of(record("deal/D-3", account_id="A-2")) is None
    assert family.account_of(record("contact/C-2")) is None
    assert family.contact_of(record("deal/D-4", account_id="A-1")) is None


def test_each_is_decided_from_those_it_inherits_from() -> None:
    """An account is decided by rules, a contact by its account, a deal by its contact (A2, A5, A6)."""
    family, policy = family_of(ACCOUNT, ANN, DEAL), AssignmentPolicy(model_of())
    for member in family:
        member.decision = family.decide(member.record, policy)
    why = {member.record.key: link.why for member in family if member.decision for link in member.decision.links}
    assert why == {
        key_of("account/A-1"): ("west: country in [US, CA]",),
        key_of("contact/ann"): ("inherited from account A-1",),
        key_of("deal/D-1"): ("inherited from contact ann",),
    }


def test_lead_is_decided_alone() -> None:
    """A lead is decided by lead rules alone (A7)."""
    decision = Family().decide(record("lead/L-1", fields={"country": "CA"}), AssignmentPolicy(model_of()))
    assert [link.territory_id for link in decision.links] == ["west"]


def test_deals_of_a_contact_are_indexed() -> None:
    """The index follows deals that come, leave, and name another contact (A6)."""
    family = family_of(ACCOUNT, ANN, DEAL)
    assert list(family.deals_naming("ann")) == [DEAL.key]
    second = record("deal/D-2", account_id="A-1", contact_id="ann")
    family.put(second.key, second)
    assert list(family.deals_naming("ann")) == [DEAL.key, second.key]
    family.put(second.key, OTHER_DEAL)
    family.remove(DEAL.key)
    assert (list(family.deals_naming("ann")), list(family.deals_naming("bob"))) == ([], [second.key])
