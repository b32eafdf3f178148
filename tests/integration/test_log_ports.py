"""The ports to a log on Apache Kafka keep the contract that the adapters in memory keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from territory.wire.topics import RECORDS
from territory_runtime.kafka.lease import Lease
from territory_runtime.kafka.ports import kafka_ports
from tests.contracts.log import CONTRACT, Start, Worker
from tests.integration.examples import PARTITIONS, provisioned, settings_for
from tests.support.servers import Kafka

SECONDS_MAX = 30


class Listener:
    """Notes the assignment."""

    def __init__(self) -> None:
        self.assigned: frozenset[int] = frozenset()
        self.given = asyncio.Event()

    async def on_revoked(self) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        self.assigned = partitions
        self.given.set()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_contract_is_kept_by_kafka(kafka: Kafka, unique: str, promise: Callable[[Start], Awaitable[None]]) -> None:
    """Each promise of `tests/contracts/log.py`."""
    settings = settings_for(kafka.bootstrap_servers)
    provisioned(settings)

    @asynccontextmanager
    async def start(name: str) -> AsyncIterator[Worker]:
        group, listener = f"{unique[-80:]}-{name}", Listener()
        ports = kafka_ports(settings, group, PARTITIONS)
        lease = Lease(300.0)
        lease.renew(lease.now())

        async def confirm() -> None:
            raise AssertionError("the lease runs")

        writer = ports.make_writer(lease, confirm)
        for port in (writer, ports.offsets):
            await port.start()
        await ports.reader.start([RECORDS.name], listener)
        async with asyncio.timeout(SECONDS_MAX):
            await listener.given.wait()
        try:
            yield Worker(group, ports.reader, ports.offsets, writer, listener.assigned)
        finally:
            for each in (ports.reader, ports.offsets, writer):
                await each.stop()

    async def run() -> None:
        await promise(start)

    asyncio.run(run())
