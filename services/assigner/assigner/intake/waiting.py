"""Patches that came before their record: how many may wait, and until when (A13).

They are part of the record's state, so a restart loses none. The hour begins when a worker first sees that a patch
waits, and anew after a restart: a worker that reads an old backlog gives nothing up too early.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from territory.stage import ExpiredMessage, InputMessage
from territory.wire.events import Record, RecordChange, WaitingPatch
from territory.wire.rerouting import Arrival, own_headers
from territory.wire.topics import RECORDS

WAIT_MS_MAX = 60 * 60 * 1000
OF_A_RECORD_MAX = 100
OF_A_PARTITION_MAX = 10_000
BYTES_OF_A_PARTITION_MAX = 32 * 1024 * 1024
NO_RECORD = "no_record"

Place = tuple[str, int, int]
"""Key of the record, partition and offset of the patch."""


def waiting_patch(change: RecordChange, message: InputMessage, origin: Arrival) -> WaitingPatch:
    """Return a patch as it is kept: with all that its dead letter needs."""
    raw = message.raw or b""
    headers = tuple((name, text.encode(errors="surrogateescape")) for name, text in own_headers(message.headers))
    return WaitingPatch(
        change.version, change.event_id, raw, headers, origin.partition, origin.offset, origin.broker_ms
    )


def is_waiting(change: RecordChange, before: Record | None) -> bool:
    """Whether this very patch waits already."""
    if before is None:
        return False
    return any((each.version, each.event_id) == (change.version, change.event_id) for each in before.waiting)


class WaitingTable:
    """The patches that wait in one partition, with their deadlines."""

    def __init__(self) -> None:
        self._deadlines: dict[Place, int] = {}
        """In the order of their deadlines, ms of Unix time."""
        self._untimed: dict[Place, None] = {}
        """Those whose time has not begun."""
        self._sizes: dict[str, dict[Place, int]] = {}
        """By record, the bytes of each patch."""
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def fault(self, key: str, size: int) -> str | None:
        """Return why one more patch may not wait; None: it may."""
        count = len(self._sizes.get(key, ()))
        if count >= OF_A_RECORD_MAX:
            return f"{count} patches of {key} wait for it already; publish the record first"
        if self._count >= OF_A_PARTITION_MAX or self._bytes + size > BYTES_OF_A_PARTITION_MAX:
            return f"{self._count} patches with {self._bytes} bytes wait in its partition; publish {key} first"
        return None

    def set(self, key: str, patches: Sequence[WaitingPatch]) -> None:
        """Take note of which patches of a record wait now."""
        if not patches and key not in self._sizes:
            return
        before = self._sizes.pop(key, {})
        after = {(key, each.partition, each.offset): len(each.value) for each in patches}
        if after:
            self._sizes[key] = after
        self._count += len(after) - len(before)
        self._bytes += sum(after.values()) - sum(before.values())
        for place in before.keys() - after.keys():
            self._deadlines.pop(place, None)
            self._untimed.pop(place, None)
        for place in after:
            if place not in before:
                self._untimed[place] = None

    @property
    def due_ms(self) -> int | None:
        """When `expired` has to be asked, in ms of Unix time; 0: at once; None: nothing waits."""
        if self._untimed:
            return 0
        return next(iter(self._deadlines.values()), None)

    def expired(self, now_ms: int) -> Iterator[Place]:
        """Begin the time of new patches; yield those whose time is over, which the caller takes out."""
        for place in self._untimed:
            self._deadlines[place] = now_ms + WAIT_MS_MAX
        self._untimed.clear()
        for place, deadline in list(self._deadlines.items()):
            if deadline > now_ms:
                return
            yield place


def letter_of(key: str, patch: WaitingPatch, reason: str) -> ExpiredMessage:
    """Return the dead letter of a patch that has waited in vain."""
    return ExpiredMessage(
        RECORDS.name, patch.partition, patch.offset, key, patch.value, patch.headers, NO_RECORD, reason
    )


def without(
    key: str, waiting: Sequence[WaitingPatch], places: Collection[tuple[int, int]]
) -> tuple[tuple[WaitingPatch, ...], list[ExpiredMessage]]:
    """Return the patches that go on waiting, and dead letters of those at some places: partitions and offsets."""
    reason = f"patch of {key}, which did not come within {WAIT_MS_MAX // 60_000} minutes; publish the record first"
    given_up = [each for each in waiting if (each.partition, each.offset) in places]
    return tuple([each for each in waiting if each not in given_up]), [
        letter_of(key, each, reason) for each in given_up
    ]
