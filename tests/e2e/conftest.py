"""Houses for the tests of everything together: on Apache Kafka and Redis, and on the embedded broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.servers import Kafka, Redis, embedded_server, find_kafka, find_redis, serving

EMBEDDED_FETCH_PAUSE_SECONDS = 0.02
SESSION_TIMEOUT_SECONDS = 6


def pytest_report_header() -> list[str]:
    """Say which servers these tests run on."""
    return [f"e2e: {find_kafka().says}", f"e2e: {find_redis().says}"]


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Kafka]:
    """Give an Apache Kafka of the test's own."""
    with serving("kafka", find_kafka(), tmp_path / "kafka") as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """Give a Redis of the test's own."""
    with serving("redis", find_redis(), tmp_path / "redis") as server:
        yield server


@pytest.fixture
def kafka_house(kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Give a house on Apache Kafka; its services are not started."""
    house = House(
        kafka.bootstrap_servers, redis.url, tmp_path / "house", kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS
    )
    yield house
    house.close()


@pytest.fixture
def embedded_house(tmp_path: Path) -> Iterator[House]:
    """Give a house on the embedded broker; its services are not started."""
    with embedded_server(tmp_path / "embedded") as server:
        house = House(
            server.bootstrap_servers,
            server.redis_url,
            tmp_path / "house",
            kafka_fetch_pause_seconds=EMBEDDED_FETCH_PAUSE_SECONDS,
        )
        yield house
        house.close()


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.embedded), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def house(request: pytest.FixtureRequest) -> House:
    """Give a house on each of the two kinds of broker in turn."""
    found: House = request.getfixturevalue(f"{request.param}_house")
    return found
