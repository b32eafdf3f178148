"""Half a million waiting records: a worker takes them in turns, and its memory does not grow with them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from territory.wire.keys import upstream_partition_of
from tests.e2e.test_faults import MODEL, ORG
from tests.support.house import SERVICES, House, compare
from tests.support.oracle import expected

pytestmark = pytest.mark.kafka

WAITING = 500_000
ACCOUNTS = 200
GROWTH_BYTES_MAX = 192 * 1024 * 1024
"""Less than what waits, as it is on the topic, not to speak of as objects."""
SECONDS_MAX = 400.0


def _changes(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield changes of few records, over and over, each of 400 bytes or more."""
    for number in range(first, first + count):
        version, account = divmod(number, ACCOUNTS)
        yield {
            "event_id": f"e{number}", "org_id": ORG, "object": "account", "id": f"A-{account}", "op": "upsert",
            "version": version + 1, "occurred_at": "2017-03-01T10:00:00Z", "owner_id": f"u{number % 6}",
            "fields": {"country": ("US", "DE")[number % 2], "revenue": str(number), "note": "x" * 200},
        }  # fmt: skip


def _address_space(pid: int) -> int:
    """Return the most bytes of address space that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    [peak] = [line for line in status.splitlines() if line.startswith("VmPeak:")]
    return int(peak.split()[1]) * 1024


def test_memory_is_bounded_whatever_waits(kafka_house: House) -> None:
    """All workers get through 500 000 waiting changes within a limit that those would break (backpressure)."""
    kafka_house.partitioner = upstream_partition_of  # as Java clients: changes away from home are sent a second time
    kafka_house.apply(MODEL)
    few = list(_changes(0, 10 * ACCOUNTS))
    kafka_house.publish(few)
    kafka_house.start_all()
    kafka_house.wait()
    used = {service: _address_space(kafka_house.pid(service)) for service in SERVICES}
    kafka_house.stop_all()
    kafka_house.publish(_changes(len(few), WAITING))
    for service in SERVICES:
        kafka_house.start(service)
        limit = used[service] + GROWTH_BYTES_MAX
        resource.prlimit(kafka_house.pid(service), resource.RLIMIT_AS, (limit, limit))
    kafka_house.wait(SECONDS_MAX)
    assert all(kafka_house.is_running(service) for service in SERVICES)
    last = list(_changes(len(few) + WAITING - ACCOUNTS, ACCOUNTS))
    assert compare(kafka_house.found(ORG), ORG, expected({ORG: MODEL}, last)) == []
