"""How long a worker may send, and what stops it afterwards."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from territory_runtime.kafka.lease import Lease, LeaseEnded, guard, seconds_including_suspension
from tests.unit.territory_runtime.kafka.fakes import FakeProducer

PRODUCE = ProduceRequest(transactional_id=None, required_acks=-1, timeout=1, topics=[])


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_lease_runs_from_when_the_group_was_asked() -> None:
    """The broker counts a session from when it received the commit, which is not before it was sent (A9)."""
    clock = Clock()
    lease = Lease(10, clock)
    with pytest.raises(LeaseEnded):
        lease.require()
    asked_at = lease.now()
    clock.seconds += 4
    lease.renew(asked_at)
    clock.seconds += 5.9
    lease.require()
    clock.seconds += 0.1
    with pytest.raises(LeaseEnded, match="more than 10 s ago"):
        lease.require()


def half_gone(lease: Lease) -> bool:
    return lease.is_half_gone


def test_a_lease_is_renewed_in_time() -> None:
    """From half of it on the worker commits before it sends; a late answer never shortens the lease."""
    clock = Clock()
    lease = Lease(10, clock)
    assert half_gone(lease)
    lease.renew(lease.now())
    early = lease.now()
    clock.seconds += 5
    assert not half_gone(lease)
    clock.seconds += 0.1
    assert half_gone(lease)
    lease.renew(lease.now())
    lease.renew(early)
    clock.seconds += 4.9
    assert not half_gone(lease)


def test_a_commit_during_a_rebalance_renews_nothing() -> None:
    """The group accepts it from the generation that ends, whose partitions it is about to give away (A9)."""
    clock = Clock()
    lease = Lease(10, clock)
    lease.renew(lease.now())
    lease.rebalance_began()
    clock.seconds += 6
    lease.renew(lease.now())
    clock.seconds += 4
    with pytest.raises(LeaseEnded):
        lease.require()
    lease.rebalance_ended()
    lease.renew(lease.now())
    lease.require()


def test_a_suspended_host_finds_its_lease_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a host or virtual machine is suspended CLOCK_MONOTONIC stands still; the lease's clock runs on (A9)."""
    running, suspended = 100.0, 0.0
    clocks = {time.CLOCK_MONOTONIC: lambda: running, time.CLOCK_BOOTTIME: lambda: running + suspended}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: clocks[clock]())
    monkeypatch.setattr(time, "monotonic", lambda: running)
    lease = Lease(30)
    lease.renew(lease.now())
    running += 1
    lease.require()
    suspended += 60
    with pytest.raises(LeaseEnded):
        lease.require()


def test_a_host_without_that_clock_uses_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither macOS nor Windows has CLOCK_BOOTTIME; a worker runs there all the same."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    assert seconds_including_suspension() == 7.0


async def written(producer: FakeProducer, request: Any) -> bool:
    """Let a producer's client send a request; return whether it was written to the connection."""
    before = len(producer.client.written)
    with suppress(LeaseEnded):
        assert await producer.client.send(3, request, group="g") == "answered"
    return len(producer.client.written) > before


def test_the_guard_stops_produce_requests_alone() -> None:
    """After the lease no batch leaves the process; requests that change nothing do (A9)."""
    clock = Clock()
    lease, producer = Lease(10, clock), FakeProducer()
    guard(producer, lease)

    async def play() -> None:
        assert not await written(producer, PRODUCE)
        lease.renew(lease.now())
        assert await written(producer, PRODUCE)
        clock.seconds += 10
        assert not await written(producer, PRODUCE)
        assert await written(producer, MetadataRequest([]))

    asyncio.run(play())
    assert producer.client.written[0] == (3, PRODUCE, {"group": "g"})
