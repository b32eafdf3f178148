"""The ports to a log on Apache Kafka keep the contract that the adapters in memory keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from territory.wire.topics import RECORDS
from territory_runtime.kafka import clients
from territory_runtime.kafka.lease import Lease
from territory_runtime.kafka.ports import kafka_ports
from territory_runtime.loop.ports import TopicPartition
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


def starter(kafka: Kafka, unique: str) -> Start:
    """Return what starts workers of groups that belong to a test."""
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

    return start


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_contract_is_kept_by_kafka(kafka: Kafka, unique: str, promise: Callable[[Start], Awaitable[None]]) -> None:
    """Each promise of `tests/contracts/log.py`."""
    start = starter(kafka, unique)

    async def run() -> None:
        await promise(start)

    asyncio.run(run())


def test_aborted_and_open_transactions_are_not_read(kafka: Kafka, unique: str) -> None:
    """Only committed messages are polled and read again; the end is the last stable offset, and is reached (A13)."""
    start, where = starter(kafka, unique), TopicPartition(RECORDS.name, 2)
    options = clients.connection(settings_for(kafka.bootstrap_servers))

    async def said(producer: AIOKafkaProducer, text: str) -> None:
        await producer.begin_transaction()
        await producer.send_and_wait(RECORDS.name, text.encode(), key=b"contract/account/A", partition=2)

    async def ended(worker: Worker, at: int) -> int:
        """Return the end once it is there: the broker writes a transaction's marker after it has answered."""
        async with asyncio.timeout(SECONDS_MAX):
            while (end := await worker.end(where)) < at:
                pass
        return end

    async def run() -> None:
        async with start("stable") as worker:
            begin = await worker.end(where)
            producer = AIOKafkaProducer(transactional_id=unique[-80:], **options)
            await producer.start()
            try:
                await said(producer, "aborted")
                await producer.abort_transaction()
                await said(producer, "committed")
                await producer.commit_transaction()
                stable = await ended(worker, begin + 4)
                await said(producer, "open")
                assert await worker.end(where) == stable == begin + 4  # each has a marker after it
                worker.reader.seek(where, begin)
                found, _ = await worker.poll_until(where, 1)
                await worker.reader.poll([where], 0.5, 10)
                assert [message.value for message in found] == [b"committed"]
                assert worker.reader.known_end(where) == stable
                read = [each.value async for some in worker.reader.read_all(where) for each in some]
                assert read[-1] == b"committed"
                assert b"aborted" not in read
                await producer.abort_transaction()
                end = await ended(worker, begin + 6)
                async with asyncio.timeout(SECONDS_MAX):
                    while (await worker.reader.poll([where], 0.1, 10)).positions[where] < end:
                        pass
            finally:
                await producer.stop()

    asyncio.run(run())
