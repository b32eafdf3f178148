"""The publisher's side: where each contact is, and copies of contacts and accounts for those who subscribe to them.

A contact is published by the partition of its own key, which intake tells where each contact is. So a contact that
moves has one publisher all the time, and no late copy of an earlier family. An account is in that partition anyhow.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import msgspec

from territory.stage import Message
from territory.wire import topics
from territory.wire.events import LinkKind, Record
from territory.wire.keys import copy_key, family_key, parse_record_key


class _ContactPlace(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a contact; encoded, since there are as many as contacts."""

    version: int
    link_version: int
    deleted: bool
    account_id: str | None
    links: dict[str, LinkKind]
    event_id: str
    since_ms: int


_encode = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(_ContactPlace).decode


class HeadPublisher:
    """The contacts whose keys belong to one partition, and who subscribes to these and to its accounts."""

    def __init__(self) -> None:
        self._contacts: dict[str, bytes] = {}
        self._subscribers: dict[str, tuple[int, ...]] = {}

    def put_contact(self, key: str, record: Record | None) -> bool:
        """Store where a contact is; None: its deletion has expired. Return whether that is not older than known."""
        if record is None:
            self._contacts.pop(key, None)
            return True
        known = self._contacts.get(key)
        if known is not None:
            place = _read(known)
            if record.order < (place.version, place.link_version):
                return False
        self._contacts[key] = _encode(
            _ContactPlace(
                record.version, record.link_version, record.deleted, record.account_id, record.links, record.event_id,
                record.since_ms,
            )
        )  # fmt: skip
        return True

    def subscribe(self, key: str, partition: int) -> None:
        """Add a subscriber."""
        subscribers = self._subscribers.get(key, ())
        if partition not in subscribers:
            self._subscribers[key] = (*subscribers, partition)

    def unsubscribe(self, key: str, partition: int) -> None:
        """Remove a subscriber, if it is one."""
        left = tuple(each for each in self._subscribers.get(key, ()) if each != partition)
        if left:
            self._subscribers[key] = left
        else:
            self._subscribers.pop(key, None)

    def is_subscribed(self, key: str) -> bool:
        """Whether anybody subscribes to a record."""
        return key in self._subscribers

    def subscribed_accounts(self, orgs: Set[str]) -> list[str]:
        """Return the keys of some organisations' accounts that anybody subscribes to."""
        return [key for key in self._subscribers if (ids := parse_record_key(key))[0] in orgs and ids[1] == "account"]

    def copies(self, key: str, account: Record | None) -> Iterator[Message]:
        """Yield a copy of a record, as it is now, for each subscriber."""
        record = self.record(key, account)
        for partition in self._subscribers.get(key, ()):
            yield copy_message(key, record, partition)

    def record(self, key: str, account: Record | None) -> Record:
        """Return a contact or an account; version 0 if it is not known.

        Args:
            key: Its key.
            account: The account, if there is one of that key.
        """
        org_id, object_type, record_id = parse_record_key(key)
        known = self._contacts.get(key)
        if object_type == "account" and account is not None:
            return account
        place = _ContactPlace(0, 0, True, None, {}, "", 0) if known is None else _read(known)
        return Record(
            org_id=org_id, object=object_type, id=record_id, version=place.version, link_version=place.link_version,  # type: ignore[arg-type]  # a key of ours
            deleted=place.deleted, owner_id=None, account_id=place.account_id, contact_id=None, fields={},
            links=place.links, family=family_key(org_id, object_type, record_id, place.account_id, None),
            intake_partition=0, event_id=place.event_id, since_ms=place.since_ms,
        )  # fmt: skip


def copy_message(key: str, record: Record | None, partition: int) -> Message:
    """Return the message with a subscriber's copy of a record; None ends the subscription."""
    return Message(topics.SUBSCRIPTIONS.name, copy_key(key), record, partition)
