"""Refused messages sent again: to where they came from, as they came, through the same checks.

A message is sent, then its receipt. A crash in between leaves no receipt, and the message may
be sent once more. That is harmless: the services drop a version that they have taken. So the
same change is never applied twice, with receipts or without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import DEAD_LETTERS
from territory_admin.dead_letters.letters import (
    RECEIPT,
    REDRIVEN,
    Letter,
    Place,
    Report,
    Wanted,
    find_letters,
    named_letters,
)
from territory_admin.errors import Refused
from territory_admin.log.topic_reader import existing_partitions, read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import PREFIX
from territory_runtime.settings import Settings

CHUNK_LETTERS = 500
CHUNK_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Skipped:
    """A letter whose message was not sent, and why."""

    letter: str
    why: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of the letters that were asked for, by their places."""

    sent: tuple[str, ...]
    skipped: tuple[Skipped, ...]


async def redrive(settings: Settings, wanted: Wanted, report: Report, *, again: bool) -> Redriven:
    """Send the messages of letters again: to the topic, partition and key that they came with, in their first order.

    Not sent are those that were sent already, unless `again`; those that were cut; and those of
    topics that our own services write, where an old state would become the last word.

    Raises: NotFound when a letter that was named is not there, and nothing is sent; Refused when
    the broker goes away in between; KafkaError.
    """
    letters = (
        await named_letters(settings, wanted.places, report)
        if wanted.places
        else await find_letters(settings, wanted, report)
    )
    partitions = await existing_partitions(settings)
    chosen: list[Letter] = []
    skipped: list[Skipped] = []
    for letter in letters:
        why = _hindrance(letter, partitions, again=again)
        if why is None:
            chosen.append(letter)
        else:
            skipped.append(Skipped(letter.letter, why))
    # By the first place, not by that of the letter: a patch must not overtake an older one of its record.
    chosen.sort(key=lambda letter: (letter.partition, letter.first_offset, letter.offset))
    sent: list[str] = []
    async with aclosing(_Outbox(settings)) as outbox:
        for chunk in _chunks(chosen):
            messages = await _messages(settings, chunk)
            for letter in chunk:
                message = messages.get(letter.place)
                try:
                    why = "is not kept any longer" if message is None else await _send(outbox, letter, message)
                except (KafkaError, ConnectionError) as fault:
                    raise Refused(
                        f"the broker took {len(sent)} of {len(chosen)} messages and then failed "
                        f"({type(fault).__name__}: {fault}); redrive once more: those with a receipt are passed over"
                    ) from fault
                if why is None:
                    sent.append(letter.letter)
                else:
                    skipped.append(Skipped(letter.letter, why))
            report(len(sent), len(chosen))
    return Redriven(tuple(sent), tuple(skipped))


def _hindrance(letter: Letter, partitions: int, *, again: bool) -> str | None:
    if letter.blocked is not None:
        return letter.blocked
    if letter.partition >= partitions:
        return f"{letter.topic} has no partition {letter.partition} any more; publish the change again"
    if letter.sent_again and not again:
        return f"was sent again at {letter.sent_again[-1]}; --again sends it once more"
    return None


def _chunks(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    chunk: list[Letter] = []
    size = 0
    for letter in letters:
        if chunk and (len(chunk) == CHUNK_LETTERS or size + (letter.bytes or 0) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(letter)
        size += letter.bytes or 0
    if chunk:
        yield chunk


class _Outbox:
    """Sends one message at a time, and after one that was refused by another producer.

    What was refused has used a number of the idempotent producer's, and the broker takes none after a gap.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = AsyncExitStack()
        self._producer: AIOKafkaProducer | None = None

    async def send(self, topic: str, value: bytes | None, **where: Any) -> None:
        """Return when a message is acknowledged. Raises: KafkaError, ConnectionError."""
        if self._producer is None:
            self._producer = clients.producer(self._settings)
            await self._started.enter_async_context(started(self._producer))
        try:
            await self._producer.send_and_wait(topic, value, **where)
        except KafkaError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Disconnect, until another message is sent."""
        self._producer = None
        await self._started.aclose()


async def _send(outbox: _Outbox, letter: Letter, message: ConsumerRecord) -> str | None:
    """Send the message of a letter and then its receipt; return why its topic does not take it, None when it does."""
    # One at a time: of those that share a batch with one that is too large none would be taken.
    try:
        await outbox.send(
            letter.topic, message.value, key=message.key, partition=letter.partition, headers=_headers(letter, message)
        )
    except MessageSizeTooLargeError:
        return f"{letter.topic} does not take so large a message any more; publish a smaller one"
    receipt = [(f"{RECEIPT}letter", letter.letter.encode())]
    await outbox.send(DEAD_LETTERS.name, None, key=message.key or b"", partition=message.partition, headers=receipt)
    return None


async def _messages(settings: Settings, letters: Sequence[Letter]) -> dict[Place, ConsumerRecord]:
    wanted = {letter.place for letter in letters}
    offsets: dict[TopicPartition, list[int]] = {}
    for place in wanted:
        offsets.setdefault(TopicPartition(DEAD_LETTERS.name, place.partition), []).append(place.offset)
    found: dict[Place, ConsumerRecord] = {}

    def take(message: ConsumerRecord) -> None:
        place = Place(message.partition, message.offset)
        if place in wanted:
            found[place] = message

    await read_messages(
        settings,
        {where: min(some) for where, some in offsets.items()},
        take,
        {where: max(some) + 1 for where, some in offsets.items()},
    )
    return found


def _headers(letter: Letter, message: ConsumerRecord) -> list[tuple[str, bytes]]:
    """Return the message's own headers, with how often it is sent again now and where it stood first."""
    own = [(name, value) for name, value in message.headers if not name.startswith((PREFIX, REDRIVEN))]
    return [
        *own,
        (f"{REDRIVEN}times", str(letter.sent_before + 1).encode()),
        (f"{REDRIVEN}offset", str(letter.first_offset).encode()),
    ]
