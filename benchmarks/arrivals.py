"""Records when each message of a topic reaches a consumer that does nothing else, until a signal ends it.

This is the broker's part of the latency: nothing behind the broker can be faster.

python -m benchmarks.arrivals TOPIC FILE READY
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from aiokafka import TopicPartition

from benchmarks.pacer import Moment, write_moments
from benchmarks.stack import PARTITIONS
from territory_admin.log.topic_reader import started
from territory_runtime.kafka import clients
from territory_runtime.kafka.embedded_broker_workaround import pause_after_empty_fetches
from territory_runtime.settings import Settings, read_settings


async def note(settings: Settings, topic: str, ready: Path) -> list[Moment]:
    """Return the arrival time of each message published after this process was ready."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    came: list[Moment] = []
    async with started(clients.reader(settings)) as consumer:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        for place in places:
            await consumer.position(place)  # resolves the end now, not with the first fetch
        await asyncio.to_thread(ready.touch)
        while (found := await consumer.getmany(timeout_ms=200)) or not stopping.is_set():
            now = time.time()
            came += (Moment(place.partition, now) for place, messages in found.items() for _ in messages)
    return came


if __name__ == "__main__":
    topic, file, ready = sys.argv[1:]
    given = read_settings()
    pause_after_empty_fetches(given.kafka_fetch_pause_seconds)
    write_moments(Path(file), asyncio.run(note(given, topic, Path(ready))))
