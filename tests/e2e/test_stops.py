"""SIGTERM: a worker ends within the time that deployments give it, commits, and leaves its group."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from territory_control.local.child_process import until
from tests.e2e.test_faults import MODEL, ORG, histories
from tests.support.house import SERVICES, House, compare
from tests.support.oracle import expected
from tests.support.servers import Kafka, Redis

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

GRACE_SECONDS = 60
"""As compose.yaml and the chart give; a unit test holds them to each other."""
SESSION_TIMEOUT_SECONDS = 600
"""Whoever does not leave its group keeps a successor waiting for longer than a start may take."""
CHANGES = 6_000
DEADLINE_SECONDS = 60.0


@pytest.fixture
def busy(kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Give a house at work, in which the group gives up nobody who is merely silent."""
    house = House(
        kafka.bootstrap_servers, redis.url, tmp_path / "house", kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS
    )
    house.apply(MODEL)
    house.start_all()
    yield house
    house.close()


def stopped(house: House) -> dict[str, int | None]:
    """Ask all workers to end, at the same time; return what each ended with, -9 where the time was over."""
    with ThreadPoolExecutor(len(SERVICES)) as threads:
        codes = threads.map(lambda service: house.stop(service, seconds=GRACE_SECONDS), SERVICES)
        return dict(zip(SERVICES, codes, strict=True))


ENDED = dict.fromkeys(SERVICES, 0)


def test_amid_load(busy: House) -> None:
    """Asked to end with thousands of changes under way, each ends in order; its successor goes on at once."""
    changes = histories(seed=8)
    history = list(islice(changes, CHANGES))
    busy.publish(history)
    assert stopped(busy) == ENDED
    part = list(islice(changes, CHANGES // 10))
    history += part
    busy.publish(part)
    busy.start_all(worker=2)  # would not be ready if one of the first had not left its group
    busy.wait()
    assert compare(busy.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


def test_while_redis_is_away(busy: House, redis: Redis) -> None:
    """Who waits for Redis with a turn that it can't end leaves it to its successor, and ends."""
    history = list(islice(histories(seed=9), CHANGES // 10))
    redis.stop()
    busy.publish(history)
    assert until(lambda: busy.page("access_indexer", "ready")[0] == 503, DEADLINE_SECONDS)
    assert stopped(busy) == ENDED
    redis.start()
    busy.start_all(worker=2)
    busy.wait()
    assert compare(busy.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


def test_while_the_broker_is_away(busy: House, kafka: Kafka) -> None:
    """Who waits for the broker ends, too; what it could not commit is its successor's."""
    history = list(islice(histories(seed=10), CHANGES // 10))
    busy.publish(history)
    kafka.stop()
    assert until(lambda: all(busy.page(service, "ready")[0] == 503 for service in SERVICES), DEADLINE_SECONDS)
    assert stopped(busy) == ENDED
