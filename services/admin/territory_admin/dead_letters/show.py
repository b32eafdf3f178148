"""Shows one dead letter with the message that was refused."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.wire.codec import JSON, decode
from territory.wire.topics import DEAD_LETTERS
from territory_admin.dead_letters.letters import ERROR, Letter, LetterId, headers_of, named_letters
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.topic_reader import read_on
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A letter with its message."""

    letter: Letter
    blocked: str | None
    headers: tuple[tuple[str, str], ...]
    """The message's own headers."""
    value: JSON
    """The decoded value, if it is JSON."""
    not_json: str | None
    """Why the value could not be decoded."""
    base64: str | None
    """The bytes of the value; None for a message without one."""


async def show_letter(settings: Settings, letter_id: LetterId) -> tuple[ShownLetter, bytes | None]:
    """Return a letter, and the bytes of its message as far as they were kept.

    Args:
        settings: The brokers.
        letter_id: The letter.

    Raises: NotFound; KafkaError.
    """
    messages: list[ConsumerRecord] = []
    where = TopicPartition(DEAD_LETTERS.name, letter_id.partition)
    async with kafka_session(settings) as kafka:
        [letter] = await named_letters(kafka, frozenset((letter_id,)), lambda *_: None)
        starts, ends = {where: letter_id.offset}, {where: letter_id.offset + 1}
        await read_on(await kafka.consumer(), starts, messages.append, ends)
    return shown_letter(letter, messages[0]), messages[0].value


def shown_letter(letter: Letter, message: ConsumerRecord) -> ShownLetter:
    """Return a letter with the decoded content of its message."""
    value, not_json = None, None
    if message.value is None:
        not_json = "the message has no value"
    else:
        try:
            value = decode(message.value)
        except BadMessage as bad:
            not_json = str(bad)
    own = tuple((name, text) for name, text in headers_of(message).items() if not name.startswith(ERROR))
    raw = None if message.value is None else base64.b64encode(message.value).decode()
    return ShownLetter(letter, letter.blocked, own, value, not_json, raw)
