"""Connects a stage with Kafka."""

from __future__ import annotations

import asyncio
import time

from territory_runtime.kafka.group_offsets import KafkaGroupOffsets
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.kafka.producer import FencedProducer
from territory_runtime.loop.task_loop import Ports
from territory_runtime.settings import Settings


class SystemClock:
    """The port `Clock` on this machine's clocks."""

    def time(self) -> float:
        """Return seconds of Unix time."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def kafka_ports(settings: Settings, stage: str, partitions: int) -> Ports:
    """Return what one stage of one worker reads, writes and commits with. Nothing is connected yet."""
    reader = KafkaLogReader(settings, stage)
    return Ports(
        reader=reader,
        offsets=KafkaGroupOffsets(settings, reader),
        make_writer=lambda lease, confirm: FencedProducer(settings, stage, partitions, lease, confirm),
        clock=SystemClock(),
        lease_clock=time.monotonic,
    )
