"""First stage of the assigner: changes become whole records, each version once, and go to their family.

Partitioned by record. Only intake knows which family a record is in.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from assigner.intake.home import Home
from assigner.intake.merge import (
    GONE_AGAIN,
    MOVED,
    NOWHERE,
    PLAUSIBLE_DELAY_MS,
    combine,
    family_message,
    lacks_record,
    merge,
    place_of,
    size_fault,
    time_of,
    was_refused_before,
    with_waiting,
)
from assigner.intake.places import expired_message, must_locate, place_message
from assigner.intake.removal import take_of_removed, withdrawals
from assigner.intake.versions import is_stale
from assigner.intake.waiting import WaitingTable, is_waiting, letter_of, waiting_patch, without
from territory.errors import BadMessage
from territory.model.compiled import Model
from territory.model.removal import is_removed
from territory.stage import NO_MESSAGE, Effects, InputMessage, Message, Models
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import (
    Record,
    RecordChange,
    Released,
    read_record,
    read_record_change,
    read_released,
)
from territory.wire.keys import org_of, parse_record_key
from territory.wire.rerouting import CHANGE, REROUTED, STATE, Arrival

DELETED_RETENTION_DAYS = 30
"""How long a deleted record's version is kept, unless `TERRITORY_DELETED_RETENTION_DAYS` has another number."""
KEYS_AT_ONCE_MAX = 20_000
"""Keys that one chunk of a removal looks at, for those of its organisation: some milliseconds."""
EXPIRED_AT_ONCE_MAX = 1_000
"""Deleted records that one batch forgets at most, so that no batch is long because many expire."""


class IntakeFold:
    """The whole records that are at home in one partition of crm.records.v1."""

    def __init__(
        self,
        partition: int,
        deleted_retention_days: int = DELETED_RETENTION_DAYS,
        *,
        partitions: int | None = None,
    ) -> None:
        """Begin without records.

        Args:
            partition: Its number; releases come back to it.
            deleted_retention_days: How long the version of a deleted record is kept.
            partitions: Of the topics; None: not known, so every record is at home here.
        """
        self._partition = partition
        self._partitions = partitions
        self._home = Home(partition, partitions)
        self._records: dict[str, bytes] = {}
        """Encoded, which takes a third of the memory; decoded when the record changes again."""
        self._misplaced: dict[str, None] = {}
        """Records that an earlier version kept here and that are at home elsewhere; they are sent home."""
        self._waiting = WaitingTable()
        self._refused: dict[str, list[int]] = {}
        """By record, the places of the messages that were refused in this batch (`place_of`)."""
        self._retention_ms = deleted_retention_days * topics.DAY_MS + PLAUSIBLE_DELAY_MS
        self._deleted: dict[str, int] = {}
        """By deleted record, when it was deleted, in ms: up to `PLAUSIBLE_DELAY_MS` before the broker's time."""
        self._unlocated: dict[str, None] = {}
        """Contacts that a version before this one stored, which published no places."""
        self._batch_ms: int | None = None
        """The lowest time of this batch's messages."""

    def __len__(self) -> int:
        return len(self._records)

    # --- restore -----------------------------------------------------------------------------

    def restore(self, message: InputMessage) -> None:
        """Load a record as it was stored (territory.internal.records.v1)."""
        key, record = message.key, message.event
        if record is None:
            self._remove(key)
            return
        self._store(record, key)
        # This version stores no record away from its home: only states of earlier ones have to be looked at.
        if record.source_offset < 0 and not self._home.has(key):
            self._misplaced[key] = None
        else:
            self._misplaced.pop(key, None)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Do nothing: intake does not depend on models."""

    @property
    def unfinished_from(self) -> int | None:
        """No message's output is incomplete; but after an upgrade records are to be sent home, and contacts located."""
        return NO_MESSAGE if self._misplaced or self._unlocated else None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Send some records home that a version before this one stored here; publish the places of some contacts."""
        for key in [key for key, _ in zip(self._misplaced, range(limit), strict=False)]:
            self._send_home(key, effects)
        for key in [key for key, _ in zip(self._unlocated, range(limit), strict=False)]:
            contact = self._record(key)
            del self._unlocated[key]
            if contact is not None:
                located = replace(contact, located=True)
                self._store(located, key)
                effects.messages.append(place_message(contact))
                effects.state.append(Message(topics.RECORD_STATES.name, key, located, self._partition))

    def flush(self, models: Models, effects: Effects) -> None:
        """Forget the refusals of the batch, since a committed batch is not repeated; and expired deleted records."""
        self._refused.clear()
        if self._batch_ms is not None and self._deleted:
            self._expire(self._batch_ms - self._retention_ms, effects)
        self._batch_ms = None

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Forget the records of a removed organisation, and have their families do so (A12); else do nothing.

        Records are forgotten at once, with their versions and the patches that wait: while the organisation is
        removed, no change of it is taken, and releases are answered without the record.
        """
        if not model.is_removed:
            return
        effects, prefix = Effects(), f"{model.org_id}/"
        for number, key in enumerate(list(self._records), start=1):
            if key.startswith(prefix) and key in self._records:
                self._withdraw(key, effects)
                effects.swept += 1
                effects.cost += 1
            if effects.cost >= limit or number % KEYS_AT_ONCE_MAX == 0:
                yield effects
                effects = Effects()
        yield effects

    def _withdraw(self, key: str, effects: Effects) -> None:
        """Forget one record of a removed organisation."""
        record = self._record(key)
        if record is not None:
            effects.messages += withdrawals(record, self._partition)
        self._remove(key)
        effects.state.append(Message(topics.RECORD_STATES.name, key, None, self._partition))
        effects.outcomes["removed"] += 1

    # --- messages ----------------------------------------------------------------------------

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Merge one change into its record and forward that; or take what other partitions and families return."""
        if is_removed(models, org_of(message.key)):
            take_of_removed(message, self._partition, self._partitions, effects)
            return
        if message.topic == topics.RELEASES.name:
            self._apply_returned(message, effects)
            return
        self._note_time(message.timestamp_ms)
        if message.event is None:
            effects.outcomes["tombstone"] += 1  # a compacting upstream; a record is deleted by op delete
            return
        change: RecordChange = message.event
        if message.key != change.key:
            reason = f"found key {message.key[:100]!r}, expected {change.key!r}"
            effects.refused.append((message, "wrong_key", reason))
            return
        origin = Arrival(self._partition, message.offset, message.timestamp_ms)
        if change.key in self._misplaced:
            self._send_home(change.key, effects)
        if change.key in self._records or self._home.has(change.key):
            self._take(change, message, origin, effects)
            return
        forwarded = self._home.change(message, origin)
        if isinstance(forwarded, str):
            effects.refused.append((message, "too_large", forwarded))
            return
        effects.messages.append(forwarded)
        effects.outcomes["rerouted"] += 1

    def _apply_returned(self, message: InputMessage, effects: Effects) -> None:
        """Take a release from a family; or a change or a state that another partition has sent home."""
        if message.event is None:
            reason = f"found no value, expected a Released; only the assigner may write to {message.topic}"
            effects.refused.append((message, "not_json", reason))
            return
        kind = message.headers.get(REROUTED)
        try:
            if kind == CHANGE:
                origin = Arrival.read(message.headers) or NOWHERE
                self._note_time(origin.broker_ms)
                self._take(read_record_change(message.event), message._replace(raw=message.event), origin, effects)
            elif kind == STATE:
                self.take_state(message.key, read_record(message.event), effects)
            else:
                self._apply_release(message, read_released(message.event), effects)
        except BadMessage as bad:
            effects.refused.append((message, bad.code, str(bad)))

    def _note_time(self, broker_ms: int) -> None:
        if self._batch_ms is None or broker_ms < self._batch_ms:
            self._batch_ms = broker_ms

    def _take(self, change: RecordChange, message: InputMessage, origin: Arrival, effects: Effects) -> None:
        before = self._record(change.key)
        # Stored states are written after the messages that they stand for, so a stale change was forwarded.
        if is_stale(change, before, origin):
            effects.outcomes["stale"] += 1
            return
        is_repeat = was_refused_before(message, before)
        if change.op == "patch" and lacks_record(change, before) and not is_repeat:
            self._let_wait(change, message, origin, before, effects)
            return
        if is_repeat or lacks_record(change, before):
            reason = f"{change.op} of {change.key}, which is not there; publish the record first"
            self._refuse(message, "no_record", reason, change.key, effects)
            return
        time = time_of(change, origin.broker_ms)
        after = merge(change, before, partition=self._partition, time=time, origin=origin)
        too_large = size_fault(after, change, message)
        if too_large is not None:
            self._refuse(message, "too_large", too_large, change.key, effects)
            return
        if after.unreadable_occurred_at is not None:
            effects.outcomes["unreadable_occurred_at"] += 1
        effects.outcomes["accepted"] += 1
        self._settle(change, before, after, effects)

    def _settle(self, change: RecordChange | None, before: Record | None, after: Record, effects: Effects) -> None:
        """Store and forward a record after a change, with the patches that waited for it.

        Without a change, two states of it have been combined.
        """
        key = after.key
        if after.waiting:
            after = self._after_waiting(key, after, effects)
        if after.object == "contact" and after.version:
            if change is None or must_locate(change, before, after):
                effects.messages.append(place_message(after))
            after = replace(after, located=True)
        if key in self._refused:
            after = replace(after, refused=tuple(self._refused[key]))
        self._store(after, key)
        if before is not None and before.is_live and before.family != after.family:
            effects.messages.append(family_message(before, MOVED))
        if after.version:
            effects.messages.append(family_message(after))
        effects.state.append(Message(topics.RECORD_STATES.name, key, after, self._partition))

    def _refuse(self, message: InputMessage, code: str, reason: str, key: str, effects: Effects) -> None:
        """Refuse a change, and remember its offset until the end of the batch."""
        self._refused.setdefault(key, []).append(place_of(message))
        effects.refused.append((message, code, reason))

    def _apply_release(self, message: InputMessage, released: Released, effects: Effects) -> None:
        """Make the record's present family publish last, after a family that has removed the record.

        The old family may have been behind, and have published an outdated assignment or a tombstone
        meanwhile. A deleted record's tombstone is sent once more, and only once.
        """
        record = self._record(released.key)
        if record is None and not self._home.has(released.key):
            effects.messages.append(self._home.release(message))  # its state went there
            return
        effects.outcomes["released"] += 1
        if record is None or not record.version:
            return
        if not record.deleted:
            effects.messages.append(family_message(record))
        elif not released.again:
            effects.messages.append(family_message(record, GONE_AGAIN))

    # --- states of earlier versions ------------------------------------------------------------

    def _send_home(self, key: str, effects: Effects) -> None:
        """Send the state of a misplaced record to its home, and forget it here."""
        effects.messages.append(self._home.state(key, self._records[key]))
        effects.state.append(Message(topics.RECORD_STATES.name, key, None, self._partition))
        effects.outcomes["sent_home"] += 1
        self._remove(key)

    def take_state(self, key: str, sent: Record, effects: Effects) -> None:
        """Take the state of a record from another partition; harmless to repeat.

        Changes may have come here before it; then the greater version counts.
        """
        before = self._record(key)
        effects.outcomes["taken_home"] += 1
        sent = replace(sent, intake_partition=self._partition)
        after = sent if before is None else combine(before, sent)
        if before is not None and sent.is_live and (after.deleted or sent.family != after.family):
            # Its family has not heard of the later change.
            effects.messages.append(family_message(sent, MOVED))
        if before is not None:
            self._settle(None, before, after, effects)
            return
        self._store(after, key)  # its family has it already
        effects.state.append(Message(topics.RECORD_STATES.name, key, after, self._partition))

    # --- patches that came before their record -------------------------------------------------

    def _let_wait(
        self, change: RecordChange, message: InputMessage, origin: Arrival, before: Record | None, effects: Effects
    ) -> None:
        """Keep a patch until its record comes; refuse it if too much waits already."""
        if is_waiting(change, before):
            effects.outcomes["stale"] += 1
            return
        patch = waiting_patch(change, message, origin)
        fault = self._waiting.fault(change.key, len(patch.value))
        since_ms = time_of(change, origin.broker_ms).since_ms
        after = with_waiting(change, before, patch, partition=self._partition, since_ms=since_ms)
        if fault is None and size_fault(after, change, message) is not None:
            fault = f"the patches of {change.key} are too large to wait for it; publish the record first"
        if fault is not None:
            self._refuse(message, "no_record", fault, change.key, effects)
            return
        self._store(after, change.key)
        effects.state.append(Message(topics.RECORD_STATES.name, change.key, after, self._partition))
        effects.outcomes["waiting"] += 1

    def _after_waiting(self, key: str, record: Record, effects: Effects) -> Record:
        """Return a record with the patches that waited for it and are newer; without those that are not."""
        waiting = [each for each in record.waiting if each.version > record.version]
        if outdated := len(record.waiting) - len(waiting):
            effects.outcomes["stale"] += outdated
        if not record.is_live:
            return replace(record, waiting=tuple(waiting))
        record = replace(record, waiting=())
        for patch in sorted(waiting, key=lambda each: each.version):  # stable: of equal versions the later wins
            change = read_record_change(patch.value)
            origin = Arrival(patch.partition, patch.offset, patch.broker_ms)
            time = time_of(change, patch.broker_ms)
            after = merge(change, record, partition=self._partition, time=time, origin=origin)
            too_large = size_fault(after, change, InputMessage("", key, change, {}))
            if too_large is not None:
                effects.expired.append(letter_of(key, patch, too_large)._replace(code="too_large"))
                continue
            record = after
            effects.outcomes["accepted"] += 1
        return record

    @property
    def due_ms(self) -> int | None:
        """When a waiting patch has to be looked at, in ms of Unix time; None: none waits."""
        return self._waiting.due_ms

    def expire(self, now_ms: int, effects: Effects) -> None:
        """Make dead letters of the patches that have waited for an hour."""
        given_up: dict[str, list[tuple[int, int]]] = {}
        for key, partition, offset in self._waiting.expired(now_ms):
            given_up.setdefault(key, []).append((partition, offset))
        for key, places in given_up.items():
            self._give_up(key, places, effects)

    def _give_up(self, key: str, places: list[tuple[int, int]], effects: Effects) -> None:
        record = self._record(key)
        if record is None:
            return
        left, letters = without(key, record.waiting, places)
        effects.expired += letters
        after: Record | None = replace(record, waiting=left)
        if not left and not record.version and not record.link_version:
            after = None  # nothing is known of it
            self._remove(key)
        elif after is not None:
            self._store(after, key)
        effects.state.append(Message(topics.RECORD_STATES.name, key, after, self._partition))

    # --- records -----------------------------------------------------------------------------

    def record_state(self, key: str) -> Record | None:
        """Return a record as it was last accepted, for point queries; None if it is not in this partition."""
        return self._record(key)

    def _record(self, key: str) -> Record | None:
        encoded = self._records.get(key)
        return None if encoded is None else read_record(encoded)

    def _store(self, record: Record, key: str) -> None:
        self._waiting.set(key, record.waiting)
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

    def _remove(self, key: str) -> None:
        self._waiting.set(key, ())
        self._records.pop(key, None)
        self._deleted.pop(key, None)
        self._misplaced.pop(key, None)
        self._unlocated.pop(key, None)

    def _expire(self, before_ms: int, effects: Effects) -> None:
        """Forget records that were deleted before a time, the first of them; stop at one that was not."""
        expired: list[str] = []
        for key, deleted_ms in self._deleted.items():
            if deleted_ms >= before_ms or len(expired) >= EXPIRED_AT_ONCE_MAX:
                break
            expired.append(key)
        for key in expired:
            self._remove(key)
            effects.state.append(Message(topics.RECORD_STATES.name, key, None, self._partition))
            if parse_record_key(key)[1] == "contact":
                effects.messages.append(expired_message(key))
            effects.outcomes["expired"] += 1
