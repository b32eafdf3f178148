"""Refused messages: their bytes as they came, with the reason in headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import DEAD_LETTERS
from territory_runtime import metrics

PREFIX = "territory.error."
MESSAGE_CHARACTERS_MAX = 1_000
VALUE_BYTES_KEPT_MIN = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a stage refused, and why."""

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
    def of(cls, message: Any, stage: str, *, code: str, reason: str) -> DeadLetter:
        """Return the letter for a message as it was consumed."""
        return cls(
            message.topic, message.partition, message.offset, message.key, message.value, tuple(message.headers),
            stage, code, reason,
        )  # fmt: skip


async def bury(producer: AIOKafkaProducer, message: ConsumerRecord, stage: str, *, code: str, reason: str) -> None:
    """Write one refused message to the dead letters and await that it is there.

    A message that is too large for a letter is cut, and the letter says from how many bytes.

    Raises: KafkaError when it can't be written: the stream then waits, nothing is lost.
    """
    said = {
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
        "stage": stage,
        "code": code,
        "message": reason[:MESSAGE_CHARACTERS_MAX],
    }
    value = message.value
    # A broker takes a message with neither key nor value; clients send none.
    key = message.key if value is not None else message.key or b""
    while True:
        headers = [(name, text) for name, text in message.headers if not name.startswith(PREFIX)]
        headers += [(f"{PREFIX}{name}", text.encode()) for name, text in said.items()]
        try:
            await producer.send_and_wait(
                DEAD_LETTERS.name, value, key=key, partition=message.partition, headers=headers
            )
        except MessageSizeTooLargeError:
            if value is None or len(value) < VALUE_BYTES_KEPT_MIN:
                raise
            value = value[: len(value) // 2]
            said["cut_from"] = str(len(message.value))
        else:
            metrics.DEAD_LETTERS.labels(topic=message.topic, code=code).inc()
            return
