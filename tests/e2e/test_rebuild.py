"""A rebuild beside live traffic: readers see the old index or the new one, never a part of one."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
import redis

from territory.wire.keys import HELD_KEY, rebuild_prefix, visible_key
from territory_admin.consistency.rebuild import Rebuilt, rebuild
from territory_admin.errors import NotFound, NotReached
from territory_runtime.settings import Settings
from tests.e2e.test_faults import MODEL, ORG, OTHER_MODEL, histories
from tests.support.house import House, compare
from tests.support.oracle import expected

pytestmark = [pytest.mark.kafka]

STILL = 300
"""Records that do not change while the index is rebuilt."""
BATCHES_MAX = 150


def rebuilt(house: House, org_id: str = ORG, timeout_seconds: float = 60.0) -> Rebuilt:
    settings = Settings.model_validate(house.settings.model_dump() | {"org_id": org_id})
    return asyncio.run(rebuild(settings, timeout_seconds=timeout_seconds, report=lambda _: None))


def client_of(house: House) -> Any:
    return redis.Redis.from_url(house.settings.redis_url.get_secret_value(), decode_responses=True)


def still_leads() -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"still-{number}", "org_id": ORG, "object": "lead", "id": f"still-{number}", "version": 1,
            "op": "upsert", "occurred_at": "2017-03-01T10:00:00Z", "owner_id": "u0", "fields": {"country": "US"},
        }
        for number in range(STILL)
    ]  # fmt: skip


def test_a_rebuild_beside_live_traffic(kafka_house: House) -> None:
    """Damage is gone, live changes and a new model are in, and readers never missed a record (V7, V8)."""
    house = kafka_house
    house.apply(MODEL)
    house.start_all()
    changes = histories(seed=4)
    history = [*islice(changes, 3_000), *still_leads()]
    house.publish(history)
    house.wait()
    key = visible_key(ORG, "u0", "lead")
    enough = threading.Event()

    def publish() -> None:
        for _ in range(BATCHES_MAX):
            if enough.is_set():
                return
            part = list(islice(changes, 20))
            history.extend(part)
            house.publish(part)

    def look() -> int:
        lacks = 0
        with client_of(house) as client:
            while not enough.is_set():
                lacks += 0 in client.smismember(key, [f"still-{number}" for number in range(STILL)])
        return lacks

    with client_of(house) as client, ThreadPoolExecutor(2) as threads:
        client.sadd(visible_key(ORG, "ghost", "lead"), "L-1")
        client.sadd(visible_key(ORG, "u5", "account"), "never-was")
        client.delete(visible_key(ORG, "u1", "deal"))
        client.set(f"{rebuild_prefix(ORG)}killed:left", "over")
        publishing, looking = threads.submit(publish), threads.submit(look)
        try:
            first = rebuilt(house)
            house.apply(OTHER_MODEL)
            second = rebuilt(house)
        finally:
            enough.set()
        publishing.result()
        lacking = looking.result()
        house.wait()
        assert (first.model_revision, second.model_revision, lacking) == (1, 2, 0)
        assert not client.exists(HELD_KEY)
        assert list(client.scan_iter(match="rebuil*")) == []
    assert compare(house.found(ORG), ORG, expected({ORG: OTHER_MODEL}, history)) == []


def test_a_rebuild_that_is_impossible_changes_nothing(kafka_house: House) -> None:
    """Without a model, or while no indexer runs, the index is unchanged and no key is left over."""
    house = kafka_house
    house.apply(MODEL)
    house.start_all()
    house.publish(still_leads())
    house.wait()
    before = house.found(ORG)
    house.stop("access_indexer")
    house.publish([change | {"version": 2, "event_id": f"{change['event_id']}-2"} for change in still_leads()])
    with pytest.raises(NotReached, match="no service is running for access-indexer"):
        rebuilt(house, timeout_seconds=2.0)
    with pytest.raises(NotFound, match="has no model"):
        rebuilt(house, "nobody")
    with client_of(house) as client:
        assert not list(client.scan_iter(match="rebuil*"))
    assert house.found(ORG).visible == before.visible
