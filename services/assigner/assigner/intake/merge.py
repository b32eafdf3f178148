"""Merge one change into the whole state of its record: upsert, patch, delete and link (A4)."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import replace

from assigner.intake.versions import seen_after
from territory.criteria.values import datetime_of
from territory.stage import InputMessage, Message
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record, RecordChange, WaitingPatch
from territory.wire.keys import family_key
from territory.wire.rerouting import Arrival

REASON = "territory-reason"
"""Header of a tombstone to a family: why the record left it; absent for a plain delete."""
MOVED = "moved"
"""The record is in another family now, which publishes its assignment."""
GONE_AGAIN = "gone-again"
"""The record was deleted, and this tombstone answers a release."""
INTAKE_PARTITION = "territory-intake-partition"
"""Header of a tombstone to a family: the partition of intake that the release goes back to."""

RECORD_BYTES_MAX = 1_000_000
"""Of one encoded record. Patches make records grow, and a message that its topic refuses stops the partition."""
GROWTH_MAX = 10
"""More than a change grows when it becomes a record: `1e15` becomes 18 characters, links are few."""
PLAUSIBLE_DELAY_MS = 60 * 60 * 1000
"""How far the upstream's time of a change may be before the broker's."""
OCCURRED_AT_CHARACTERS_MAX = 64
NOWHERE = Arrival(-1, -1, 0)


class ChangeTime(NamedTuple):
    """When a change happened."""

    since_ms: int
    """In ms of Unix time; latency is measured from it."""
    unreadable: str | None = None
    """The upstream's time as it was sent, if it can't be read (A13)."""


def merge(
    change: RecordChange, before: Record | None, *, partition: int, time: ChangeTime, origin: Arrival = NOWHERE
) -> Record:
    """Return the whole record after a change.

    Args:
        change: A change that is neither stale nor without a record.
        before: The record so far; None: nothing is known of it.
        partition: The partition of intake.
        time: When the change happened (`time_of`).
        origin: Where on crm.records.v1 it arrived.
    """
    seen, seen_links = seen_after(change, before)
    return replace(
        _merged(change, _blank(change, partition) if before is None else before),
        intake_partition=partition,
        event_id=change.event_id,
        since_ms=time.since_ms,
        refused=(),
        source_partition=origin.partition,
        source_offset=origin.offset,
        seen=seen,
        seen_links=seen_links,
        unreadable_occurred_at=time.unreadable,
    )


def _merged(change: RecordChange, before: Record) -> Record:
    if change.op == "link":
        return _with_link(change, before)
    if change.op == "delete":
        # Its versions are kept, and the family that still has to remove it.
        return replace(
            before, version=change.version, deleted=True,
            owner_id=None, account_id=None, contact_id=None, fields={}, links={},
        )  # fmt: skip
    owner, account, contact, fields = change.owner_id, change.account_id, change.contact_id, change.fields
    if change.op == "patch":
        present = change.model_fields_set
        owner = owner if "owner_id" in present else before.owner_id
        account = account if "account_id" in present else before.account_id
        contact = contact if "contact_id" in present else before.contact_id
        fields = merge_patch(before.fields, fields)
    return replace(
        before,
        version=change.version,
        deleted=False,
        owner_id=owner,
        account_id=account,
        contact_id=contact,
        fields=fields,
        family=family_key(change.org_id, change.object, change.id, account, contact),
    )


def merge_patch(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object after a merge patch (RFC 7396, C12): objects merge member by member, null removes one."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def _with_link(change: RecordChange, before: Record) -> Record:
    """Return the record with one manual decision; the later decision replaces the earlier (A4)."""
    links: dict[str, LinkKind] = {
        territory: kind for territory, kind in before.links.items() if territory != change.territory_id
    }
    if change.kind != "none" and change.kind is not None and change.territory_id is not None:
        links[change.territory_id] = change.kind
    return replace(before, links=links, link_version=change.version)


def _blank(change: RecordChange, partition: int) -> Record:
    """Return a record of which nothing is known but its key."""
    return Record(
        org_id=change.org_id, object=change.object, id=change.id, version=0, link_version=0, deleted=False,
        owner_id=None, account_id=None, contact_id=None, fields={}, links={},
        family=family_key(change.org_id, change.object, change.id, None, None),
        intake_partition=partition, event_id=change.event_id, since_ms=0,
    )  # fmt: skip


def with_waiting(
    change: RecordChange, before: Record | None, patch: WaitingPatch, *, partition: int, since_ms: int
) -> Record:
    """Return the record with one more patch that waits for it; it is stored, and goes to no family."""
    record = replace(_blank(change, partition), since_ms=since_ms) if before is None else before
    return replace(record, waiting=(*record.waiting, patch))


def combine(before: Record, other: Record) -> Record:
    """Return one state from two of a record: the greater version, and the links of the greater link version.

    An earlier version kept a record in each partition where its changes arrived. Of equal versions `before` counts.
    """
    body, links = (other if other.version > before.version else before), before
    if other.link_version > before.link_version:
        links = other
    return replace(
        body,
        links={} if body.deleted else links.links,
        link_version=links.link_version,
        seen_links=links.seen_links,
        waiting=before.waiting + other.waiting,
    )


def lacks_record(change: RecordChange, before: Record | None) -> bool:
    """Whether a change needs a record that is not there: a patch needs one, a link one that is not deleted."""
    if change.op == "patch":
        return before is None or not before.is_live
    return change.op == "link" and before is not None and before.deleted


def place_of(message: InputMessage) -> int:
    """Return where a message is in its partition of intake's two inputs; those of releases are negative."""
    return message.offset if message.topic != topics.RELEASES.name else -2 - message.offset


def was_refused_before(message: InputMessage, before: Record | None) -> bool:
    """Whether this repeats a message that was refused, in the same batch, before its record came (A9)."""
    return before is not None and message.offset >= 0 and place_of(message) in before.refused


def time_of(change: RecordChange, broker_ms: int) -> ChangeTime:
    """Return when a change happened: the upstream's time where it is plausible, else the broker's.

    An upstream that publishes its history gives times of years ago, which are no latency of this system.
    """
    instant = datetime_of(change.occurred_at)
    if instant is None:
        return ChangeTime(broker_ms, str(change.occurred_at)[:OCCURRED_AT_CHARACTERS_MAX])
    happened_ms = int(instant.timestamp() * 1000)
    return ChangeTime(happened_ms if broker_ms - PLAUSIBLE_DELAY_MS <= happened_ms <= broker_ms else broker_ms)


def size_fault(after: Record, change: RecordChange, message: InputMessage) -> str | None:
    """Return why a record is too large for its topic; it is only encoded when it might be."""
    if change.op == "upsert" and not after.links and 0 < message.size * GROWTH_MAX < RECORD_BYTES_MAX:
        return None
    size = len(encode(after))
    if size <= RECORD_BYTES_MAX:
        return None
    return f"{change.key} would have {size} bytes, expected at most {RECORD_BYTES_MAX}; remove or shorten fields"


def family_message(record: Record, reason: str | None = None) -> Message:
    """Return the message to the record's family: the record; a tombstone where it is deleted, or for a reason."""
    if not record.deleted and reason is None:
        return Message(topics.FAMILIES.name, record.key, record, record.family)
    return gone_message(record.key, record.family, record.intake_partition, reason)


def gone_message(key: str, family: str, partition: int, reason: str | None = None) -> Message:
    """Return the tombstone of a record for a family, which answers it with a release to a partition of intake."""
    headers: tuple[tuple[str, str], ...] = ((INTAKE_PARTITION, str(partition)),)
    if reason is not None:
        headers = ((REASON, reason), *headers)
    return Message(topics.FAMILIES.name, key, None, family, headers)
