"""Two organisations in one partition: while one is swept, the other's changes come through."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.wire.topics import ACCESS_CHANGES, ASSIGNMENTS, Topic
from territory_admin.log.topic_reader import read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings
from tests.e2e.conftest import SESSION_TIMEOUT_SECONDS
from tests.support.house import House
from tests.support.servers import Kafka, Redis

pytestmark = pytest.mark.kafka

LARGE, SMALL = "large", "small"
SWEPT = 16_000
"""Records of the large organisation."""
SLICES = {"assigner": 4, "access_indexer": 1}
"""`TERRITORY_SWEEP_RECORDS_MAX` by service: while nothing else comes the assigner takes 250 turns, the indexer 20."""
CHANGES = 20
"""Of the small organisation."""
SECONDS_MAX = 60


def _model(org: str, **first: object) -> dict[str, Any]:
    """Return a model of two territories, one for each half of the records; the first may have more to it."""
    return {
        "org": org,
        "fields": {"account": {"country": "text"}},
        "roles": [{"id": "rep"}],
        "users": [{"id": user, "role": "rep"} for user in ("member", "joiner")],
        "territories": [
            {"id": "here", "users": ["member"], "rules": {"account": {"field": "country", "eq": "US"}}} | first,
            {"id": "there", "rules": {"account": {"field": "country", "eq": "DE"}}},
        ],
    }


def _changes(org: str, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield new accounts, all in the first territory."""
    for number in range(first, first + count):
        yield {
            "event_id": f"{org}-{number}", "org_id": org, "object": "account", "id": f"A-{number}", "op": "upsert",
            "version": 1, "occurred_at": "2017-03-01T10:00:00Z", "owner_id": None, "fields": {"country": "US"},
        }  # fmt: skip


class Stage(NamedTuple):
    """A stage that sweeps, and where it says what comes of it."""

    service: str
    says: Topic
    model: dict[str, Any]
    """Under which each record of the large organisation has something to be said of it, by this stage."""


STAGES = (
    Stage("access_indexer", ACCESS_CHANGES, _model(LARGE, users=["member", "joiner"])),
    Stage("assigner", ASSIGNMENTS, _model(LARGE, rules={"account": {"field": "country", "ne": "US"}})),
)


def _command(service: str, _worker: int) -> tuple[str, ...]:
    """Return what runs a worker whose sweeps go in small slices."""
    return ("env", f"TERRITORY_SWEEP_RECORDS_MAX={SLICES.get(service, SWEPT)}", sys.executable, "-m", service)


@pytest.fixture
def crowded_house(kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Give a house in which all organisations share one partition, and sweeps go in small slices."""
    house = House(
        kafka.bootstrap_servers, redis.url, tmp_path / "house", _command, kafka_partitions=1,
        kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS,
    )  # fmt: skip
    yield house
    house.close()


async def _end(settings: Settings, where: TopicPartition) -> int:
    async with started(clients.reader(settings)) as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets([where])
        return ends[where]


async def _once_said(settings: Settings, where: TopicPartition, offset: int, act: Callable[[], None]) -> None:
    """Act as soon as there is a message at an offset, or after it."""
    async with started(clients.reader(settings)) as reader, asyncio.timeout(SECONDS_MAX):
        reader.assign([where])
        reader.seek(where, offset)
        while not await reader.getmany(where, timeout_ms=200):
            pass
        act()


def _said_since(settings: Settings, where: TopicPartition, offset: int) -> list[str]:
    """Return the organisation of each message from an offset on."""
    orgs: list[str] = []

    def take(message: ConsumerRecord) -> None:
        orgs.append(message.key.decode().split("/", 1)[0])

    asyncio.run(read_messages(settings, {where: offset}, take))
    return orgs


def test_a_sweep_holds_nobody_else_back(crowded_house: House) -> None:
    """What another organisation publishes amid a sweep is decided, and shown, long before the sweep's end (C7, V8).

    The worker is held amid its sweep while the other's changes are published, so they are there with most of the
    sweep still to come. A turn takes few slices: had the sweep to end first, they would be the last that is said.
    """
    house = crowded_house
    house.apply(_model(LARGE))
    house.apply(_model(SMALL))
    house.start_all()
    house.publish(_changes(LARGE, 0, SWEPT))
    house.wait()
    for number, stage in enumerate(STAGES):
        where = TopicPartition(stage.says.name, 0)
        before = asyncio.run(_end(house.settings, where))
        with ThreadPoolExecutor(1) as waiting:
            holds = partial(house.pause, stage.service)
            held = waiting.submit(asyncio.run, _once_said(house.settings, where, before, holds))
            house.apply(stage.model)
            held.result()
        house.publish(_changes(SMALL, number * CHANGES, CHANGES))
        house.resume(stage.service)
        house.wait()
        orgs = _said_since(house.settings, where, before)
        first, last = orgs.index(SMALL), len(orgs) - orgs[::-1].index(SMALL)
        assert LARGE in orgs[:first], f"{stage.service}: the sweep had not begun"
        assert LARGE in orgs[last:], f"{stage.service}: the sweep had ended"
    everything = {f"A-{number}" for number in range(len(STAGES) * CHANGES)}
    assert house.found(SMALL).visible == {("member", "account"): everything}
