"""Takes the messages of territory.internal.subscriptions.v1: contacts' places, subscriptions, and copies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from itertools import islice

from msgspec.structs import replace

from assigner.assignment.emission import Origin
from assigner.assignment.family_table import FamilyTable
from assigner.assignment.foreign.copies import Due, ForeignContacts
from assigner.assignment.foreign.publisher import HeadPublisher, copy_message
from assigner.assignment.policy import AssignmentPolicy
from territory.stage import NO_MESSAGE, Effects, InputMessage
from territory.wire.events import Record, Subscription
from territory.wire.keys import parse_subscription_key


class ForeignExchange:
    """Both sides of one partition: it publishes to others, and subscribes itself."""

    def __init__(self, table: FamilyTable, foreign: ForeignContacts, partitions: int | None) -> None:
        """Publish accounts of a table, and keep the copies that its deals need."""
        self._table = table
        self._foreign = foreign
        self._partitions = partitions
        self._publisher = HeadPublisher()
        self._unsent: dict[str, None] = {}
        """Accounts whose copies may be older than the account: a version without copies had the partition since."""

    def restore(self, message: InputMessage) -> None:
        """Load one message, without effects. What is refused when it comes is left out here, too."""
        found = self._parsed(message)
        if found is None:
            return
        key, subscriber, is_copy = found
        if is_copy:
            self._foreign.put(key, message.event)
        elif subscriber is None:
            self._publisher.put_contact(key, message.event)
        elif message.event is None:
            self._publisher.unsubscribe(key, subscriber)
        else:
            self._publisher.subscribe(key, subscriber)

    def restored(self, unknown: Set[str]) -> None:
        """Doubt the copies that were sent of the accounts of unknown organisations."""
        self._unsent = dict.fromkeys(self._publisher.subscribed_accounts(unknown))

    def apply(self, message: InputMessage, effects: Effects) -> None:
        """Take one message: answer a subscription, pass a contact on, or make deals due."""
        found = self._parsed(message)
        if found is None:
            expected = "a contact, a subscription or a copy of the assigner's"
            reason = f"found key {message.key[:100]!r}, expected {expected}; only the assigner may write here"
            effects.refused.append((message, "wrong_key", reason))
            return
        key, subscriber, is_copy = found
        if is_copy:
            self._take_copy(key, message)
            effects.outcomes["copied"] += 1
        elif subscriber is not None:
            self._take_subscription(key, subscriber, message, effects)
        elif self._publisher.put_contact(key, message.event):
            effects.messages += self._publisher.copies(key, None)
            effects.outcomes["located"] += 1
        else:
            effects.outcomes["stale"] += 1

    @property
    def unfinished_from(self) -> int | None:
        """The oldest message whose change of a copy has not reached all deals; None: there is none."""
        due = next(iter(self._foreign.due.values()), None)
        if due is not None:
            return due.offset
        return NO_MESSAGE if self._foreign.has_pending or self._unsent else None

    def proceed(self, effects: Effects, limit: int) -> Iterator[tuple[str, Origin]]:
        """Send what a restore found to be missing, some subscriptions and copies; then yield deals to decide again.

        They have to be emitted in any case: a worker that crashed may have emitted them after a later copy.
        """
        effects.messages += self._foreign.take_pending(limit)
        unsent = list(islice(self._unsent, limit))
        for key in unsent:
            del self._unsent[key]
            account = self._account(key)
            # It is not new: no latency is measured from it.
            effects.messages += self._publisher.copies(key, account and replace(account, since_ms=0))
        limit -= len(unsent)
        due = self._foreign.due
        while due and limit > 0:
            key = next(iter(due))
            yield key, due.pop(key).origin
            limit -= 1

    def publish_account(self, key: str, effects: Effects) -> None:
        """Send a record as it is now to its subscribers, if it is an account that has any."""
        self._unsent.pop(key, None)
        if self._publisher.is_subscribed(key) and key.split("/", 2)[1] == "account":
            effects.messages += self._publisher.copies(key, self._account(key))

    def _take_subscription(self, key: str, subscriber: int, message: InputMessage, effects: Effects) -> None:
        """Begin or end a subscription; either is answered, so that the subscriber knows."""
        if message.event is None:
            self._publisher.unsubscribe(key, subscriber)
            effects.messages.append(copy_message(key, None, subscriber))
            effects.outcomes["unsubscribed"] += 1
            return
        self._publisher.subscribe(key, subscriber)
        record = self._publisher.record(key, self._account(key))
        # It is not new: no latency is measured from it.
        effects.messages.append(copy_message(key, replace(record, since_ms=0), subscriber))
        effects.outcomes["subscribed"] += 1

    def _take_copy(self, key: str, message: InputMessage) -> None:
        record: Record | None = message.event
        origin = Origin(f"gone/{key}", 0) if record is None else Origin(record.event_id, record.since_ms)
        policies = {contact: self._policies_of(contact) for contact in self._foreign.contacts_of(key)}
        self._foreign.change(key, record, policies, Due(message.offset, origin))

    def _policies_of(self, contact: str) -> Collection[AssignmentPolicy]:
        """Return the policies under which the deals that name a contact were decided.

        Several where a sweep is under way. A family without one will be emitted as a whole.
        """
        families = (self._table.family_of(deal) for deal in self._foreign.deals_naming(contact))
        found: Mapping[int, AssignmentPolicy] = {
            id(family.policy): family.policy for family in families if family is not None and family.policy is not None
        }
        return list(found.values())

    def _account(self, key: str) -> Record | None:
        member = self._table.member(key)
        return None if member is None else member.record

    def _parsed(self, message: InputMessage) -> tuple[str, int | None, bool] | None:
        """Return what a message is about; None if its key and value do not fit together."""
        try:
            key, subscriber, is_copy = parse_subscription_key(message.key)
        except ValueError:
            return None
        event = message.event
        if subscriber is None:
            fits = event is None or (isinstance(event, Record) and event.key == key)
        else:
            fits = event is None or (isinstance(event, Subscription) and event.subscriber == subscriber)
            fits = fits and (self._partitions is None or subscriber < self._partitions)
        return (key, subscriber, is_copy) if fits else None
