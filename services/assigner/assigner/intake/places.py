"""Publishes where contacts are, for deals in other families that name them (A6)."""

from __future__ import annotations

from msgspec.structs import replace

from territory.stage import Message
from territory.wire import topics
from territory.wire.events import Record, RecordChange


def place_message(contact: Record) -> Message:
    """Return the message that says which account a contact names, and its manual links."""
    place = replace(contact, owner_id=None, fields={}, refused=(), located=False, seen=(), seen_links=(), waiting=())
    return Message(topics.SUBSCRIPTIONS.name, contact.key, place, contact.key)


def expired_message(key: str) -> Message:
    """Return the message that a deleted contact is forgotten."""
    return Message(topics.SUBSCRIPTIONS.name, key, None, key)


def must_locate(change: RecordChange, before: Record | None, after: Record) -> bool:
    """Whether a change has to be published as a contact's place.

    An upsert or a delete always is: an upstream that publishes its records once more makes good what a mirror of
    Kafka lacked. A patch is, where it changes what deals inherit.
    """
    if after.object != "contact" or not after.version:
        return False
    if change.op in ("upsert", "delete") or before is None or not before.located:
        return True
    return (before.account_id, before.links) != (after.account_id, after.links)
