"""Merge one change into the whole state of its record: upsert, patch, delete and link (A4)."""

from __future__ import annotations

from msgspec.structs import replace

from territory.criteria.values import datetime_of
from territory.stage import InputMessage, Message
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record, RecordChange
from territory.wire.keys import family_key

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


def merge(change: RecordChange, before: Record | None, *, partition: int, since_ms: int) -> Record:
    """Return the whole record after a change.

    Args:
        change: A change that is neither stale nor without a record.
        before: The record so far; None: nothing is known of it.
        partition: The partition of intake.
        since_ms: When the change happened (`since_ms_of`).
    """
    if change.op == "link":
        return _with_link(change, before, partition, since_ms)
    if change.op == "delete":
        return _deleted(change, before, partition, since_ms)
    owner, account, contact, fields = change.owner_id, change.account_id, change.contact_id, change.fields
    if change.op == "patch" and before is not None:
        present = change.model_fields_set
        owner = owner if "owner_id" in present else before.owner_id
        account = account if "account_id" in present else before.account_id
        contact = contact if "contact_id" in present else before.contact_id
        merged = before.fields | fields
        fields = {name: value for name, value in merged.items() if value is not None}
    return Record(
        org_id=change.org_id,
        object=change.object,
        id=change.id,
        version=change.version,
        link_version=0 if before is None else before.link_version,
        deleted=False,
        owner_id=owner,
        account_id=account,
        contact_id=contact,
        fields=fields,
        links={} if before is None else before.links,
        family=family_key(change.org_id, change.object, change.id, account, contact),
        intake_partition=partition,
        event_id=change.event_id,
        since_ms=since_ms,
    )


def _deleted(change: RecordChange, before: Record | None, partition: int, since_ms: int) -> Record:
    """Return what is kept of a deleted record: its versions, and the family that still has to remove it."""
    blank = _blank(change, partition, since_ms)
    return replace(
        blank,
        version=change.version,
        link_version=0 if before is None else before.link_version,
        deleted=True,
        family=blank.family if before is None else before.family,
    )


def _with_link(change: RecordChange, before: Record | None, partition: int, since_ms: int) -> Record:
    """Return the record with one manual decision; the later decision replaces the earlier (A4)."""
    record = _blank(change, partition, since_ms) if before is None else before
    links: dict[str, LinkKind] = {
        territory: kind for territory, kind in record.links.items() if territory != change.territory_id
    }
    if change.kind != "none" and change.kind is not None and change.territory_id is not None:
        links[change.territory_id] = change.kind
    return replace(record, links=links, link_version=change.version, event_id=change.event_id, since_ms=since_ms)


def _blank(change: RecordChange, partition: int, since_ms: int) -> Record:
    """Return a record of which nothing is known but its key."""
    return Record(
        org_id=change.org_id, object=change.object, id=change.id, version=0, link_version=0, deleted=False,
        owner_id=None, account_id=None, contact_id=None, fields={}, links={},
        family=family_key(change.org_id, change.object, change.id, None, None),
        intake_partition=partition, event_id=change.event_id, since_ms=since_ms,
    )  # fmt: skip


def is_stale(change: RecordChange, before: Record | None) -> bool:
    """Whether a change is not newer than what is known; records and links count their versions separately."""
    if before is None:
        return False
    return change.version <= (before.link_version if change.op == "link" else before.version)


def lacks_record(change: RecordChange, before: Record | None) -> bool:
    """Whether a change needs a record that is not there: a patch needs one, a link one that is not deleted."""
    if change.op == "patch":
        return before is None or before.deleted or not before.version
    return change.op == "link" and before is not None and before.deleted


def was_refused_before(message: InputMessage, before: Record | None) -> bool:
    """Whether this repeats a message that was refused, in the same batch, before its record came (A9)."""
    return before is not None and message.offset >= 0 and message.offset in before.refused


def since_ms_of(change: RecordChange, broker_ms: int) -> int:
    """Return when a change happened, in ms: the upstream's time where it is plausible, else the broker's.

    An upstream that publishes its history gives times of years ago, which are no latency of this system.
    """
    instant = datetime_of(change.occurred_at)
    happened_ms = int(instant.timestamp() * 1000) if instant is not None else 0
    return happened_ms if broker_ms - PLAUSIBLE_DELAY_MS <= happened_ms <= broker_ms else broker_ms


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
    headers: tuple[tuple[str, str], ...] = ((INTAKE_PARTITION, str(record.intake_partition)),)
    if reason is not None:
        headers = ((REASON, reason), *headers)
    return Message(topics.FAMILIES.name, record.key, None, record.family, headers)
