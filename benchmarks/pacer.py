"""Publishes prepared messages at a steady rate, in a process of its own, when told to (SIGUSR1).

Each message has its own time, whatever became of those before it. When all are acknowledged, the
times at which they were given to the producer are in a file, as `Moment`s.

python -m benchmarks.pacer FILE FIRST COUNT TOPIC RATE SENT READY
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.publisher import Prepared, read_prepared, told_to
from territory_runtime.settings import Settings, read_settings


class Moment(NamedTuple):
    """When a message of a partition was sent, or came; the next of that partition is the next of the file."""

    partition: int
    at: float
    """Seconds since the epoch: processes of one machine have one clock."""


def write_moments(path: Path, moments: Iterable[Moment]) -> None:
    """Write moments to a file."""
    path.write_text("".join(f"{partition}\t{at!r}\n" for partition, at in moments))


def read_moments(path: Path) -> list[Moment]:
    """Return the moments in a file."""
    pairs = (line.split("\t") for line in path.read_text().splitlines())
    return [Moment(int(partition), float(at)) for partition, at in pairs]


async def publish(settings: Settings, messages: list[Prepared], topic: str, rate: float, ready: Path) -> list[Moment]:
    """Wait to be told, then publish everything at a rate a second; return when each was sent."""
    async with told_to(settings, topic, ready) as producer:
        began, sent, acknowledged = time.monotonic(), [], []
        for number, (partition, key, value) in enumerate(messages):
            early = began + number / rate - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            sent.append(Moment(partition, time.time()))
            acknowledged.append(await producer.send(topic, value, key=key, partition=partition))
        await asyncio.gather(*acknowledged)
    return sent


if __name__ == "__main__":
    file, first, count, topic, rate, sent, ready = sys.argv[1:]
    chosen = list(islice(read_prepared(Path(file)), int(first), int(first) + int(count)))
    write_moments(Path(sent), asyncio.run(publish(read_settings(), chosen, topic, float(rate), Path(ready))))
