"""Dead letters: refused messages with their original bytes, and the reason in headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aiokafka.structs import ConsumerRecord

from territory.stage import ExpiredMessage
from territory.wire.rerouting import ORIGIN, REROUTED, Arrival
from territory.wire.topics import RECORDS, RELEASES
from territory_runtime.kafka.clients import LETTER_BYTES_MAX

PREFIX = "territory.error."
MESSAGE_CHARACTERS_MAX = 1_000
VALUE_BYTES_KEPT_MIN = 1_000
"""A value shorter than this is not cut: then it is the topic that takes no letter at all."""
BATCH_BYTES_MAX = 200 * 1024
"""Bytes of letters in one batch by `size_of`, which is never less than the producer's own count (256 KiB at most)."""
RECORD_OVERHEAD_BYTES = 48
HEADER_OVERHEAD_BYTES = 10


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a stage refused, and why.

    Attributes:
        topic: Where the message was.
        partition: Its partition there; the letter goes to the same partition of the dead letters.
        offset: Its offset there.
        key: The message's own; None if it has none.
        value: The message's own bytes, or their beginning where `cut_from` is set.
        headers: The message's own.
        stage: Who refused it.
        code: The kind of fault, one of a short list (docs/metrics.md).
        reason: One sentence with what was found and what was expected.
        cut_from: How many bytes the value had before it was cut to fit; None: it is whole.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    stage: str
    code: str
    reason: str
    cut_from: int | None = None

    @classmethod
    def of(cls, message: ConsumerRecord, stage: str, *, code: str, reason: str) -> DeadLetter:
        """Return the letter for a message as aiokafka's consumer returned it.

        A change that intake has sent to another partition is named by the place where it arrived first.
        """
        headers = tuple(message.headers)
        texts = {name: (value or b"").decode(errors="replace") for name, value in headers}
        origin = Arrival.read(texts) if message.topic == RELEASES.name and REROUTED in texts else None
        if origin is None:
            return cls(
                message.topic, message.partition, message.offset, message.key, message.value, headers,
                stage, code, reason,
            )  # fmt: skip
        return cls(
            RECORDS.name, origin.partition, origin.offset, message.key, message.value,
            tuple((name, value) for name, value in headers if name not in (REROUTED, ORIGIN)),
            stage, code, reason,
        )  # fmt: skip

    @classmethod
    def of_expired(cls, message: ExpiredMessage, stage: str) -> DeadLetter:
        """Return the letter for a message that a fold has kept, and given up."""
        return cls(
            message.topic, message.partition, message.offset, message.key.encode(), message.value, message.headers,
            stage, message.code, message.reason,
        )  # fmt: skip

    @property
    def sent_key(self) -> bytes | None:
        """The key to send: a broker accepts a message with neither key nor value, a client sends none."""
        return self.key if self.value is not None else self.key or b""

    def sent_headers(self) -> list[tuple[str, bytes]]:
        """Return the message's own headers, then ours; those of an earlier refusal are replaced."""
        ours = {
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "stage": self.stage,
            "code": self.code,
            "message": self.reason[:MESSAGE_CHARACTERS_MAX],
        }
        if self.cut_from is not None:
            ours["cut_from"] = str(self.cut_from)
        own = [(name, value) for name, value in self.headers if not name.startswith(PREFIX)]
        return own + [(f"{PREFIX}{name}", text.encode()) for name, text in ours.items()]


def size_of(letter: DeadLetter) -> int:
    """Return an upper bound of the bytes that a letter takes in a batch, uncompressed."""
    headers = sum(
        len(name.encode()) + len(value or b"") + HEADER_OVERHEAD_BYTES for name, value in letter.sent_headers()
    )
    return RECORD_OVERHEAD_BYTES + len(letter.key or b"") + len(letter.value or b"") + headers


def pack(letters: Iterable[DeadLetter]) -> list[tuple[DeadLetter, ...]]:
    """Return letters in groups of one partition each that fit into one batch.

    One that is larger than a batch is alone; one that is larger than any letter may be is cut.
    """
    groups: list[list[DeadLetter]] = []
    open_group: dict[int, tuple[list[DeadLetter], int]] = {}
    for letter in map(_cut_to_fit, letters):
        size = size_of(letter)
        group, filled = open_group.get(letter.partition, ([], BATCH_BYTES_MAX))
        if filled + size > BATCH_BYTES_MAX:
            group, filled = [], 0
            groups.append(group)
        group.append(letter)
        open_group[letter.partition] = group, filled + size
    return [tuple(group) for group in groups]


def _cut_to_fit(letter: DeadLetter) -> DeadLetter:
    while size_of(letter) > LETTER_BYTES_MAX and (smaller := shrink([letter])):
        [(letter,)] = smaller
    return letter


def shrink(group: Sequence[DeadLetter]) -> list[tuple[DeadLetter, ...]]:
    """Return a group that the topic refused as too large in smaller ones; a single letter is cut by half.

    Empty: the letter cannot be made smaller.
    """
    if len(group) > 1:
        middle = len(group) // 2
        return [tuple(group[:middle]), tuple(group[middle:])]
    letter = group[0]
    if letter.value is None or len(letter.value) < VALUE_BYTES_KEPT_MIN:
        return []
    whole = len(letter.value) if letter.cut_from is None else letter.cut_from
    return [(replace(letter, value=letter.value[: len(letter.value) // 2], cut_from=whole),)]
