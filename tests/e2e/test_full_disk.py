"""The broker's disk is full: it ends, which is told and waited for, and nothing is lost once there is room."""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from territory_control.local.child_process import until
from tests.e2e.test_faults import MODEL, ORG, histories
from tests.support.house import Difference, House, differences
from tests.support.oracle import expected
from tests.support.servers import KafkaServer, find_kafka_of_jars, kafka_jars, needed, small_disk

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]

SERVICE = "assigner"
DISK_MEGABYTES = 100
PART = 500
"""Changes."""
SECONDS_MAX = 90.0
LIBRARY_LINES_MAX = 20
"""Of a service's log, about one absence of the broker; aiokafka has hundreds a second to say."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a small disk."""
    with small_disk(tmp_path / "disk", DISK_MEGABYTES) as folder:
        yield folder


@pytest.fixture
def kafka(tmp_path: Path, disk: Path) -> Iterator[KafkaServer]:
    """Give an Apache Kafka whose data, but not its log, is on that disk; it replaces the one of kafka_house."""
    needed("kafka", find_kafka_of_jars())
    with KafkaServer(tmp_path / "kafka", kafka_jars(), {"log.dirs": str(disk / "data")}) as server:
        yield server


def fill(disk: Path) -> Path:
    """Write a file that takes all the room that is left; return where it is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as fault:
                if fault.errno != errno.ENOSPC:
                    raise
    return filler


def publish(house: House, history: list[dict[str, Any]]) -> None:
    """Publish changes as a CRM does: what is not acknowledged is published again."""

    def is_published() -> bool:
        try:
            house.publish(history)
        except (KafkaError, OSError):
            return False
        return True

    assert until(is_published, SECONDS_MAX)


def wrong_assignments(house: House, history: list[dict[str, Any]]) -> list[Difference]:
    """Return which assignments are not as the oracle has them."""
    found = differences(house.found(ORG), ORG, expected({ORG: MODEL}, history))
    return [one for one in found if one.where == "assignments"]


def test_a_broker_without_room_is_waited_for(kafka_house: House, kafka: KafkaServer, disk: Path) -> None:
    """Its only disk fills up amid changes, and it ends; with room again, and started, all goes on (A9).

    Only the assigner runs, which writes most; the services have in common what they do meanwhile.
    """
    changes = histories(seed=6)
    history = [next(changes) for _ in range(2 * PART)]
    kafka_house.apply(MODEL)
    kafka_house.start(SERVICE)
    publish(kafka_house, history[:PART])
    assert until(lambda: not wrong_assignments(kafka_house, history[:PART]), SECONDS_MAX)
    filler = fill(disk)
    with ThreadPoolExecutor(1) as threads:
        publishing = threads.submit(publish, kafka_house, history[PART:])
        assert until(lambda: not kafka.running, SECONDS_MAX)
        assert until(lambda: kafka_house.page(SERVICE, "ready")[0] == 503, SECONDS_MAX)
        assert "Kafka is away" in kafka_house.page(SERVICE, "ready")[1]
        assert kafka_house.page(SERVICE, "live")[0] == 200
        filler.unlink()
        kafka.start()
        publishing.result()
    assert until(lambda: not wrong_assignments(kafka_house, history), SECONDS_MAX)
    assert until(lambda: kafka_house.page(SERVICE, "ready")[0] == 200, SECONDS_MAX)
    lines = [json.loads(line) for line in kafka_house.log_of(SERVICE).splitlines() if line.startswith("{")]
    waits, ends = (
        Counter(line["part"] for line in lines if line["event"] == what) for what in ("waiting", "recovered")
    )
    assert waits == ends
    assert waits["topics"] == 1
    assert sum(line["logger"].startswith("aiokafka") for line in lines) <= LIBRARY_LINES_MAX
