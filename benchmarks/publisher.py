"""Publishes a file of prepared messages as fast as it can, in a process of its own, after SIGUSR1.

python -m benchmarks.publisher FILE TOPIC READY
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from territory.wire.codec import encode
from territory.wire.keys import record_key, upstream_partition_of
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings, read_settings

Prepared = tuple[int, bytes, bytes]
"""Partition, key and value."""


def prepare(path: Path, changes: Iterable[Mapping[str, Any]], partitions: int) -> int:
    """Write changes to a file as messages in their order; return the average size of a message in bytes."""
    count = size = 0
    with path.open("wb") as file:
        for change in changes:
            key = record_key(change["org_id"], change["object"], change["id"])
            value = encode(change)
            file.write(b"%d\t%s\t%s\n" % (upstream_partition_of(key, partitions), key.encode(), value))
            count, size = count + 1, size + len(value)
    return size // max(1, count)


def read_prepared(path: Path) -> Iterator[Prepared]:
    """Yield the messages of a file."""
    with path.open("rb") as file:
        for line in file:
            partition, key, value = line.rstrip(b"\n").split(b"\t", 2)
            yield int(partition), key, value


@asynccontextmanager
async def told_to(settings: Settings, topic: str, ready: Path) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer that knows the topic, once SIGUSR1 has arrived."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    producer = clients.producer(settings)
    await producer.start()
    try:
        await producer.partitions_for(topic)
        await asyncio.to_thread(ready.touch)
        await told.wait()
        yield producer
    finally:
        await producer.stop()


async def publish(settings: Settings, path: Path, topic: str, ready: Path) -> None:
    """Wait for the signal, then publish everything and wait for the acknowledgements."""
    messages = list(read_prepared(path))
    async with told_to(settings, topic, ready) as producer:
        batches: dict[int, Any] = {}
        acknowledged = []
        for partition, key, value in messages:
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value) is None:
                acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        for partition, batch in batches.items():
            acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acknowledged)


if __name__ == "__main__":
    file, topic, ready = sys.argv[1:]
    asyncio.run(publish(read_settings(), Path(file), topic, Path(ready)))
