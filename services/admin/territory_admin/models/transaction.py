"""Writes the model topic: one writer of an organisation at a time, each in one Kafka transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from territory.stage import Message
from territory_admin.errors import Refused
from territory_admin.log.kafka_session import KafkaSession
from territory_admin.log.topic_reader import started
from territory_admin.models.topic import ModelTopicReader
from territory_runtime.kafka import clients


@asynccontextmanager
async def sole_writer(kafka: KafkaSession, topic: ModelTopicReader, org_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yield the producer of an organisation's models; the topic is read to its end.

    Starting it fences every apply and removal of the organisation that began earlier: none of them can commit any
    more, and what they committed is read.

    Raises: NotReached when another transaction on the model topic does not end; KafkaError.
    """
    producer = clients.producer(kafka.settings, transactional_id=f"territory-apply-{org_id}")
    async with started(producer):
        await topic.read_whole()
        yield producer


async def commit(producer: AIOKafkaProducer, messages: Sequence[Message], overtaken: str) -> None:
    """Publish messages in one transaction. Raises: Refused, with a reason, when a later writer began; KafkaError."""
    from territory_runtime.kafka.producer import BatchProducer  # noqa: PLC0415 -- it imports Redis clients

    try:
        async with producer.transaction():
            await BatchProducer(producer, 1).send(messages)
    except (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch) as fenced:
        raise Refused(overtaken) from fenced
