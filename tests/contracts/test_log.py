"""The ports to a log in memory keep the contract that Kafka keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from territory_runtime.kafka.lease import Lease
from tests.contracts.log import CONTRACT, Start, Worker
from tests.support.memory_log import Cluster, MemoryOffsets, MemoryReader, MemoryWriter
from tests.support.stepping import Dice, Process

PARTITIONS = 2


class FreeProcess(Process):
    """Waits at no gate."""

    async def gate(self, label: str) -> None:
        return


class Listener:
    """Takes any assignment."""

    async def on_revoked(self) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None: ...


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_contract_is_kept_in_memory(promise: Callable[[Start], Awaitable[None]]) -> None:
    """Each promise of `tests/contracts/log.py`."""
    cluster = Cluster(PARTITIONS, Dice(1))

    @asynccontextmanager
    async def start(group: str) -> AsyncIterator[Worker]:
        process, assigned = FreeProcess(), frozenset(range(PARTITIONS))
        reader = MemoryReader(cluster, process, group)
        reader.assigned = assigned
        lease = Lease(30.0, lambda: 0.0)
        lease.renew(0.0)

        async def confirm() -> None:
            raise AssertionError("the lease runs")

        await reader.start(["crm.records.v1"], Listener())
        offsets = MemoryOffsets(cluster, process, group, reader)
        yield Worker(group, reader, offsets, MemoryWriter(cluster, process, lease, confirm), assigned)

    async def run() -> None:
        await promise(start)

    asyncio.run(run())
