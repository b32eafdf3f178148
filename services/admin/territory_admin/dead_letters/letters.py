"""Refused messages as they stand on the dead letters: which, why, and whether they were sent again.

A letter is known by its place, `PARTITION/OFFSET` on territory.dead-letters.v1. Whoever sends its
message again leaves a receipt behind it: no value, and the letter's place in a header.
"""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.criteria.values import datetime_of
from territory.errors import BadMessage
from territory.wire.codec import JSON, decode
from territory.wire.topics import DEAD_LETTERS, RECORDS
from territory_admin.errors import NotFound
from territory_admin.log.topic_reader import existing_partitions, partitions_of, read_messages
from territory_runtime.kafka.dead_letters import PREFIX
from territory_runtime.settings import Settings

RECEIPT = "territory.receipt."
"""Headers of a receipt: `letter`, the place of the letter whose message was sent again."""
REDRIVEN = "territory.redriven."
"""Headers of a message that was sent again: how many `times`, and its `offset` when it came first.

A letter of such a message bears them, too: a refusal leaves the headers of a message as they are.
"""
CUT_FROM = f"{PREFIX}cut_from"
REPORT_EVERY = 1_000

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PLACE = re.compile(r"(\d{1,6})/(\d{1,18})")

Report = Callable[[float, float], None]
"""Called with how many messages were read, and how many there are."""


class Place(NamedTuple):
    """Where a letter stands on the dead letters."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A refused message, but for its bytes."""

    letter: str
    """Its place."""
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
    """Of its value, as far as it was kept; None for a message without one."""
    cut_from: int | None
    """How many bytes its value had, where not all were kept."""
    sent_before: int
    """How often its message had been sent again when it was refused this time."""
    first_offset: int
    """Where the message stood when it came first: what is sent again goes in this order."""
    sent_again: tuple[str, ...] = ()
    """When its message was sent again since."""

    @property
    def place(self) -> Place:
        """Where it stands on the dead letters."""
        return place_of(self.letter)

    @property
    def blocked(self) -> str | None:
        """Why its message can't be sent again by anyone; None when it can."""
        if self.cut_from is not None:
            return f"only {self.bytes or 0} of its {self.cut_from} bytes were kept; have its source publish it again"
        if self.topic != RECORDS.name:
            # It would be the last word on its key, however old: compaction would drop newer ones.
            return f"{self.topic} is written by our own services alone; publish a newer version of the record instead"
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; what is None or empty is not asked for."""

    places: frozenset[Place] = frozenset()
    code: str | None = None
    topic: str | None = None
    stage: str | None = None
    since: datetime | None = None
    key: str | None = None
    """What the key begins with: an organisation, or a record."""

    def holds(self, letter: Letter) -> bool:
        """Whether a letter is one of them."""
        return (
            (not self.places or letter.place in self.places)
            and self.code in (None, letter.code)
            and self.topic in (None, letter.topic)
            and self.stage in (None, letter.stage)
            and (self.key is None or letter.key.startswith(self.key))
            and (self.since is None or letter.at >= _said(self.since))
        )


@dataclass(frozen=True, slots=True)
class LetterCount:
    """How many letters of one code there are."""

    code: str
    letters: int
    sent_again: int


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters that were asked for, the oldest first."""

    total: int
    codes: tuple[LetterCount, ...]
    """The most frequent first."""
    letters: tuple[Letter, ...]
    """The newest of them, as many as were asked for."""


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """One letter with its message."""

    letter: Letter
    blocked: str | None
    headers: tuple[tuple[str, str], ...]
    """The message's own."""
    value: JSON
    """What the bytes say, where they are JSON."""
    not_json: str | None
    """Why not, where they are none."""
    base64: str | None
    """The bytes; None for a message without a value."""


# --- what people write -----------------------------------------------------------------------


def place_of(text: str) -> Place:
    """Return the place that a text names. Raises: ValueError saying what was expected."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"found {text!r}, expected PARTITION/OFFSET such as 3/17, as `dead-letters list` has it")
    return Place(int(found[1]), int(found[2]))


def since_of(text: str, now: datetime) -> datetime:
    """Return the instant that a text names: an age such as 30m, or RFC 3339. Raises: ValueError."""
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


async def find_letters(settings: Settings, wanted: Wanted, report: Report) -> list[Letter]:
    """Return the letters that are wanted, the oldest first; memory: all of them, without their bytes.

    Raises: NotFound when nothing ran there yet; KafkaError.
    """
    places = partitions_of(DEAD_LETTERS, await existing_partitions(settings))
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
            receipts[receipt].append(_said(_instant(message)))
            return
        letter = letter_of(message, headers)
        if letter is not None and wanted.holds(letter):
            found.append(letter)

    await read_messages(settings, dict.fromkeys(places, 0), take)
    letters = [_with_receipts(letter, receipts) for letter in found]
    return sorted(letters, key=lambda letter: (letter.at, letter.place))


def _with_receipts(letter: Letter, receipts: Mapping[str, list[str]]) -> Letter:
    again = receipts.get(letter.letter)
    return letter if again is None else replace(letter, sent_again=tuple(again))


async def list_letters(settings: Settings, wanted: Wanted, limit: int, report: Report, *, unsent: bool) -> Letters:
    """Return the newest of the letters that are wanted, and how many there are by code.

    Args:
        settings: Where the broker is.
        wanted: Which are meant.
        limit: How many are listed; all are counted.
        report: Is told how far it is.
        unsent: Only those whose message was not sent again.

    Raises: NotFound, KafkaError.
    """
    found = [letter for letter in await find_letters(settings, wanted, report) if not (unsent and letter.sent_again)]
    total = Counter(letter.code for letter in found)
    again = Counter(letter.code for letter in found if letter.sent_again)
    codes = tuple(LetterCount(code, count, again[code]) for code, count in total.most_common())
    return Letters(len(found), codes, tuple(found[max(0, len(found) - limit) :]))


async def show_letter(settings: Settings, place: Place) -> tuple[ShownLetter, bytes | None]:
    """Return one letter, and the bytes of its message as far as they were kept. Raises: NotFound, KafkaError."""
    [letter] = await named_letters(settings, frozenset((place,)), lambda *_: None)
    messages: list[ConsumerRecord] = []
    where = TopicPartition(DEAD_LETTERS.name, place.partition)
    await read_messages(settings, {where: place.offset}, messages.append, {where: place.offset + 1})
    return shown_letter(letter, messages[0]), messages[0].value


async def named_letters(settings: Settings, places: frozenset[Place], report: Report) -> list[Letter]:
    """Return the letters at some places, the oldest first. Raises: NotFound naming those that are none; KafkaError."""
    letters = await find_letters(settings, Wanted(places), report)
    missing = sorted(places - {letter.place for letter in letters})
    if missing:
        raise NotFound(
            f"no dead letter stands at {', '.join(map(str, missing))}; "
            f"`dead-letters list` has those that do, each for {DEAD_LETTERS.retention_days} days"
        )
    return letters


# --- messages --------------------------------------------------------------------------------


def headers_of(message: ConsumerRecord) -> dict[str, str]:
    """Return a message's headers as texts; of several with one name the last."""
    return {name: (value or b"").decode(errors="replace") for name, value in message.headers or ()}


def letter_of(message: ConsumerRecord, headers: Mapping[str, str]) -> Letter | None:
    """Return the letter that a message of the dead letters is; None when it is none of ours."""
    try:
        offset = int(headers[f"{PREFIX}offset"])
        return Letter(
            letter=str(Place(message.partition, message.offset)),
            at=_said(_instant(message)),
            topic=headers[f"{PREFIX}topic"],
            partition=int(headers[f"{PREFIX}partition"]),
            offset=offset,
            stage=headers[f"{PREFIX}stage"],
            code=headers[f"{PREFIX}code"],
            reason=headers[f"{PREFIX}message"],
            key=(message.key or b"").decode(errors="replace"),
            bytes=None if message.value is None else len(message.value),
            cut_from=int(headers[CUT_FROM]) if CUT_FROM in headers else None,
            sent_before=_count(headers.get(f"{REDRIVEN}times"), 0),
            first_offset=_count(headers.get(f"{REDRIVEN}offset"), offset),
        )
    except (KeyError, ValueError):  # anybody may write to the topic
        return None


def _count(text: str | None, otherwise: int) -> int:
    """Return a number that stands in a header which an upstream may have set itself."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def shown_letter(letter: Letter, message: ConsumerRecord) -> ShownLetter:
    """Return a letter with what its message says."""
    value, not_json = None, None
    if message.value is None:
        not_json = "the message has no value"
    else:
        try:
            value = decode(message.value)
        except BadMessage as bad:
            not_json = str(bad)
    own = tuple((name, text) for name, text in headers_of(message).items() if not name.startswith(PREFIX))
    raw = None if message.value is None else base64.b64encode(message.value).decode()
    return ShownLetter(letter, letter.blocked, own, value, not_json, raw)


def _instant(message: ConsumerRecord) -> datetime:
    return datetime.fromtimestamp(message.timestamp / 1000, UTC)


def _said(instant: datetime) -> str:
    # All of one length, in UTC: texts in order are instants in order.
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
