"""What those hear who follow the index: one event a user, with what the user sees from now on and what no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from access_indexer.core.changes import SetKind
from territory.stage import Message
from territory.wire import topics
from territory.wire.events import AccessChange, AccessForgotten
from territory.wire.keys import access_key

IDS_MAX = 2_000
"""In one event: ids have 255 characters at most, and a message 900 KB."""

PendingChanges = Mapping[tuple[str, SetKind, str], Mapping[str, Mapping[str, bool]]]
"""By organisation, kind of set and object: by user, by record id, whether the set is to hold it."""


def told(nets: PendingChanges, source: int) -> Iterator[Message]:
    """Yield the events of changes of sets; each says of a record all that the user may do with it."""
    for org_id, object_type in sorted({(org_id, object_type) for org_id, _, object_type in nets}):
        readers = nets.get((org_id, "visible", object_type), {})
        editors = nets.get((org_id, "editable", object_type), {})
        for user_id in readers.keys() | editors.keys():
            seen, edited = readers.get(user_id, {}), editors.get(user_id, {})
            edit = (record_id for record_id, present in edited.items() if present)
            read = _read_only(seen, edited)
            revoked = (record_id for record_id, present in seen.items() if not present)
            yield from _events(org_id, user_id, source, object_type, edit=edit, read=read, revoked=revoked)


def forgotten(org_id: str, source: int, partitions: int) -> Iterator[Message]:
    """Yield the word that all that was said of a partition's records is void, and is said again, to all who follow."""
    event = AccessForgotten(org_id, source)
    for partition in range(partitions):
        yield Message(topics.ACCESS_CHANGES.name, access_key(org_id, ""), event, partition, is_part=True)


def _read_only(seen: Mapping[str, bool], edited: Mapping[str, bool]) -> Iterator[str]:
    for record_id, present in seen.items():
        if present and not edited.get(record_id, False):
            yield record_id
    for record_id, present in edited.items():
        if not present and record_id not in seen:
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
    edits, reads, revokes = iter(edit), iter(read), iter(revoked)
    while True:
        taken = tuple(islice(revokes, IDS_MAX))
        editable = tuple(islice(edits, IDS_MAX - len(taken)))
        readable = tuple(islice(reads, IDS_MAX - len(taken) - len(editable)))
        if not taken and not editable and not readable:
            return
        event = AccessChange(org_id, user_id, source, object_type, revoked=taken, edit=editable, read=readable)  # type: ignore[arg-type]  # our own word
        yield Message(topics.ACCESS_CHANGES.name, key, event, key, is_part=True)
