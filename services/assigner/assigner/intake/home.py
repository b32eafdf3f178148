"""The home of a record: the one partition of intake that keeps its state, wherever its changes arrive (A13).

It is the partition that Kafka's Java clients choose, so most changes arrive there and cost nothing more. Others are
sent on once, bytes unchanged.
"""

from __future__ import annotations

import msgspec

from territory.stage import InputMessage, Message
from territory.wire.codec import MESSAGE_BYTES_MAX
from territory.wire.keys import upstream_partition_of
from territory.wire.rerouting import CHANGE, ORIGIN, RELEASE, REROUTED, STATE, Arrival, own_headers
from territory.wire.topics import RELEASES

FORWARDED_BYTES_MAX = MESSAGE_BYTES_MAX + 100_000
"""Of a change with its headers; the topic takes a little more."""


class Home:
    """Tells which records are at home in one partition, and addresses messages to the home of others."""

    def __init__(self, partition: int, partitions: int | None) -> None:
        """Take the partition of intake, and the number of partitions; None: not known, everything is at home."""
        self._partition = partition
        self._partitions = partitions

    def has(self, key: str) -> bool:
        """Whether a record is at home here."""
        return self._partitions is None or self._of(key) == self._partition

    def _of(self, key: str) -> int:
        return self._partition if self._partitions is None else upstream_partition_of(key, self._partitions)

    def change(self, message: InputMessage, origin: Arrival) -> Message | str:
        """Return the message that sends a change home; a text: why that is not possible."""
        raw = message.raw or b""
        headers = own_headers(message.headers)
        size = len(raw) + sum(len(name) + len(text) for name, text in headers)
        if size > FORWARDED_BYTES_MAX:
            return f"found {size} bytes with the headers, expected at most {FORWARDED_BYTES_MAX}"
        return self._message(message.key, raw, CHANGE, (*headers, (ORIGIN, str(origin))))

    def state(self, key: str, encoded: bytes) -> Message:
        """Return the message that sends home the state of a record."""
        return self._message(key, encoded, STATE)

    def release(self, message: InputMessage) -> Message:
        """Return the message that sends a release after its record's state."""
        return self._message(message.key, message.event, RELEASE)

    def _message(self, key: str, raw: bytes, kind: str, headers: tuple[tuple[str, str], ...] = ()) -> Message:
        # Parts: several changes of a record in a batch must all arrive.
        return Message(RELEASES.name, key, msgspec.Raw(raw), self._of(key), (*headers, (REROUTED, kind)), is_part=True)
