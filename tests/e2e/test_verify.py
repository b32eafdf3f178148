"""Verify and repair compare Redis with the topics on real servers, beside live traffic."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
import redis
from aiokafka import AIOKafkaProducer

from territory.wire.codec import encode
from territory.wire.events import SUMS, Partial
from territory.wire.keys import attainment_key, partial_key, partition_of, record_hash_key, visible_key
from territory.wire.topics import PARTIALS
from territory_admin.consistency.comparing import Verified
from territory_admin.consistency.repair import repair as repair_redis
from territory_admin.consistency.verify import verify
from territory_runtime.settings import Settings
from tests.e2e.test_faults import MODEL, ORG, OTHER_MODEL, histories
from tests.support.house import House, compare
from tests.support.oracle import expected

pytestmark = [pytest.mark.kafka]

LIVE_BATCHES = 200
CLOSED = "2017-Q1"
CLEAN: dict[str, int] = {}


def verified(house: House, *, repair: bool = False, timeout_seconds: float = 60.0) -> Verified:
    settings = Settings.model_validate(house.settings.model_dump() | {"org_id": ORG})
    compare_redis = repair_redis if repair else verify
    return asyncio.run(compare_redis(settings, per_second=0, timeout_seconds=timeout_seconds, report=lambda _: None))


def client_of(house: House) -> Any:
    return redis.Redis.from_url(house.settings.redis_url.get_secret_value(), decode_responses=True)


@pytest.fixture
def settled(kafka_house: House) -> tuple[House, list[dict[str, Any]]]:
    """Return a running house whose records are all in Redis."""
    kafka_house.apply(MODEL)
    kafka_house.start_all()
    history = list(islice(histories(seed=3), 4_000))
    kafka_house.publish(history)
    kafka_house.wait()
    return kafka_house, history


def damage(client: Any) -> dict[str, int]:
    """Damage Redis in every way; return the number of wrong entries by kind."""
    key = next(key for key in sorted(client.scan_iter(match=f"visible:{{{ORG}:*")) if client.scard(key) > 3)
    client.srem(key, *sorted(client.smembers(key))[:2])
    client.sadd(visible_key(ORG, "u5", "account"), "never-was")
    client.sadd(visible_key(ORG, "ghost", "lead"), "L-1")
    hashes = sorted(client.scan_iter(match=f"record:{{{ORG}:*"))
    client.delete(hashes[0])
    client.hset(hashes[1], "owner_id", "somebody else")
    client.hset(record_hash_key(ORG, "deal", "never-was"), mapping={"version": "1"})
    client.sadd(f"admins:{{{ORG}}}", "u1")
    sums = sorted(client.scan_iter(match=f"attainment:{{{ORG}}}:*"))
    client.delete(sums[0])
    client.hset(sums[1], "won", "1")
    client.hset(f"attainment:{{{ORG}}}:world:1999-Q1", mapping={"won": "1"})
    out = f"left_out:{{{ORG}}}"
    first = min(client.hkeys(out))
    client.hdel(out, first)
    client.hset(out, "never-was", "{}")
    return {
        "missing_member": 2, "extra_member": 2, "missing_record": 1, "wrong_record": 1, "stray_record": 1, "admins": 1,
        "missing_attainment": 1, "wrong_attainment": 1, "stray_attainment": 1, "missing_left_out": 1,
        "stray_left_out": 1,
    }  # fmt: skip


def test_every_kind_of_drift_is_found_and_repaired(settled: tuple[House, list[dict[str, Any]]]) -> None:
    """Drift is counted by kind and named with a reason; after a repair Redis equals the oracle's state (V7, V8)."""
    house, history = settled
    clean = verified(house)
    assert (dict(clean.drift), clean.not_compared, clean.unsettled) == (CLEAN, None, 0)
    with client_of(house) as client:
        done = damage(client)
    assert dict(verified(house).drift) == done
    repaired = verified(house, repair=True)
    assert (dict(repaired.drift), repaired.mended) == (done, sum(done.values()))
    assert any("paths by which the user sees it" in drift.why for drift in repaired.named)
    assert verified(house).is_clean
    assert compare(house.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


def test_closed_periods_are_compared(settled: tuple[House, list[dict[str, Any]]]) -> None:
    """The amounts that deals had when a period was closed are compared, too (F12)."""
    house, history = settled
    house.apply(MODEL | {"frozen_periods": [CLOSED]})
    house.wait()
    house.publish(list(islice(histories(seed=3), len(history), len(history) + 500)))
    house.wait()
    clean = verified(house)
    assert (dict(clean.drift), clean.not_compared, clean.unsettled) == (CLEAN, None, 0)
    with client_of(house) as client:
        listed = f"adjustments:{{{ORG}}}"
        gone, wrong, *_ = sorted(client.hkeys(listed))
        before = client.hgetall(listed)
        client.hdel(listed, gone)
        client.hset(listed, wrong, "{}")
        client.hset(listed, f"{CLOSED}/never-was", "{}")
        done = {"missing_adjustment": 1, "wrong_adjustment": 1, "stray_adjustment": 1}
        assert dict(verified(house).drift) == done
        repaired = verified(house, repair=True)
        assert (dict(repaired.drift), repaired.mended) == (done, 3)
        assert client.hgetall(listed) == before
    house.kill("forecast_aggregator")
    house.start("forecast_aggregator")
    assert verified(house).is_clean


def test_a_partial_sum_without_deals_is_reported(settled: tuple[House, list[dict[str, Any]]]) -> None:
    """Roots are the sums over all deals with a territory; a partial sum beyond that is reported (F1, F2)."""
    house, _ = settled
    nothing = dict.fromkeys(SUMS, Decimal(0))
    stray = Partial(ORG, "world", "1999-Q1", None, 0, 1, None, nothing | {"won": Decimal("0.10")}, 1, 1)

    async def publish() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=house.settings.kafka_bootstrap_servers)
        await producer.start()
        key = partial_key(ORG, "world", "1999-Q1", None, 0)
        counts = len(await producer.partitions_for(PARTIALS.name))
        place = partition_of(attainment_key(ORG, "world", "1999-Q1", None), counts)
        await producer.send_and_wait(PARTIALS.name, encode(stray), key.encode(), place)
        await producer.stop()

    asyncio.run(publish())
    house.wait()
    found = verified(house)
    assert dict(found.drift) == {"stray_partial": 1}
    assert "world 1999-Q1 #0" in found.named[0].where


def test_live_traffic_is_not_drift(settled: tuple[House, list[dict[str, Any]]]) -> None:
    """Changes in progress are waited for and kept; real drift is found and repaired meanwhile (A9)."""
    house, history = settled
    changes = histories(seed=3)
    list(islice(changes, len(history)))
    enough = threading.Event()

    def publish() -> None:
        for _ in range(LIVE_BATCHES):
            if enough.is_set():
                return
            part = list(islice(changes, 20))
            history.extend(part)
            house.publish(part)

    with ThreadPoolExecutor(1) as threads:
        publishing = threads.submit(publish)
        try:
            found = verified(house)
            with client_of(house) as client:
                client.sadd(visible_key(ORG, "ghost", "lead"), "never-was")
            repaired = verified(house, repair=True)
        finally:
            enough.set()
        publishing.result()
    assert (dict(found.drift), found.not_compared) == (CLEAN, None)
    assert (dict(repaired.drift), repaired.mended) == ({"extra_member": 1}, 1)
    house.wait()
    assert verified(house).is_clean
    assert compare(house.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


def test_a_comparison_that_is_impossible_says_why(settled: tuple[House, list[dict[str, Any]]]) -> None:
    """A stage that is behind is waited for; after the timeout the result names it (V8)."""
    house, _ = settled
    house.stop("access_indexer")
    house.apply(OTHER_MODEL)
    found = verified(house, timeout_seconds=1.0)
    assert not found.is_clean
    assert dict(found.drift) == CLEAN
    assert "no service is running for access-indexer" in str(found.not_compared)
    house.start("access_indexer")
    assert verified(house).is_clean
