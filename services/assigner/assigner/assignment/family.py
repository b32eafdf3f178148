"""The account families of one partition: who stands beside whom, and where each stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.wire.events import Record


class Member:
    """One record of a family, with its standing under the family's model; None: not yet worked out."""

    __slots__ = ("record", "standing")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.standing: AssignmentDecision | None = None


class Family:
    """An account with its contacts and deals, or a record that has no account."""

    __slots__ = ("_contacts", "_others", "is_open", "linker")

    def __init__(self) -> None:
        self.linker: AssignmentPolicy | None = None
        """What the members' standings were decided with; None: nothing was said of them."""
        self.is_open = False
        """Whether members were restored whose standings are not worked out yet."""
        self._contacts: dict[str, Member] = {}
        self._others: dict[str, Member] = {}

    def __len__(self) -> int:
        return len(self._contacts) + len(self._others)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, each after those that it follows: account, contacts, deals."""
        heads = [member for member in self._others.values() if member.record.object != "deal"]
        deals = [member for member in self._others.values() if member.record.object == "deal"]
        return iter([*heads, *self._contacts.values(), *deals])

    def member(self, key: str) -> Member | None:
        """Return a member by its record's key."""
        return self._others.get(key) or self._contacts.get(key)

    def put(self, key: str, record: Record) -> Member:
        """Take in a record by its key, or its new state."""
        members = self._contacts if record.object == "contact" else self._others
        member = members.get(key)
        if member is None:
            member = members[key] = Member(record)
        else:
            member.record = record
        return member

    def remove(self, key: str) -> Record:
        """Let go of a record that is a member."""
        return (self._others.pop(key, None) or self._contacts.pop(key)).record

    def account_of(self, record: Record) -> Member | None:
        """Return the account that a contact or deal names, when it is there."""
        if record.account_id is None:
            return None
        return self._others.get(f"{record.org_id}/account/{record.account_id}")

    def contact_of(self, deal: Record) -> Member | None:
        """Return the contact that a deal names, when it is of the same family."""
        if deal.contact_id is None:
            return None
        return self._contacts.get(f"{deal.org_id}/contact/{deal.contact_id}")

    def followers_of(self, record: Record) -> Iterable[Member]:
        """Return the members whose links may depend on a record's, contacts before deals."""
        if record.object == "account":
            return [member for member in self if member.record.object in ("contact", "deal")]
        if record.object == "contact":
            return [
                member
                for member in self._others.values()
                if member.record.object == "deal" and member.record.contact_id == record.id
            ]
        return ()

    def decide(self, record: Record, linker: AssignmentPolicy) -> AssignmentDecision:
        """Return where a member stands, given where those stand that it follows."""
        if record.object in ("account", "lead"):
            return linker.of_ruled(record)
        account = self.account_of(record)
        above = account.standing if account is not None else None
        if record.object == "contact":
            return linker.of_contact(record, above)
        contact = self.contact_of(record)
        return linker.of_deal(record, contact.standing if contact is not None else None, above)
