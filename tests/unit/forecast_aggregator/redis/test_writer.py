"""Reconciling the forecast's two sinks: one walk for all partitions, each removal under its own fence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.redis.writer import PAGE_KEYS, RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentFold
from territory.wire.keys import (
    adjustments_key,
    attainment_hash_key,
    attainment_key,
    fence_key,
    left_out_key,
    partition_of,
    record_key,
)
from territory_runtime.loop.stage import Progress, ReconcileRequest
from territory_runtime.redis.fencing import Fenced
from tests.contracts.index_examples import take
from tests.support.script_redis import ScriptRedis

Q1 = "2017-Q1"
DEALS = [f"D-{number}" for number in range(2 * PAGE_KEYS)]
USERS = [f"u{number}" for number in range(40)]


def filled() -> tuple[ScriptRedis, Any]:
    """Return a Redis with deals on both lists and attainments of two organisations, twice, for the type checker."""
    client = ScriptRedis()
    for org in ("acme", "other"):
        client.hashes[left_out_key(org)] = dict.fromkeys(DEALS, "{}")
        client.hashes[adjustments_key(org)] = {f"{Q1}/{deal_id}": "{}" for deal_id in DEALS}
        for user_id in USERS:
            client.hashes[attainment_hash_key(org, "west", Q1, user_id)] = {"won": "1"}
    return client, client


def deals_requests(partitions: int, *orgs: str) -> list[ReconcileRequest]:
    """Return a request for each partition, none of which knows a deal."""
    return [
        ReconcileRequest(number, PartialSumsFold(number, partitions), {}, frozenset(orgs))
        for number in range(partitions)
    ]


def attainment_requests(partitions: int, *orgs: str) -> list[ReconcileRequest]:
    """Return a request for each partition, none of which has an attainment."""
    return [ReconcileRequest(number, AttainmentFold(), {}, frozenset(orgs)) for number in range(partitions)]


def count(client: ScriptRedis, name: str) -> int:
    """Return how often a command was executed."""
    return sum(command[0] == name for command in client.commands)


@pytest.mark.parametrize("partitions", [1, 8])
def test_lists_of_deals_are_read_once(partitions: int) -> None:
    """Each list is read in pages once, for one partition as for eight, and every orphan is removed (F2, F12)."""
    client, given = filled()

    async def acts() -> None:
        sink = RedisDeals(given, "sums")
        await take(sink, *range(partitions))
        await sink.reconcile(deals_requests(partitions, "acme"))

    asyncio.run(acts())
    assert count(client, "HSCAN") == 4  # two lists of two pages each
    assert left_out_key("acme") not in client.hashes
    assert adjustments_key("acme") not in client.hashes
    assert len(client.hashes[left_out_key("other")]) == len(DEALS)


@pytest.mark.parametrize("partitions", [1, 8])
def test_attainments_are_found_in_one_walk(partitions: int) -> None:
    """All keys are scanned once, for one partition as for eight, and every orphan is deleted (F1)."""
    client, given = filled()

    async def acts() -> None:
        sink = RedisAttainments(given, "totals", partitions)
        await take(sink, *range(partitions))
        await sink.reconcile(attainment_requests(partitions, "acme"))

    asyncio.run(acts())
    assert count(client, "SCAN") == 1
    assert [key for key in client.hashes if key.startswith("attainment:{acme}")] == []
    assert len([key for key in client.hashes if key.startswith("attainment:{other}")]) == len(USERS)


def test_each_request_has_its_own_organisations() -> None:
    """A partition removes nothing of an organisation that only another partition does not know (F1, F2)."""
    client, given = filled()

    async def acts() -> None:
        deals, attainments = RedisDeals(given, "sums"), RedisAttainments(given, "totals", 2)
        for sink in (deals, attainments):
            await take(sink, 0, 1)
        await deals.reconcile([deals_requests(2, "acme")[0], deals_requests(2, "other")[1]])
        await attainments.reconcile([attainment_requests(2, "acme")[0], attainment_requests(2, "other")[1]])

    asyncio.run(acts())
    for org, kept_by in (("acme", 1), ("other", 0)):
        kept = {deal_id for deal_id in DEALS if partition_of(record_key(org, "deal", deal_id), 2) == kept_by}
        assert client.hashes[left_out_key(org)].keys() == kept
        users = {user for user in USERS if partition_of(attainment_key(org, "west", Q1, user), 2) == kept_by}
        assert 0 < len(users) < len(USERS)
        assert {user for user in USERS if attainment_hash_key(org, "west", Q1, user) in client.hashes} == users


def test_removals_go_out_under_the_fence_of_their_partition() -> None:
    """A partition that another worker has taken loses nothing; every script has the fence of one partition (A9)."""
    client, given = filled()

    async def acts() -> None:
        for sink, other, requests in (
            (RedisDeals(given, "sums"), RedisDeals(given, "sums"), deals_requests(2, "acme")),
            (
                RedisAttainments(given, "totals", 2),
                RedisAttainments(given, "totals", 2),
                attainment_requests(2, "acme"),
            ),
        ):
            await take(sink, 0, 1)
            await take(other, 1)
            with pytest.raises(Fenced):
                await sink.reconcile(requests)

    asyncio.run(acts())
    fenced = {deal_id for deal_id in DEALS if partition_of(record_key("acme", "deal", deal_id), 2) == 1}
    assert client.hashes[left_out_key("acme")].keys() >= fenced
    users = {user for user in USERS if partition_of(attainment_key("acme", "west", Q1, user), 2) == 1}
    assert {user for user in USERS if attainment_hash_key("acme", "west", Q1, user) in client.hashes} == users
    writes = [keys[1:] for keys in client.scripts_run if len(keys) > 1]
    assert {*map(tuple, writes)} == {(fence_key(stage, number),) for stage in ("sums", "totals") for number in (0, 1)}


def test_reconciled_partition_writes_its_revision_again() -> None:
    """A request without organisations removes nothing, and the revision is written again with the next batch (A9)."""
    client, given = filled()

    async def acts() -> None:
        for sink, requests in (
            (RedisDeals(given, "sums"), deals_requests(1)),
            (RedisAttainments(given, "totals", 1), attainment_requests(1)),
        ):
            await take(sink, 0)
            for _ in range(2):
                await sink.apply([], [Progress(sink.fences.stage, 0, 5, {"acme": 3})])
            del client.hashes["index:{acme}"]
            await sink.reconcile(requests)
            await sink.apply([], [Progress(sink.fences.stage, 0, 5, {"acme": 3})])
            assert client.hashes["index:{acme}"][f"{sink.fences.stage}:0:model_revision"] == "3"

    asyncio.run(acts())
    assert count(client, "SCAN") == count(client, "HSCAN") == 0
