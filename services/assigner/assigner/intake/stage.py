"""First stage: changes become whole records, each version once, and go to their family.

Partitioned as the upstream keyed it, by record. It alone knows in which family a record is.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from territory.criteria.values import datetime_of
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models, WithoutFanOut
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import LinkKind, Record, RecordChange, Released, read_record
from territory.wire.keys import family_key

REASON = "territory-reason"
"""Header of a tombstone to a family: why the record is gone from it; absent for a plain delete."""
MOVED = "moved"
"""The record went to another family, which says where it stands."""
GONE_AGAIN = "gone-again"
"""The record was deleted, and this follows a release."""
INTAKE_PARTITION = "territory-intake-partition"
"""Header of a tombstone to a family: the partition that a release goes back to."""


# Merged patches grow, and a number may take more room written out than it came in. What a topic
# refuses would stop the partition.
RECORD_BYTES_MAX = 1_000_000
GROWTH_MAX = 10
"""More than a change grows on the way to a record: `1e15` becomes 18 characters, links are few."""
PLAUSIBLE_DELAY_MS = 60 * 60 * 1000


class IntakeFold(WithoutFanOut):
    """The whole records of one partition of crm.records.v1."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._records: dict[str, bytes] = {}
        """As they are written: read when a record changes again, a third of the room until then."""
        self._refused: dict[str, list[int]] = {}
        """By record, the offsets of what was refused in this turn."""

    def __len__(self) -> int:
        return len(self._records)

    def restore(self, message: InputMessage) -> None:
        """Take a record as it was left (territory.internal.records.v1)."""
        if message.event is None:
            self._records.pop(message.key, None)
        else:
            self._records[message.key] = encode(message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Intake does not depend on models."""

    def flush(self, models: Models, effects: Effects) -> None:
        """Forget what was refused: no repeat goes back before the end of a turn that was committed."""
        self._refused.clear()

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Intake does not depend on models."""
        return iter(())

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one change, or the word that an old family has let go of a record."""
        if isinstance(message.event, Released):
            self._forward_again(message.event, effects)
            return
        fault = _misaddressed(message)
        if fault is not None:
            effects.refused.append((message, *fault))
            return
        change: RecordChange = message.event
        before = self._record(change.key)
        # A state is sent after the messages that it stands for: what is known was forwarded.
        if _is_stale(change, before):
            effects.outcomes["stale"] += 1
            return
        if _has_no_record(change, before) or _was_refused(message, before):
            self._refused.setdefault(change.key, []).append(message.offset)
            effects.refused.append(
                (message, "no_record", f"{change.op} of {change.key}, which is not there; publish the record first")
            )
            return
        after = self._after(change, before, _since_ms(change, message.timestamp_ms))
        if change.key in self._refused:
            after = replace(after, refused=tuple(self._refused[change.key]))
        too_large = _too_large(after, change, message)
        if too_large is not None:
            self._refused.setdefault(change.key, []).append(message.offset)
            effects.refused.append((message, "too_large", too_large))
            return
        self._records[change.key] = encode(after)
        if before is not None and before.version and not before.deleted and before.family != after.family:
            effects.messages.append(_tombstone(before, MOVED))
        if after.version:
            effects.messages.append(_forward(after))
        effects.state.append(Message(topics.RECORD_STATES.name, change.key, after, self._partition))
        effects.outcomes["accepted"] += 1

    def _forward_again(self, released: Released, effects: Effects) -> None:
        """Make the family that a record is in speak last, after one that held it has let go.

        The old family may have been behind and said something stale, or that the record is
        gone. A record that is deleted needs its tombstone said once more, no more than once.
        """
        effects.outcomes["released"] += 1
        record = self._record(released.key)
        if record is None or not record.version:
            return
        if not record.deleted:
            effects.messages.append(_forward(record))
        elif not released.again:
            effects.messages.append(_tombstone(record, GONE_AGAIN))

    def record_state(self, key: str) -> Record | None:
        """Return a record as it was last accepted, for point queries; None if it is not in this partition."""
        return self._record(key)

    def _record(self, key: str) -> Record | None:
        written = self._records.get(key)
        return None if written is None else read_record(written)

    def _after(self, change: RecordChange, before: Record | None, since_ms: int) -> Record:
        if change.op == "link":
            return self._linked(change, before, since_ms)
        if change.op == "delete":
            owner, account, contact, fields = None, None, None, {}
            links: dict[str, LinkKind] = {}
        elif change.op == "patch" and before is not None:
            said = change.model_fields_set
            owner = change.owner_id if "owner_id" in said else before.owner_id
            account = change.account_id if "account_id" in said else before.account_id
            contact = change.contact_id if "contact_id" in said else before.contact_id
            merged = before.fields | change.fields
            fields = {name: value for name, value in merged.items() if value is not None}
            links = before.links
        else:
            owner, account, contact, fields = change.owner_id, change.account_id, change.contact_id, change.fields
            links = before.links if before is not None else {}
        deleted = change.op == "delete"
        family = (
            before.family
            if deleted and before is not None
            else family_key(change.org_id, change.object, change.id, account, contact)
        )
        return Record(
            org_id=change.org_id,
            object=change.object,
            id=change.id,
            version=change.version,
            link_version=before.link_version if before is not None else 0,
            deleted=deleted,
            owner_id=owner,
            account_id=account,
            contact_id=contact,
            fields=fields,
            links=links,
            family=family,
            intake_partition=self._partition,
            event_id=change.event_id,
            since_ms=since_ms,
        )

    def _linked(self, change: RecordChange, before: Record | None, since_ms: int) -> Record:
        """Return the record with one link decided by hand; the later decision replaces the earlier (A4)."""
        record = before or Record(
            org_id=change.org_id, object=change.object, id=change.id, version=0, link_version=0, deleted=False,
            owner_id=None, account_id=None, contact_id=None, fields={}, links={},
            family=family_key(change.org_id, change.object, change.id, None, None),
            intake_partition=self._partition, event_id=change.event_id, since_ms=since_ms,
        )  # fmt: skip
        links = {territory: kind for territory, kind in record.links.items() if territory != change.territory_id}
        if change.kind != "none" and change.kind is not None and change.territory_id is not None:
            links[change.territory_id] = change.kind
        return replace(
            record,
            links=links,
            link_version=change.version,
            event_id=change.event_id,
            since_ms=since_ms,
        )


def _misaddressed(message: InputMessage) -> tuple[str, str] | None:
    if message.event is None:
        return "not_json", "found no value, expected a RecordChange; a record is deleted by op delete"
    if message.key != message.event.key:
        # Keyed otherwise, changes of one record would be on several partitions, in no order.
        return "wrong_key", f"found key {message.key[:100]!r}, expected {message.event.key!r}"
    return None


def _too_large(after: Record, change: RecordChange, message: InputMessage) -> str | None:
    """Return why a record can't be written; a whole one is written out only when it might not fit."""
    if change.op == "upsert" and not after.links and 0 < message.size * GROWTH_MAX < RECORD_BYTES_MAX:
        return None
    size = len(encode(after))
    if size <= RECORD_BYTES_MAX:
        return None
    return f"with it {change.key} has {size} bytes, expected at most {RECORD_BYTES_MAX}"


def _since_ms(change: RecordChange, broker_ms: int) -> int:
    """Return when a change happened: the upstream's time where it is plausible, else the broker's.

    An upstream that publishes its history says times of years ago: no latency of ours.
    """
    instant = datetime_of(change.occurred_at)
    happened_ms = int(instant.timestamp() * 1000) if instant is not None else 0
    return happened_ms if broker_ms - PLAUSIBLE_DELAY_MS <= happened_ms <= broker_ms else broker_ms


def _is_stale(change: RecordChange, before: Record | None) -> bool:
    if before is None:
        return False
    return change.version <= (before.link_version if change.op == "link" else before.version)


def _was_refused(message: InputMessage, before: Record | None) -> bool:
    """Whether this repeats a message that was refused before its record came, in the same turn (A9)."""
    return before is not None and message.offset >= 0 and message.offset in before.refused


def _has_no_record(change: RecordChange, before: Record | None) -> bool:
    if change.op == "patch":
        return before is None or before.deleted or not before.version
    return change.op == "link" and before is not None and before.deleted


def _forward(record: Record) -> Message:
    if record.deleted:
        return _tombstone(record, None)
    return Message(topics.FAMILIES.name, record.key, record, record.family)


def _tombstone(record: Record, reason: str | None) -> Message:
    headers: tuple[tuple[str, str], ...] = ((INTAKE_PARTITION, str(record.intake_partition)),)
    if reason is not None:
        headers = ((REASON, reason), *headers)
    return Message(topics.FAMILIES.name, record.key, None, record.family, headers)
