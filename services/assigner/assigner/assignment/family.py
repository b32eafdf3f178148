"""Account families: an account with its contacts and deals, and the decision for each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.wire.events import Record
from territory.wire.keys import record_key

if TYPE_CHECKING:
    from assigner.assignment.fan_out import FanOut
    from assigner.assignment.foreign.copies import ForeignContacts
    from assigner.assignment.model_diff import ModelDiff

HEADS = ("account", "contact")
"""The object types that others inherit from."""


class Member:
    """One record of a family, with the last decision that was emitted for it."""

    __slots__ = ("decided_at", "decision", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.decision: AssignmentDecision | None = None
        """None: not computed yet, since the record was restored."""
        self.decided_at = 0
        """The newest change of the family that `decision` takes into account; `FanOut` numbers them."""


class Family:
    """An account with its contacts and deals; or a record without an account, with the deals that name it."""

    __slots__ = (
        "_contacts", "_deals_by_contact", "_others", "fan_out", "foreign", "foreign_deals", "has_undecided", "policy",
    )  # fmt: skip

    def __init__(self, foreign: ForeignContacts | None = None) -> None:
        """Begin without members; `foreign` has the contacts of other families that deals name."""
        self.foreign = foreign
        self.foreign_deals = 0
        """How many deals name a contact that is no member."""
        self.policy: AssignmentPolicy | None = None
        """The policy of the decisions; None: it is not known what was emitted for the members."""
        self.has_undecided = False
        """True if members were restored whose decisions may not be computed yet."""
        self.fan_out: FanOut | None = None
        """The changes that not all members were decided after; None: everybody is up to date."""
        self._contacts: dict[str, Member] = {}
        self._others: dict[str, Member] = {}
        self._deals_by_contact: dict[str, dict[str, None]] | None = None
        """Keys of deals by contact id; built at the first question, so that small families do without."""

    def __len__(self) -> int:
        return len(self._contacts) + len(self._others)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, each after those it inherits from: account, contacts, deals."""
        heads = [member for member in self._others.values() if member.record.object != "deal"]
        deals = [member for member in self._others.values() if member.record.object == "deal"]
        return iter([*heads, *self._contacts.values(), *deals])

    @property
    def keys(self) -> list[str]:
        """A copy of the members' keys, contacts first."""
        return [*self._contacts, *self._others]

    def member(self, key: str) -> Member | None:
        """Return a member by its record's key."""
        return self._others.get(key) or self._contacts.get(key)

    def put(self, key: str, record: Record) -> Member:
        """Add a record by its key, or replace its state; the member keeps its decision."""
        members = self._contacts if record.object == "contact" else self._others
        member = members.get(key)
        if self._deals_by_contact is not None:
            self._index(key, None if member is None else member.record, record)
        if member is None:
            member = members[key] = Member(record)
        else:
            member.record = record
        return member

    def remove(self, key: str) -> Record:
        """Remove a member and return its record. Raises: KeyError."""
        record = (self._others.pop(key, None) or self._contacts.pop(key)).record
        if self._deals_by_contact is not None:
            self._index(key, record, None)
        return record

    def account_of(self, record: Record) -> Member | None:
        """Return the account that a contact or deal names, if it is a member."""
        if record.account_id is None:
            return None
        return self._others.get(f"{record.org_id}/account/{record.account_id}")

    def contact_of(self, deal: Record) -> Member | None:
        """Return the contact that a deal names, if it is a member; `foreign` has the others."""
        if deal.contact_id is None:
            return None
        return self._contacts.get(f"{deal.org_id}/contact/{deal.contact_id}")

    def heads_of(self, record: Record) -> list[Member]:
        """Return the members that a record inherits from: first the account, then a deal's contact."""
        if record.object not in ("contact", "deal"):
            return []
        contact = self.contact_of(record) if record.object == "deal" else None
        return [head for head in (self.account_of(record), contact) if head is not None]

    def followers_of(self, record: Record) -> Iterable[Member]:
        """Return the members that inherit from a record, contacts before deals."""
        if record.object == "account":
            return [member for member in self if member.record.object in ("contact", "deal")]
        if record.object == "contact":
            return [
                member
                for member in self._others.values()
                if member.record.object == "deal" and member.record.contact_id == record.id
            ]
        return ()

    def deals_naming(self, contact_id: str) -> Collection[str]:
        """Return the keys of the deals that name a contact, from an index: for large families."""
        if self._deals_by_contact is None:
            self._deals_by_contact = {}
            for key, member in self._others.items():
                self._index(key, None, member.record)
        return self._deals_by_contact.get(contact_id, ())

    def foreign_may_change(self, record: Record, diff: ModelDiff) -> bool:
        """Whether a deal's contact is in another family and may be decided differently under another model."""
        if not self.foreign_deals or self.foreign is None or record.object != "deal" or record.contact_id is None:
            return False
        return self.contact_of(record) is None and self.foreign.may_change(record, diff)

    def decide(self, record: Record, policy: AssignmentPolicy) -> AssignmentDecision:
        """Return the decision for a record, from the present decisions for those it inherits from."""
        if record.object in ("account", "lead"):
            return policy.decide_by_rules(record)
        account = self.account_of(record)
        of_account = account.decision if account is not None else None
        if record.object == "contact":
            return policy.decide_contact(record, of_account)
        contact = self.contact_of(record)
        if contact is not None:
            return policy.decide_deal(record, contact.decision, of_account)
        if record.contact_id is None or self.foreign is None:
            return policy.decide_deal(record, None, of_account)
        key = record_key(record.org_id, "contact", record.contact_id)
        return policy.decide_deal(record, self.foreign.decision(key, policy), of_account, self.foreign.contact(key))

    def compute_decision(self, member: Member, policy: AssignmentPolicy) -> AssignmentDecision:
        """Return a member's decision; compute it, and those it inherits from, where a restore left them open."""
        if member.decision is None:
            self.compute_heads(member.record, policy)
            member.decision = self.decide(member.record, policy)
        return member.decision

    def compute_heads(self, record: Record, policy: AssignmentPolicy) -> None:
        """Compute the decisions that a record inherits from, where a restore left them open."""
        for head in self.heads_of(record):
            self.compute_decision(head, policy)

    def _index(self, key: str, before: Record | None, after: Record | None) -> None:
        """Update the index of deals by contact for one record."""
        index = self._deals_by_contact
        old = before.contact_id if before is not None and before.object == "deal" else None
        new = after.contact_id if after is not None and after.object == "deal" else None
        if index is None or old == new:
            return
        if old is not None:
            del index[old][key]
            if not index[old]:
                del index[old]
        if new is not None:
            index.setdefault(new, {})[key] = None
