"""Events for services that copy the index: per user, the records granted and revoked in one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from access_indexer.core.changes import SetKind
from territory.stage import Message
from territory.wire import topics
from territory.wire.events import AccessChange, AccessForgotten
from territory.wire.keys import access_key

IDS_MAX = 2_000
"""Record ids in one event: an id has at most 255 characters, a message at most 900 KB."""

PendingChanges = Mapping[tuple[str, SetKind, str], Mapping[str, Mapping[str, bool]]]
"""By organisation, kind of set and object; then by user and record id, whether the set is to hold the id."""


def change_events(pending: PendingChanges, source: int) -> Iterator[Message]:
    """Yield the events of a batch; each one gives a user's whole access to the records that it names."""
    for org_id, object_type in sorted({(org_id, object_type) for org_id, _, object_type in pending}):
        readers = pending.get((org_id, "visible", object_type), {})
        editors = pending.get((org_id, "editable", object_type), {})
        for user_id in readers.keys() | editors.keys():
            reads, edits = readers.get(user_id, {}), editors.get(user_id, {})
            edit = (record_id for record_id, present in edits.items() if present)
            read = _read_only(reads, edits)
            revoked = (record_id for record_id, present in reads.items() if not present)
            yield from _events(org_id, user_id, source, object_type, edit=edit, read=read, revoked=revoked)


def reset_events(org_id: str, source: int, partitions: int) -> Iterator[Message]:
    """Yield one event for each partition of the topic: all earlier events of this source are void.

    What is still true follows, as change events.
    """
    event = AccessForgotten(org_id, source)
    for partition in range(partitions):
        yield Message(topics.ACCESS_CHANGES.name, access_key(org_id, ""), event, partition, is_part=True)


def _read_only(reads: Mapping[str, bool], edits: Mapping[str, bool]) -> Iterator[str]:
    """Yield the records that the user may read from now on, and not edit."""
    for record_id, present in reads.items():
        if present and not edits.get(record_id, False):
            yield record_id
    for record_id, present in edits.items():
        if not present and record_id not in reads:
            yield record_id


def _events(
    org_id: str,
    user_id: str,
    source: int,
    object_type: str,
    *,
    edit: Iterable[str],
    read: Iterable[str],
    revoked: Iterable[str],
) -> Iterator[Message]:
    key = access_key(org_id, user_id)
    edits, reads, revocations = iter(edit), iter(read), iter(revoked)
    while True:
        taken = tuple(islice(revocations, IDS_MAX))
        editable = tuple(islice(edits, IDS_MAX - len(taken)))
        readable = tuple(islice(reads, IDS_MAX - len(taken) - len(editable)))
        if not taken and not editable and not readable:
            return
        event = AccessChange(org_id, user_id, source, object_type, revoked=taken, edit=editable, read=readable)  # type: ignore[arg-type]  # the object is one of the four
        yield Message(topics.ACCESS_CHANGES.name, key, event, key, is_part=True)
