"""First stage of the assigner: changes become whole records, each version once, and go to their family.

Partitioned as the upstream keyed the changes, by record. Only intake knows which family a record is in.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from assigner.intake.merge import (
    GONE_AGAIN,
    MOVED,
    PLAUSIBLE_DELAY_MS,
    family_message,
    is_stale,
    lacks_record,
    merge,
    since_ms_of,
    size_fault,
    was_refused_before,
)
from assigner.intake.places import expired_message, must_locate, place_message
from territory.model.compiled import Model
from territory.stage import NO_MESSAGE, Effects, InputMessage, Message, Models
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import Record, RecordChange, Released, read_record
from territory.wire.keys import parse_record_key

DELETED_RETENTION_DAYS = 30
"""How long a deleted record's version is kept, unless `TERRITORY_DELETED_RETENTION_DAYS` has another number."""
EXPIRED_AT_ONCE_MAX = 1_000
"""Deleted records that one batch forgets at most, so that no batch is long because many expire."""


class IntakeFold:
    """The whole records of one partition of crm.records.v1."""

    def __init__(self, partition: int, deleted_retention_days: int = DELETED_RETENTION_DAYS) -> None:
        """Begin without records.

        Args:
            partition: Its number; releases come back to it.
            deleted_retention_days: How long the version of a deleted record is kept.
        """
        self._partition = partition
        self._records: dict[str, bytes] = {}
        """Encoded, which takes a third of the memory; decoded when the record changes again."""
        self._refused: dict[str, list[int]] = {}
        """By record, the offsets of the messages that were refused in this batch."""
        self._retention_ms = deleted_retention_days * topics.DAY_MS + PLAUSIBLE_DELAY_MS
        self._deleted: dict[str, int] = {}
        """By deleted record, when it was deleted, in ms: up to `PLAUSIBLE_DELAY_MS` before the broker's time."""
        self._unlocated: dict[str, None] = {}
        """Contacts that a version before this one stored, which published no places."""
        self._batch_ms: int | None = None
        """The lowest time of this batch's messages."""

    def __len__(self) -> int:
        return len(self._records)

    def restore(self, message: InputMessage) -> None:
        """Load a record as it was stored (territory.internal.records.v1)."""
        if message.event is None:
            self._records.pop(message.key, None)
            self._deleted.pop(message.key, None)
            self._unlocated.pop(message.key, None)
        else:
            self._store(message.event, message.key)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Do nothing: intake does not depend on models."""

    def flush(self, models: Models, effects: Effects) -> None:
        """Forget the refusals of the batch, since a committed batch is not repeated; and expired deleted records."""
        self._refused.clear()
        if self._batch_ms is not None and self._deleted:
            self._expire(self._batch_ms - self._retention_ms, effects)
        self._batch_ms = None

    @property
    def unfinished_from(self) -> int | None:
        """No message's output is incomplete; but after an upgrade the places of contacts are left to be published."""
        return NO_MESSAGE if self._unlocated else None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Publish the places of some contacts that a version before this one stored."""
        for key in [key for key, _ in zip(self._unlocated, range(limit), strict=False)]:
            contact = self._record(key)
            del self._unlocated[key]
            if contact is not None:
                located = replace(contact, located=True)
                self._store(located, key)
                effects.messages.append(place_message(contact))
                effects.state.append(Message(topics.RECORD_STATES.name, key, located, self._partition))

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Yield nothing: intake does not depend on models."""
        return iter(())

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Merge one change into its record and forward that; or forward a record again after a release."""
        if self._batch_ms is None or message.timestamp_ms < self._batch_ms:
            self._batch_ms = message.timestamp_ms
        if isinstance(message.event, Released):
            self._forward_again(message.event, effects)
            return
        fault = _address_fault(message)
        if fault is not None:
            effects.refused.append((message, *fault))
            return
        change: RecordChange = message.event
        before = self._record(change.key)
        # Stored states are written after the messages that they stand for, so a stale change was forwarded.
        if is_stale(change, before):
            effects.outcomes["stale"] += 1
            return
        if lacks_record(change, before) or was_refused_before(message, before):
            reason = f"{change.op} of {change.key}, which is not there; publish the record first"
            self._refuse(message, "no_record", reason, effects)
            return
        since_ms = since_ms_of(change, message.timestamp_ms)
        after = merge(change, before, partition=self._partition, since_ms=since_ms)
        if change.key in self._refused:
            after = replace(after, refused=tuple(self._refused[change.key]))
        too_large = size_fault(after, change, message)
        if too_large is not None:
            self._refuse(message, "too_large", too_large, effects)
            return
        if after.object == "contact" and after.version:
            if must_locate(change, before, after):
                effects.messages.append(place_message(after))
            after = replace(after, located=True)
        self._store(after, change.key)
        if before is not None and before.version and not before.deleted and before.family != after.family:
            effects.messages.append(family_message(before, MOVED))
        if after.version:
            effects.messages.append(family_message(after))
        effects.state.append(Message(topics.RECORD_STATES.name, change.key, after, self._partition))
        effects.outcomes["accepted"] += 1

    def _refuse(self, message: InputMessage, code: str, reason: str, effects: Effects) -> None:
        """Refuse a change, and remember its offset until the end of the batch."""
        self._refused.setdefault(message.event.key, []).append(message.offset)
        effects.refused.append((message, code, reason))

    def _forward_again(self, released: Released, effects: Effects) -> None:
        """Make the record's present family publish last, after a family that has removed the record.

        The old family may have been behind, and have published an outdated assignment or a tombstone
        meanwhile. A deleted record's tombstone is sent once more, and only once.
        """
        effects.outcomes["released"] += 1
        record = self._record(released.key)
        if record is None or not record.version:
            return
        if not record.deleted:
            effects.messages.append(family_message(record))
        elif not released.again:
            effects.messages.append(family_message(record, GONE_AGAIN))

    # --- records -----------------------------------------------------------------------------

    def record_state(self, key: str) -> Record | None:
        """Return a record as it was last accepted, for point queries; None if it is not in this partition."""
        return self._record(key)

    def _record(self, key: str) -> Record | None:
        encoded = self._records.get(key)
        return None if encoded is None else read_record(encoded)

    def _store(self, record: Record, key: str) -> None:
        self._records[key] = encode(record)
        if record.object == "contact":
            if record.version and not record.located:
                self._unlocated[key] = None
            else:
                self._unlocated.pop(key, None)
        if record.deleted:
            self._deleted[key] = record.since_ms
        elif key in self._deleted:
            del self._deleted[key]

    def _expire(self, before_ms: int, effects: Effects) -> None:
        """Forget records that were deleted before a time, the first of them; stop at one that was not."""
        expired: list[str] = []
        for key, deleted_ms in self._deleted.items():
            if deleted_ms >= before_ms or len(expired) >= EXPIRED_AT_ONCE_MAX:
                break
            expired.append(key)
        for key in expired:
            del self._deleted[key], self._records[key]
            effects.state.append(Message(topics.RECORD_STATES.name, key, None, self._partition))
            if parse_record_key(key)[1] == "contact":
                effects.messages.append(expired_message(key))
            effects.outcomes["expired"] += 1


def _address_fault(message: InputMessage) -> tuple[str, str] | None:
    """Return code and reason of a message that is no change of the record that its key names."""
    if message.event is None:
        if message.topic == topics.RELEASES.name:
            return "not_json", f"found no value, expected a Released; only the assigner may write to {message.topic}"
        return "not_json", "found no value, expected a RecordChange; delete a record by op delete"
    if message.key != message.event.key:
        # Keyed otherwise, the changes of one record would be in several partitions, in no order.
        return "wrong_key", f"found key {message.key[:100]!r}, expected {message.event.key!r}"
    return None
