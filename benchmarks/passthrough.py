"""The baseline: a worker that reads messages, decodes and encodes their JSON, and passes them on.

This is the least that any worker on aiokafka does, with our clients, batch sizes and guarantees (acknowledged by all
replicas before the commit).

python -m benchmarks.passthrough READY
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import Topic
from territory_admin.records.wait import StageGroup
from territory_runtime.kafka import clients
from territory_runtime.kafka.embedded_broker_workaround import pause_after_empty_fetches
from territory_runtime.settings import Settings, read_settings

INPUT = Topic("benchmark.records.v1", "delete", None, None, False, "What the baseline reads.")
OUTPUT = Topic("benchmark.passed.v1", "delete", None, None, False, "What the baseline writes.")
STAGE = StageGroup("benchmark-passthrough", (INPUT,), sweeps=False)


class _Ready(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, ready: Path) -> None:
        self._ready = ready

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await asyncio.to_thread(self._ready.touch)


async def run(settings: Settings, ready: Path) -> None:
    """Pass messages on until a signal ends it."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    consumer = clients.group_consumer(settings, STAGE.name)
    producer = clients.producer(settings)
    await producer.start()
    await consumer.start()
    consumer.subscribe([INPUT.name], listener=_Ready(ready))
    try:
        while not stopping.is_set():
            found = await consumer.getmany(timeout_ms=200, max_records=settings.batch_records_max)
            if found:
                await asyncio.gather(*(_pass_on(producer, where, messages) for where, messages in found.items()))
                await consumer.commit({where: messages[-1].offset + 1 for where, messages in found.items()})
    finally:
        await consumer.stop()
        await producer.stop()


async def _pass_on(producer: AIOKafkaProducer, where: TopicPartition, messages: list[ConsumerRecord]) -> None:
    batch: Any = producer.create_batch()
    acknowledged = []
    for message in messages:
        value = msgspec.json.encode(msgspec.json.decode(message.value))
        if batch.append(timestamp=None, key=message.key, value=value) is None:
            acknowledged.append(await producer.send_batch(batch, OUTPUT.name, partition=where.partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=message.key, value=value)
    acknowledged.append(await producer.send_batch(batch, OUTPUT.name, partition=where.partition))
    for future in acknowledged:
        await future


if __name__ == "__main__":
    given = read_settings()
    pause_after_empty_fetches(given.kafka_fetch_pause_seconds)
    asyncio.run(run(given, Path(sys.argv[1])))
