"""Sends refused messages again: to the topic, partition and key that they had, through the same checks.

A message is sent before its receipt. After a crash in between, the message may be sent once more. That is
harmless, because the services drop a version that they have already: no change is ever applied twice.
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
    ERROR,
    RECEIPT,
    REDRIVEN,
    Letter,
    LetterFilter,
    LetterId,
    OnLettersRead,
    find_letters,
    named_letters,
)
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import KafkaSession, kafka_session
from territory_admin.log.topic_reader import read_on, started
from territory_runtime.kafka import clients
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
    """The ids of the letters whose messages were sent, and the letters that were skipped."""

    sent: tuple[str, ...]
    skipped: tuple[Skipped, ...]


async def redrive(settings: Settings, wanted: LetterFilter, report: OnLettersRead, *, again: bool) -> Redriven:
    """Send the messages of letters again, each partition in the order in which its messages first came.

    Skipped are letters that were sent already, cut messages, and messages of topics that our own services
    write, where an old state would replace a newer one.

    Args:
        settings: The brokers.
        wanted: The letters to send.
        report: Called with how many messages were read or sent, and how many there are.
        again: Whether to send letters that were sent already.

    Raises: NotFound when a named letter does not exist, and nothing is sent; Refused when the broker fails in
        between; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        letters = (
            await named_letters(kafka, wanted.ids, report) if wanted.ids else await find_letters(kafka, wanted, report)
        )
        partitions = await kafka.existing_partitions()
        chosen: list[Letter] = []
        skipped: list[Skipped] = []
        for letter in letters:
            why = _why_skipped(letter, partitions, again=again)
            if why is None:
                chosen.append(letter)
            else:
                skipped.append(Skipped(letter.letter, why))
        # By the first offset, not by the letter's: a patch must not overtake an older patch of its record.
        chosen.sort(key=lambda letter: (letter.partition, letter.first_offset, letter.offset))
        return await _redrive(kafka, chosen, skipped, report)


async def _redrive(
    kafka: KafkaSession, chosen: Sequence[Letter], skipped: list[Skipped], report: OnLettersRead
) -> Redriven:
    sent: list[str] = []
    async with aclosing(_RedriveProducer(kafka.settings)) as producer:
        for chunk in _chunks(chosen):
            messages = await _read_messages(kafka, chunk)
            for letter in chunk:
                message = messages.get(letter.id)
                try:
                    why = "is not kept any longer" if message is None else await _send(producer, letter, message)
                except (KafkaError, ConnectionError) as fault:
                    raise Refused(
                        f"the broker took {len(sent)} of {len(chosen)} messages and then failed "
                        f"({type(fault).__name__}: {fault}); redrive once more: letters with a receipt are skipped"
                    ) from fault
                if why is None:
                    sent.append(letter.letter)
                else:
                    skipped.append(Skipped(letter.letter, why))
            report(len(sent), len(chosen))
    return Redriven(tuple(sent), tuple(skipped))


def _why_skipped(letter: Letter, partitions: int, *, again: bool) -> str | None:
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


class _RedriveProducer:
    """A producer that sends one message at a time, and is replaced after a refused message.

    A refused message has used a sequence number of the idempotent producer, and the broker refuses every
    message after the gap.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = AsyncExitStack()
        self._producer: AIOKafkaProducer | None = None

    async def send(self, topic: str, value: bytes | None, **where: Any) -> None:
        """Send a message and await its acknowledgement. Raises: KafkaError, ConnectionError."""
        if self._producer is None:
            self._producer = clients.producer(self._settings)
            await self._started.enter_async_context(started(self._producer))
        try:
            await self._producer.send_and_wait(topic, value, **where)
        except KafkaError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Disconnect; the next send connects again."""
        self._producer = None
        await self._started.aclose()


async def _send(producer: _RedriveProducer, letter: Letter, message: ConsumerRecord) -> str | None:
    """Send a letter's message, then its receipt; return why its topic refuses the message, None if it does not."""
    # One message at a time: a message that is too large would take its whole batch with it.
    try:
        await producer.send(
            letter.topic, message.value, key=message.key, partition=letter.partition, headers=_headers(letter, message)
        )
    except MessageSizeTooLargeError:
        return f"{letter.topic} does not take so large a message any more; publish a smaller one"
    receipt = [(f"{RECEIPT}letter", letter.letter.encode())]
    await producer.send(DEAD_LETTERS.name, None, key=message.key or b"", partition=message.partition, headers=receipt)
    return None


async def _read_messages(kafka: KafkaSession, letters: Sequence[Letter]) -> dict[LetterId, ConsumerRecord]:
    wanted = {letter.id for letter in letters}
    offsets: dict[TopicPartition, list[int]] = {}
    for each in wanted:
        offsets.setdefault(TopicPartition(DEAD_LETTERS.name, each.partition), []).append(each.offset)
    found: dict[LetterId, ConsumerRecord] = {}

    def take(message: ConsumerRecord) -> None:
        letter_id = LetterId(message.partition, message.offset)
        if letter_id in wanted:
            found[letter_id] = message

    await read_on(
        await kafka.consumer(),
        {where: min(some) for where, some in offsets.items()},
        take,
        {where: max(some) + 1 for where, some in offsets.items()},
    )
    return found


def _headers(letter: Letter, message: ConsumerRecord) -> list[tuple[str, bytes]]:
    """Return the message's own headers, its number of repeats with this one, and its first offset."""
    own = [(name, value) for name, value in message.headers if not name.startswith((ERROR, REDRIVEN))]
    return [
        *own,
        (f"{REDRIVEN}times", str(letter.sent_before + 1).encode()),
        (f"{REDRIVEN}offset", str(letter.first_offset).encode()),
    ]
