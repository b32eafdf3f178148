"""An account with 100 000 deals that changes 50 times in a row, in a partition that another organisation shares."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.stage import Message
from territory.wire.keys import record_key, visible_key
from territory.wire.topics import ASSIGNMENTS, RECORDS
from territory_admin.log.topic_reader import read_messages, started
from territory_admin.records.wait import PIPELINE
from territory_control.local.child_process import until
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import BatchProducer
from tests.support.house import SERVICES, House
from tests.support.servers import Kafka, Redis

pytestmark = pytest.mark.kafka

LARGE, SMALL = "large", "small"
DEALS = 100_000
HOT_CHANGES = 50
SMALL_CHANGES = 4
"""The other organisation's changes after each change of the hot account."""
SESSION_TIMEOUT_SECONDS = 10
SECONDS_MAX = 600.0
GROWTH_MAX_BYTES = 64 * 1024**2
"""How much more memory than the records' a worker may take for the changes; a whole fan-out takes more."""
COUNTRIES = ("US", "DE", "FR")
MEMBERS = {"US": "ulla", "DE": "dora", "FR": "fay"}
"""By country, the only user of its territory."""
GROUP_METADATA = 2
"""The version of a key of Kafka's topic of groups whose value describes a group's generation."""


def _model(org: str) -> dict[str, Any]:
    return {
        "org": org,
        "fields": {"account": {"country": "text"}},
        "roles": [{"id": "rep"}],
        "users": [{"id": user, "role": "rep"} for user in MEMBERS.values()],
        "territories": [
            {"id": country, "users": [user], "rules": {"account": {"field": "country", "eq": country}}}
            for country, user in MEMBERS.items()
        ],
    }


def _account(org: str, number: int, version: int = 1) -> dict[str, Any]:
    """Return a change of an account; each version moves it to the next territory."""
    return {
        "event_id": f"A-{number}-{version}", "org_id": org, "object": "account", "id": f"A-{number}", "op": "upsert",
        "version": version, "occurred_at": "2017-03-01T10:00:00Z", "owner_id": None,
        "fields": {"country": COUNTRIES[version % len(COUNTRIES)]},
    }  # fmt: skip


def _deals() -> Iterator[dict[str, Any]]:
    """Yield the deals of the hot account, which inherit its territory."""
    for number in range(DEALS):
        yield {
            "event_id": f"D-{number}", "org_id": LARGE, "object": "deal", "id": f"D-{number}", "op": "upsert",
            "version": 1, "occurred_at": "2017-03-01T10:00:00Z", "owner_id": None, "account_id": "A-0", "fields": {},
        }  # fmt: skip


@pytest.fixture
def shared_house(kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Give a house in which all organisations share one partition."""
    house = House(
        kafka.bootstrap_servers, redis.url, tmp_path / "house", kafka_partitions=1,
        kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS,
    )  # fmt: skip
    yield house
    house.close()


async def _change_both(house: House) -> list[float]:
    """Change the hot account, then the other organisation, and so on; return the seconds until each was visible.

    The other organisation's next change is published only when the one before is in Redis.
    """
    seconds: list[float] = []
    seen = visible_key(SMALL, MEMBERS[COUNTRIES[1]], "account")
    async with started(clients.producer(house.settings)) as producer:
        sender = BatchProducer(producer, 1)
        with redis.Redis.from_url(house.settings.redis_url.get_secret_value()) as client:
            for number in range(HOT_CHANGES):
                await sender.send([_message(_account(LARGE, 0, version=2 + number))])
                for small in range(number * SMALL_CHANGES, (number + 1) * SMALL_CHANGES):
                    published_at = time.monotonic()
                    await sender.send([_message(_account(SMALL, small))])
                    is_visible = partial(_is_member, client, seen, f"A-{small}")
                    assert await asyncio.to_thread(until, is_visible, SECONDS_MAX)
                    seconds.append(time.monotonic() - published_at)
    return seconds


def _is_member(client: redis.Redis, key: str, member: str) -> bool:
    return bool(client.sismember(key, member))


def _message(change: dict[str, Any]) -> Message:
    key = record_key(change["org_id"], change["object"], change["id"])
    return Message(RECORDS.name, key, change, key)


async def _end(house: House, where: TopicPartition) -> int:
    async with started(clients.reader(house.settings)) as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets([where])
        return ends[where]


def _read(house: House, where: TopicPartition, offset: int, take: Callable[[ConsumerRecord], None]) -> None:
    asyncio.run(read_messages(house.settings, {where: offset}, take))


def _generations(house: House) -> dict[str, int]:
    """Return the generation of each stage's consumer group: how many rebalances it has had."""
    found: dict[str, int] = {}

    def take(message: ConsumerRecord) -> None:
        if message.value is not None and struct.unpack_from(">h", message.key)[0] == GROUP_METADATA:
            group = message.key[4:].decode()
            version, protocol_length = struct.unpack_from(">hh", message.value)
            assert version <= 4, f"group metadata of version {version}"
            [found[group]] = struct.unpack_from(">i", message.value, 4 + protocol_length)

    _read(house, TopicPartition("__consumer_offsets", 0), 0, take)
    return {stage.name: found[stage.name] for stage in PIPELINE}


def _highest_memory(house: House, service: str) -> int:
    """Return bytes of a worker's resident memory at its highest so far."""
    lines = Path(f"/proc/{house.pid(service)}/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def test_a_hot_account_holds_nobody_else_back(
    shared_house: House, record_property: Callable[[str, object], None]
) -> None:
    """Fan-outs in a family of 100 000 deals delay no other organisation, end no session and take bounded memory (A5).

    The account moves to another territory 50 times, faster than its deals can follow. After each move the other
    organisation's changes become visible one after the other, all of them before the last fan-out ends. No consumer
    group rebalances. In the end all deals are in the account's last territory.
    """
    house = shared_house
    house.apply(_model(LARGE))
    house.apply(_model(SMALL))
    house.start_all()
    house.publish([_account(LARGE, 0)])
    house.publish(_deals())
    house.wait(SECONDS_MAX)
    generations = _generations(house)
    loaded = {service: _highest_memory(house, service) for service in SERVICES}
    where = TopicPartition(ASSIGNMENTS.name, 0)
    before = asyncio.run(_end(house, where))

    seconds = sorted(asyncio.run(_change_both(house)))
    house.wait(SECONDS_MAX)

    highest = {service: _highest_memory(house, service) for service in SERVICES}
    for service in SERVICES:
        record_property(f"{service}_loaded_mb", loaded[service] >> 20)
        record_property(f"{service}_highest_mb", highest[service] >> 20)
    record_property("visible_seconds_p50", round(seconds[len(seconds) // 2], 3))
    record_property("visible_seconds_p99", round(seconds[len(seconds) * 99 // 100], 3))
    orgs: list[str] = []
    _read(house, where, before, lambda message: orgs.append(message.key.decode().split("/", 1)[0]))
    first, last = orgs.index(SMALL), len(orgs) - orgs[::-1].index(SMALL)
    assert orgs[:first].count(LARGE) < DEALS, "the first fan-out had ended"
    assert LARGE in orgs[last:], "the last fan-out had ended"
    assert _generations(house) == generations
    assert "partitions lost" not in "".join(house.log_of(service) for service in SERVICES)
    assert all(highest[service] - loaded[service] < GROWTH_MAX_BYTES for service in SERVICES), (loaded, highest)

    country = COUNTRIES[(1 + HOT_CHANGES) % len(COUNTRIES)]
    large, small = house.found_of([LARGE, SMALL]).values()
    everything = {f"D-{number}" for number in range(DEALS)}
    assert large.visible == {(MEMBERS[country], "account"): {"A-0"}, (MEMBERS[country], "deal"): everything}
    assert {key.rpartition("/")[2] for key in large.assignments} == everything | {"A-0"}
    assert {assignment.territories for assignment in large.assignments.values()} == {(country,)}
    assert small.visible == {
        (MEMBERS[COUNTRIES[1]], "account"): {f"A-{number}" for number in range(HOT_CHANGES * SMALL_CHANGES)}
    }
    assert not large.dead_letters + small.dead_letters
