"""Connects a stage with Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from time import time as unix_time

from territory_runtime.kafka.group_offsets import KafkaGroupOffsets
from territory_runtime.kafka.lease import seconds_including_suspension
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.kafka.producer import FencedProducer
from territory_runtime.loop.task_loop import Ports
from territory_runtime.settings import Settings


class SystemClock:
    """The port `Clock` on this machine's clocks."""

    time = staticmethod(unix_time)
    monotonic = staticmethod(monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def kafka_ports(
    settings: Settings, stage: str, partitions: int, address: Callable[[], str | None] = lambda: None
) -> Ports:
    """Return what one stage of one worker reads, writes and commits with. Nothing is connected yet.

    Args:
        settings: How to reach Kafka.
        stage: The stage's name, which is its consumer group.
        partitions: How many partitions our partitioned topics have.
        address: Returns where other workers can reach this one's HTTP server; None: nowhere.
    """
    reader = KafkaLogReader(settings, stage)
    reader.assignor.address = address
    return Ports(
        reader=reader,
        offsets=KafkaGroupOffsets(settings, reader),
        make_writer=lambda lease, confirm: FencedProducer(settings, stage, partitions, lease, confirm),
        clock=SystemClock(),
        lease_clock=seconds_including_suspension,
    )
