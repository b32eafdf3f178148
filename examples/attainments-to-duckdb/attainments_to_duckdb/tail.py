"""Consumes the topic from the offsets stored in the tables."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from attainments_to_duckdb.attainments import Attainments, Message

TOPIC = "territory.attainments.v1"
BATCH_MESSAGES = 5_000
POLL_MS = 500


async def tail(attainments: Attainments, bootstrap_servers: str, *, once: bool, topic: str = TOPIC) -> None:
    """Copy the topic to the tables, until cancelled or, with `once`, up to its current end.

    Offsets are stored in the tables with the rows; none are committed to Kafka.
    Raises: LookupError if the topic does not exist; aiokafka.errors.KafkaError.
    """
    partitions = await partitions_of(topic, bootstrap_servers)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        consumer.assign(partitions)
        read = attainments.progress()
        await consumer.seek_to_beginning(*partitions)
        for where in partitions:
            if where.partition in read:
                consumer.seek(where, read[where.partition])
        ends = await consumer.end_offsets(partitions)
        while not once or any([await consumer.position(where) < ends[where] for where in partitions]):
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_MESSAGES)
            messages = [
                Message(where.partition, each.offset, each.key, each.value, each.timestamp)
                for where, batch in found.items()
                for each in batch
            ]
            if messages:
                attainments.put(messages)
    finally:
        await consumer.stop()


async def partitions_of(topic: str, bootstrap_servers: str) -> list[TopicPartition]:
    """Return a topic's partitions. Lists all topics: some brokers create a topic that is asked for by name.

    Raises: LookupError; aiokafka.errors.KafkaError.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        for found in await admin.describe_topics():
            if found["topic"] == topic:
                return [TopicPartition(topic, each["partition"]) for each in found["partitions"]]
    finally:
        await admin.close()
    raise LookupError(f"there is no topic {topic}: start the services first")
