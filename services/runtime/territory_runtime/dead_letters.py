"""Refused messages: their bytes as they came, with the reason in headers."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from territory.topics import DEAD_LETTERS
from territory_runtime import metrics

PREFIX = "territory.error."
MESSAGE_CHARACTERS_MAX = 1_000


async def bury(producer: AIOKafkaProducer, message: ConsumerRecord, *, stage: str, code: str, reason: str) -> None:
    """Write one refused message to the dead letters and await that it is there.

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
    headers = [(name, value) for name, value in message.headers if not name.startswith(PREFIX)]
    headers += [(f"{PREFIX}{name}", text.encode()) for name, text in said.items()]
    await producer.send_and_wait(
        DEAD_LETTERS.name, message.value, key=message.key, partition=message.partition, headers=headers
    )
    metrics.DEAD_LETTERS.labels(topic=message.topic, code=code).inc()
