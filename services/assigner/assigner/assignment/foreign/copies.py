"""The subscriber's side: copies of the contacts that deals name outside their families, and of their accounts.

Copies are whole records, so a deal is decided from what its own partition has, under any model. What is subscribed to
follows from the records and the copies here. So after a restore it is compared with the copies that came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from assigner.assignment.emission import Origin, territories_of
from assigner.assignment.model_diff import ModelDiff
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.stage import Message
from territory.wire import topics
from territory.wire.events import Record, Subscription
from territory.wire.keys import parse_record_key, record_key, subscription_key


class Due(NamedTuple):
    """Why a deal has to be decided again."""

    offset: int
    """Of the message on territory.internal.subscriptions.v1."""
    origin: Origin


class ForeignContacts:
    """The copies of one partition, and the deals that need them."""

    def __init__(self, partition: int = 0) -> None:
        """Begin without copies; `partition` is the one that subscribes."""
        self._partition = partition
        self._copies: dict[str, Record] = {}
        self._deals: dict[str, dict[str, None]] = {}
        """By contact, the keys of the deals that name it and are in families without it; never empty."""
        self._contacts: dict[str, dict[str, None]] = {}
        """By account, the contacts whose copies name it; never empty."""
        self._decided: dict[str, tuple[AssignmentPolicy, AssignmentDecision]] = {}
        """The last decision for a copy that was asked for, and its policy."""
        self._requests: dict[str, bool] = {}
        """By record, a subscription to send, or to end."""
        self._pending: dict[str, None] = {}
        """Records whose subscription a restore found to differ from the copies."""
        self.due: dict[str, Due] = {}
        """The deals that a change of a copy has yet to reach; the oldest change first."""

    # --- the deals that need copies ------------------------------------------------------------

    def add_deal(self, deal_key: str, contact_key: str) -> bool:
        """Note that a deal names a contact outside its family; return whether that is new."""
        deals = self._deals.get(contact_key)
        if deals is not None:
            is_new = deal_key not in deals
            deals[deal_key] = None
            return is_new
        account = self._account_key(contact_key)
        was_needed = account is not None and self._is_needed(account)
        self._deals[contact_key] = {deal_key: None}
        self._requests[contact_key] = True
        if account is not None and not was_needed:
            self._requests[account] = True
        return True

    def remove_deal(self, deal_key: str, contact_key: str) -> bool:
        """Note that a deal does not need a contact any more; return whether it did."""
        deals = self._deals.get(contact_key)
        if deals is None or deal_key not in deals:
            return False
        del deals[deal_key]
        if not deals:
            del self._deals[contact_key]
            self._requests[contact_key] = False
            self._end_unless_needed(self._account_key(contact_key))
        return True

    def deals_naming(self, contact_key: str) -> Collection[str]:
        """Return the deals that name a contact and are in families without it."""
        return self._deals.get(contact_key, ())

    # --- what is subscribed to -----------------------------------------------------------------

    def take_requests(self) -> list[Message]:
        """Return the subscriptions that began or ended since the last call."""
        if not self._requests:
            return []
        messages = [self._request(key, begins=begins) for key, begins in self._requests.items()]
        self._requests.clear()
        return messages

    def restored(self) -> None:
        """Compare what is needed with the copies that came: a subscription that was answered is known."""
        self._requests.clear()
        needed = {*self._deals, *filter(None, map(self._account_key, self._deals))}
        self._pending = dict.fromkeys([*(needed - self._copies.keys()), *(self._copies.keys() - needed)])

    @property
    def has_pending(self) -> bool:
        """Whether a restore found subscriptions to send, or to end."""
        return bool(self._pending)

    def take_pending(self, limit: int) -> list[Message]:
        """Return some of these subscriptions."""
        keys = [key for key, _ in zip(self._pending, range(limit), strict=False)]
        for key in keys:
            del self._pending[key]
        return [self._request(key, begins=self._is_needed(key)) for key in keys]

    def _request(self, key: str, *, begins: bool) -> Message:
        org_id, object_type, record_id = parse_record_key(key)
        subscription = Subscription(org_id, object_type, record_id, self._partition)  # type: ignore[arg-type]  # a key of ours
        value = subscription if begins else None
        return Message(topics.SUBSCRIPTIONS.name, subscription_key(key, self._partition), value, key)

    def _is_needed(self, key: str) -> bool:
        return key in self._deals or any(contact in self._deals for contact in self._contacts.get(key, ()))

    def _end_unless_needed(self, account: str | None) -> None:
        if account is not None and not self._is_needed(account):
            self._requests[account] = False

    # --- copies --------------------------------------------------------------------------------

    def put(self, key: str, record: Record | None) -> None:
        """Store a copy as it came; None: the subscription has ended.

        A copy that nobody needs ends its subscription, and the end of one that is needed begins it again: a worker
        that crashed may have sent what its successor does not know.
        """
        account = self._account_key(key)
        if record is None:
            self._copies.pop(key, None)
        else:
            self._copies[key] = record
        is_needed = self._is_needed(key)
        if is_needed == (record is None):
            self._requests[key] = is_needed
        self._move(key, account, self._account_key(key))
        for stale in (key, *self._contacts.get(key, ())):
            self._decided.pop(stale, None)

    def _move(self, contact: str, before: str | None, after: str | None) -> None:
        """Index a contact by the account that its copy names now."""
        if before == after:
            return
        if before is not None:
            of_account = self._contacts[before]
            del of_account[contact]
            if not of_account:
                del self._contacts[before]
            if contact in self._deals:
                self._end_unless_needed(before)
        if after is not None:
            if contact in self._deals and not self._is_needed(after):
                self._requests[after] = True
            self._contacts.setdefault(after, {})[contact] = None

    def change(
        self, key: str, record: Record | None, policies_of: Mapping[str, Collection[AssignmentPolicy]], due: Due
    ) -> None:
        """Store a copy, and make those deals due whose candidates it changes.

        Args:
            key: The record's key.
            record: The copy; None: the subscription has ended.
            policies_of: By contact concerned, the policies under which its deals were decided (`contacts_of`).
            due: Why the deals are due.
        """
        before = {contact: [self._inherited(contact, each) for each in found] for contact, found in policies_of.items()}
        self.put(key, record)
        for contact, found in policies_of.items():
            if before[contact] != [self._inherited(contact, each) for each in found]:
                for deal in self._deals[contact]:
                    self.due.setdefault(deal, due)

    def contacts_of(self, key: str) -> Iterator[str]:
        """Iterate over the contacts that deals here need and that a copy concerns."""
        concerned: Iterable[str] = (key, *self._contacts.get(key, ()))
        return (contact for contact in concerned if contact in self._deals)

    def contact(self, contact_key: str) -> Record | None:
        """Return a contact of another family; None if it is not known."""
        copy = self._copies.get(contact_key)
        return None if copy is None or copy.deleted else copy

    def decision(self, contact_key: str, policy: AssignmentPolicy) -> AssignmentDecision | None:
        """Return the decision for a contact of another family; None if it is not known (A5)."""
        contact = self.contact(contact_key)
        if contact is None:
            return None
        account_key = self._account_key(contact_key)
        account = None if account_key is None else self.contact(account_key)
        of_account = (
            None if account is None or account_key is None else self._decide(account_key, account, None, policy)
        )
        return self._decide(contact_key, contact, of_account, policy)

    def may_change(self, deal: Record, diff: ModelDiff) -> bool:
        """Whether a deal's contact in another family may be decided differently under another model."""
        contact_key = record_key(deal.org_id, "contact", deal.contact_id or "")
        heads = (contact_key, self._account_key(contact_key))
        return any(diff.may_change(self._copies[key]) for key in heads if key is not None and key in self._copies)

    def _decide(
        self, key: str, record: Record, of_account: AssignmentDecision | None, policy: AssignmentPolicy
    ) -> AssignmentDecision:
        decided = self._decided.get(key)
        if decided is not None and decided[0] is policy:
            return decided[1]
        wrong_values = policy.wrong_values
        if record.object == "contact":
            decision = policy.decide_contact(record, of_account)
        else:
            decision = policy.decide_by_rules(record)
        policy.wrong_values = wrong_values  # the record's own family counts them
        self._decided[key] = (policy, decision)
        return decision

    def _inherited(self, contact_key: str, policy: AssignmentPolicy) -> object:
        """Return all of a contact that the decision for a deal depends on; None without territories (A6)."""
        contact, decision = self.contact(contact_key), self.decision(contact_key, policy)
        if contact is None or decision is None or not decision.links:
            return None
        return contact.account_id, territories_of(decision)

    def _account_key(self, key: str) -> str | None:
        """Return the account that the copy of a contact names."""
        contact = self.contact(key)
        if contact is None or contact.object != "contact" or contact.account_id is None:
            return None
        return record_key(contact.org_id, "account", contact.account_id)
