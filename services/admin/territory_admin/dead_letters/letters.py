"""Dead letters as data: refused messages with the reason, and receipts of those that were sent again.

A letter is identified by its place on territory.dead-letters.v1, `PARTITION/OFFSET`. Sending its message
again adds a receipt to the topic: a message without a value, with the letter's id in a header.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from territory.criteria.values import datetime_of
from territory.wire.topics import DEAD_LETTERS, RECORDS
from territory_admin.errors import NotFound
from territory_admin.log.kafka_session import KafkaSession
from territory_admin.log.topic_reader import partitions_of, read_on
from territory_runtime.kafka.dead_letters import PREFIX

ERROR = PREFIX
"""Prefix of the headers that give the reason why a message was refused; the services write them."""
RECEIPT = "territory.receipt."
"""Prefix of a receipt's headers: `letter`, the id of the letter whose message was sent again."""
REDRIVEN = "territory.redriven."
"""Prefix of headers on a message that was sent again: how many `times`, and its `offset` when it first came.

A refusal keeps a message's headers, so the next letter of the message has them, too.
"""
CUT_FROM = f"{ERROR}cut_from"
REPORT_EVERY = 1_000

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ID = re.compile(r"(\d{1,6})/(\d{1,18})")

OnLettersRead = Callable[[float, float], None]
"""Called with how many messages were read, and how many there are."""


class LetterId(NamedTuple):
    """The place of a letter on the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A refused message, without its bytes."""

    letter: str
    """Its id."""
    at: str
    """When it was refused, RFC 3339."""
    topic: str
    partition: int
    offset: int
    stage: str
    code: str
    reason: str
    key: str
    bytes: int | None
    """The size of its value, as far as it was kept; None for a message without a value."""
    cut_from: int | None
    """The size that its value had, if not all of it was kept."""
    sent_before: int
    """How often its message had been sent again before this refusal."""
    first_offset: int
    """The offset that its message had when it first came; messages are sent again in this order."""
    sent_again: tuple[str, ...] = ()
    """When its message was sent again since."""

    @property
    def id(self) -> LetterId:
        """Its place on the dead-letter topic."""
        return letter_id(self.letter)

    @property
    def blocked(self) -> str | None:
        """Why its message can never be sent again; None if it can."""
        if self.cut_from is not None:
            return f"only {self.bytes or 0} of its {self.cut_from} bytes were kept; have its source publish it again"
        if self.topic != RECORDS.name:
            # It would become the newest message of its key, however old it is, and compaction would drop newer ones.
            return f"{self.topic} is written by our own services alone; publish a newer version of the record instead"
        return None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """The letters that a request is about; None and empty fields match every letter."""

    ids: frozenset[LetterId] = frozenset()
    code: str | None = None
    topic: str | None = None
    stage: str | None = None
    since: datetime | None = None
    key: str | None = None
    """What the key begins with: an organisation, or a record."""

    def matches(self, letter: Letter) -> bool:
        """Whether the filter includes a letter."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.code in (None, letter.code)
            and self.topic in (None, letter.topic)
            and self.stage in (None, letter.stage)
            and (self.key is None or letter.key.startswith(self.key))
            and (self.since is None or letter.at >= _rfc3339(self.since))
        )


# --- input -----------------------------------------------------------------------------------


def letter_id(text: str) -> LetterId:
    """Parse the id of a letter. Raises: ValueError, with what was expected."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"found {text!r}, expected PARTITION/OFFSET such as 3/17, as `dead-letters list` has it")
    return LetterId(int(found[1]), int(found[2]))


def since_of(text: str, now: datetime) -> datetime:
    """Parse an instant: an age such as 30m, or RFC 3339. Raises: ValueError, with what was expected."""
    age = _AGE.fullmatch(text)
    try:
        instant = now - timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else datetime_of(text)
    except OverflowError:
        instant = None
    if instant is None:
        raise ValueError(
            f"found {text!r}, expected an age such as 90s, 30m, 12h or 7d, a day, or an instant (RFC 3339)"
        )
    return instant


# --- reading ---------------------------------------------------------------------------------


async def find_letters(kafka: KafkaSession, wanted: LetterFilter, report: OnLettersRead) -> list[Letter]:
    """Return the letters that a filter includes, the oldest first. Memory: all of them, without their bytes.

    Raises: NotFound before the services first ran; KafkaError.
    """
    partitions = partitions_of(DEAD_LETTERS, await kafka.existing_partitions())
    found: list[Letter] = []
    receipts: dict[str, list[str]] = defaultdict(list)
    read = 0

    def take(message: ConsumerRecord) -> None:
        nonlocal read
        read += 1
        if read % REPORT_EVERY == 0:
            report(read, read)
        headers = headers_of(message)
        receipt = headers.get(f"{RECEIPT}letter")
        if receipt is not None:
            receipts[receipt].append(_rfc3339(_timestamp(message)))
            return
        letter = letter_of(message, headers)
        if letter is not None and wanted.matches(letter):
            found.append(letter)

    await read_on(await kafka.consumer(), dict.fromkeys(partitions, 0), take)
    letters = [_with_receipts(letter, receipts) for letter in found]
    return sorted(letters, key=lambda letter: (letter.at, letter.id))


def _with_receipts(letter: Letter, receipts: Mapping[str, list[str]]) -> Letter:
    sent_again = receipts.get(letter.letter)
    return letter if sent_again is None else replace(letter, sent_again=tuple(sent_again))


async def named_letters(kafka: KafkaSession, ids: frozenset[LetterId], report: OnLettersRead) -> list[Letter]:
    """Return letters by their ids, the oldest first. Raises: NotFound naming the ids without a letter; KafkaError."""
    letters = await find_letters(kafka, LetterFilter(ids), report)
    missing = sorted(ids - {letter.id for letter in letters})
    if missing:
        raise NotFound(
            f"there is no dead letter {', '.join(map(str, missing))}; "
            f"`dead-letters list` shows those there are, each for {DEAD_LETTERS.retention_days} days"
        )
    return letters


# --- messages --------------------------------------------------------------------------------


def headers_of(message: ConsumerRecord) -> dict[str, str]:
    """Return a message's headers as text; of several with one name, the last."""
    return {name: (value or b"").decode(errors="replace") for name, value in message.headers or ()}


def letter_of(message: ConsumerRecord, headers: Mapping[str, str]) -> Letter | None:
    """Return the letter in a message of the dead-letter topic; None if another writer sent the message."""
    try:
        offset = int(headers[f"{ERROR}offset"])
        return Letter(
            letter=str(LetterId(message.partition, message.offset)),
            at=_rfc3339(_timestamp(message)),
            topic=headers[f"{ERROR}topic"],
            partition=int(headers[f"{ERROR}partition"]),
            offset=offset,
            stage=headers[f"{ERROR}stage"],
            code=headers[f"{ERROR}code"],
            reason=headers[f"{ERROR}message"],
            key=(message.key or b"").decode(errors="replace"),
            bytes=None if message.value is None else len(message.value),
            cut_from=int(headers[CUT_FROM]) if CUT_FROM in headers else None,
            sent_before=_count(headers.get(f"{REDRIVEN}times"), 0),
            first_offset=_count(headers.get(f"{REDRIVEN}offset"), offset),
        )
    except (KeyError, ValueError):
        return None


def _count(text: str | None, default: int) -> int:
    """Return the number in a header, which an upstream may have set to anything."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else default


def _timestamp(message: ConsumerRecord) -> datetime:
    return datetime.fromtimestamp(message.timestamp / 1000, UTC)


def _rfc3339(instant: datetime) -> str:
    # All texts have one length and are in UTC, so their order is that of the instants.
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
