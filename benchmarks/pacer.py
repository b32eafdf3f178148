"""Publishes prepared messages at a steady rate, in a process of its own, after SIGUSR1.

Each message has its own due time, whatever happens to those before it. When all are acknowledged, the due times are
in a file, as `Moment`s.

python -m benchmarks.pacer FILE FIRST COUNT TOPIC RATE SENT READY
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from benchmarks.publisher import Prepared, read_prepared, told_to
from territory_admin.errors import StackFailed
from territory_runtime.settings import Settings, read_settings

TICK_SECONDS = 0.005
"""Linger of Java producers since Kafka 4.0. It is part of the measured time."""
LATE_SECONDS_MAX = 2.0


class Moment(NamedTuple):
    """When a message of a partition was due, or arrived; a partition's messages are in their order."""

    partition: int
    at: float
    """Seconds since the epoch; the processes of one machine share one clock."""


def write_moments(path: Path, moments: Iterable[Moment]) -> None:
    """Write moments to a file."""
    path.write_text("".join(f"{partition}\t{at!r}\n" for partition, at in moments))


def read_moments(path: Path) -> list[Moment]:
    """Return the moments in a file."""
    pairs = (line.split("\t") for line in path.read_text().splitlines())
    return [Moment(int(partition), float(at)) for partition, at in pairs]


async def publish(settings: Settings, messages: list[Prepared], topic: str, rate: float, ready: Path) -> list[Moment]:
    """Wait for the signal, then publish everything at a rate a second; return when each was due.

    Messages due within `TICK_SECONDS` go in one batch for each partition at the end of that time, as from a Java
    producer that lingers as long. Time counts from when a message was due.
    """
    async with told_to(settings, topic, ready) as producer:
        began, began_at, due, acknowledged = time.monotonic(), time.time(), 0, []
        while due < len(messages):
            await asyncio.sleep(TICK_SECONDS)
            if time.monotonic() - began - due / rate > LATE_SECONDS_MAX:
                raise StackFailed(f"the publisher could not keep up with {rate:g} messages a second")
            first, due = due, min(len(messages), int((time.monotonic() - began) * rate))
            acknowledged += await _send(producer, topic, messages[first:due])
        await asyncio.gather(*acknowledged)
    return [Moment(partition, began_at + number / rate) for number, (partition, _, _) in enumerate(messages)]


async def _send(producer: AIOKafkaProducer, topic: str, messages: Iterable[Prepared]) -> list[Awaitable[Any]]:
    batches: dict[int, Any] = {}
    for partition, key, value in messages:
        batch = batches.get(partition) or batches.setdefault(partition, producer.create_batch())
        if batch.append(timestamp=None, key=key, value=value) is None:
            raise StackFailed("what is due in one tick does not fit into one batch")
    return [await producer.send_batch(batch, topic, partition=partition) for partition, batch in batches.items()]


if __name__ == "__main__":
    file, first, count, topic, rate, sent, ready = sys.argv[1:]
    chosen = list(islice(read_prepared(Path(file)), int(first), int(first) + int(count)))
    write_moments(Path(sent), asyncio.run(publish(read_settings(), chosen, topic, float(rate), Path(ready))))
