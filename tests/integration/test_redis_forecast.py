"""The forecast's two sinks, on a real Redis."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import redis.asyncio

from forecast_aggregator.partials.changes import Adjustment, DealAdjusted, DealLeftOut
from forecast_aggregator.partials.contribution import LeftOut
from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.redis.writer import ADJUSTMENTS, RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentFold, AttainmentState
from territory.model.compiled import compile_model
from territory.stage import InputMessage, Models
from territory.wire.codec import decode
from territory.wire.events import SUMS, Assignment, Attainment, Counted, Partial
from territory.wire.keys import (
    adjustments_key,
    attainment_hash_key,
    attainment_key,
    index_key,
    left_out_key,
    partial_key,
    partition_of,
)
from territory.wire.topics import ASSIGNMENTS, PARTIALS
from territory_runtime.loop.stage import Progress, ReconcileRequest
from tests.integration.examples import play, take

PARTIAL_SUMS, ATTAINMENT_TOTALS = "forecast-aggregator", "forecast-totals"
Q1 = "2017-Q1"
NOTHING: frozenset[str] = frozenset()
NO_AMOUNT = LeftOut("no_amount", "its amount 'é' is not a number")


def models_of(*orgs: str) -> Models:
    return {org: compile_model({"org": org, "territories": [{"id": "west"}]}, 1) for org in orgs}


# --- deals in no sum --------------------------------------------------------------------------


def test_list_of_deals_in_no_sum(redis_at: Mapping[str, str], org: str) -> None:
    """The list has the reason and detail of each deal; the last change counts, a repeat is harmless (F2, F10)."""
    changes = [
        DealLeftOut(org, "D-1", LeftOut("unassigned", "it names no account")),
        DealLeftOut(org, "D-1", NO_AMOUNT),
        DealLeftOut(org, "D-2", NO_AMOUNT),
        DealLeftOut(org, "D-2", None),
        DealLeftOut(org, "D-3", None),
    ]

    async def acts(client: redis.asyncio.Redis) -> None:
        store = RedisDeals(client, PARTIAL_SUMS)
        await take(store, 0)
        for _ in range(2):
            await store.apply(changes, [Progress(PARTIAL_SUMS, 0, 5, {org: 3})])
            assert await client.hgetall(left_out_key(org)) == {
                "D-1": """{"reason":"no_amount","detail":"its amount 'é' is not a number"}"""
            }
        assert await client.hgetall(index_key(org)) == {
            f"{PARTIAL_SUMS}:0:offset": "5",
            f"{PARTIAL_SUMS}:0:model_revision": "3",
        }
        await store.apply([DealLeftOut(org, "D-1", None)], [])
        assert not await client.exists(left_out_key(org))

    play(redis_at, acts)


def test_orphans_of_the_list(redis_at: Mapping[str, str], org: str) -> None:
    """A reconcile removes the deals of its own partition that do not belong on the list, and no others (F2)."""
    kept = next(f"D-{number}" for number in range(99) if partition_of(f"{org}/deal/D-{number}", 2) == 0)
    orphan = next(f"S-{number}" for number in range(99) if partition_of(f"{org}/deal/S-{number}", 2) == 0)
    other = next(f"O-{number}" for number in range(99) if partition_of(f"{org}/deal/O-{number}", 2) == 1)

    async def acts(client: redis.asyncio.Redis) -> None:
        store, fold = RedisDeals(client, PARTIAL_SUMS), PartialSumsFold(0, 2)
        await take(store, 0)
        deal = Assignment(org, "deal", kept, 1, 1, None, (), unassigned="it names no account")
        fold.restore(InputMessage(ASSIGNMENTS.name, deal.key, deal, {}))
        fold.restored(models_of(org), NOTHING)
        listed = [DealLeftOut(org, each, NO_AMOUNT) for each in (kept, orphan, other)]
        await store.apply([*listed], [Progress(PARTIAL_SUMS, 0, 5, {org: 1})])
        await store.reconcile([ReconcileRequest(0, fold, models_of(org), NOTHING)])
        assert await client.hlen(left_out_key(org)) == 3
        await store.reconcile([ReconcileRequest(0, fold, models_of(org), frozenset({org}))])
        assert set(await client.hkeys(left_out_key(org))) == {kept, other}

    play(redis_at, acts)


def test_list_of_adjustments(redis_at: Mapping[str, str], org: str) -> None:
    """The list has what a deal counted for and counts for now, only while these differ; orphans are removed (F12)."""
    counted = Counted(("west",), "won", Decimal("1E-8"), Decimal("0E-9"), None, by_others=True)
    changes = [
        DealAdjusted(org, Q1, "D/1", Adjustment(None, counted)),
        DealAdjusted(org, Q1, "D-2", Adjustment(counted, None)),
        DealAdjusted(org, Q1, "D-2", None),
    ]

    async def acts(client: redis.asyncio.Redis) -> None:
        store = RedisDeals(client, PARTIAL_SUMS)
        await take(store, 0)
        for _ in range(2):
            await store.apply(changes, [Progress(PARTIAL_SUMS, 0, 5, {org: 3})])
            found = await client.hgetall(adjustments_key(org))
            assert list(found) == [f"{Q1}/D/1"]
            assert decode(str(found[f"{Q1}/D/1"]).encode()) == {
                "frozen": None,
                "now": {"path": ["west"], "category": "won", "amount": "0.00000001", "weighted": "0", "owner_id": None,
                        "by_others": True},
            }  # fmt: skip
        fold = PartialSumsFold(0, 1)
        await store.reconcile([ReconcileRequest(0, fold, models_of(org), NOTHING)])
        assert await client.hlen(adjustments_key(org)) == 1
        await client.hset(adjustments_key(org), "not ours", "{}")
        await store.reconcile([ReconcileRequest(0, fold, models_of(org), frozenset({org}))])
        assert await client.hkeys(adjustments_key(org)) == ["not ours"]

    play(redis_at, acts)


# --- attainments ------------------------------------------------------------------------------


def attainment(org: str, user_id: str | None = None, **figures: Any) -> AttainmentState:
    """Return the attainment of `west`, or of a user in it; without a target unless given."""
    defaults: dict[str, Any] = dict.fromkeys(SUMS, "0") | {
        "deals_won": 0, "target": None, "attainment_pct": None, "gap": None, "shortage": None,
    }  # fmt: skip
    return AttainmentState((org, "west", Q1, user_id), Attainment(org, "west", Q1, user_id, 4, **(defaults | figures)))


def test_attainment_of_a_territory(redis_at: Mapping[str, str], org: str) -> None:
    """A territory's hash has all figures as text, empty where there is no target (F6, contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        store, key = RedisAttainments(client, ATTAINMENT_TOTALS, 1), attainment_hash_key(org, "west", Q1, None)
        await store.apply([attainment(org, won="0.1", deals_won=2)], [])
        assert await client.hgetall(key) == {
            "target": "", "won": "0.1", "pipeline": "0", "best_case": "0", "committed": "0", "weighted": "0",
            "won_by_others": "0", "deals_won": "2", "attainment_pct": "", "gap": "", "shortage": "",
            "model_revision": "4", "coverage": "", "target_mismatch": "", "star_performer": "0", "frozen": "0",
            **{f"adjustment_{name}": "" for name in ADJUSTMENTS},
        }  # fmt: skip
        await store.apply([attainment(org, target="100", attainment_pct="0.00", gap="100", shortage="99.5")], [])
        found = await client.hmget(key, ["target", "won", "attainment_pct", "gap", "shortage"])
        assert found == ["100", "0", "0.00", "100", "99.5"]

    play(redis_at, acts)


def test_attainment_of_a_person(redis_at: Mapping[str, str], org: str) -> None:
    """A person's hash has only the figures of a person (F4, contracts: Redis)."""

    async def acts(client: redis.asyncio.Redis) -> None:
        await RedisAttainments(client, ATTAINMENT_TOTALS, 1).apply([attainment(org, "ann", won="7", deals_won=1)], [])
        assert await client.hgetall(attainment_hash_key(org, "west", Q1, "ann")) == {
            "target": "", "won": "7", "deals_won": "1", "attainment_pct": "", "star_performer": "0", "frozen": "0",
            "adjustment_target": "", "adjustment_won": "", "adjustment_deals_won": "",
        }  # fmt: skip

    play(redis_at, acts)


def test_attainment_that_is_gone(redis_at: Mapping[str, str], org: str) -> None:
    """The last of several changes counts, a repeat is harmless, and the progress is written (A9)."""
    gone = AttainmentState((org, "west", Q1, None), None)

    async def acts(client: redis.asyncio.Redis) -> None:
        store = RedisAttainments(client, ATTAINMENT_TOTALS, 1)
        await take(store, 0)
        for changes, there in (
            ([gone, attainment(org)], 1),
            ([attainment(org), gone], 0),
            ([gone], 0),
        ):
            await store.apply(changes, [Progress(ATTAINMENT_TOTALS, 0, 5, {org: 3})])
            assert await client.exists(attainment_hash_key(org, "west", Q1, None)) == there
        assert await client.hget(index_key(org), f"{ATTAINMENT_TOTALS}:0:model_revision") == "3"
        assert await client.hget(index_key(org), "model_revision") is None  # the access index owns it

    play(redis_at, acts)


def test_orphan_attainments(redis_at: Mapping[str, str], org: str) -> None:
    """A reconcile deletes the attainments that its partition does not have, and no others (F1)."""
    ours = partition_of(attainment_key(org, "west", Q1, None), 2)
    names = (f"{org}-{number}" for number in itertools.count(2))
    alike = next(name for name in names if partition_of(attainment_key(name, "west", Q1, None), 2) == ours)

    async def acts(client: redis.asyncio.Redis) -> None:
        store, fold = RedisAttainments(client, ATTAINMENT_TOTALS, 2), AttainmentFold()
        await take(store, ours)
        partial = Partial(org, "west", Q1, None, 0, 1, None, dict.fromkeys(SUMS, Decimal(1)), 1, 1)
        fold.restore(InputMessage(PARTIALS.name, partial_key(org, "west", Q1, None, 0), partial, {}))
        users = [f"u:{number}" for number in range(20)]
        orphans = [attainment(org, user) for user in users]
        await store.apply(
            [attainment(org), attainment(alike), *orphans], [Progress(ATTAINMENT_TOTALS, ours, 5, {org: 1})]
        )
        await store.reconcile([ReconcileRequest(ours, fold, models_of(org, alike), frozenset({alike}))])
        assert not await client.exists(attainment_hash_key(alike, "west", Q1, None))
        await store.reconcile([ReconcileRequest(ours, fold, models_of(org), frozenset({org}))])
        left = {user for user in users if await client.exists(attainment_hash_key(org, "west", Q1, user))}
        assert left == {user for user in users if partition_of(attainment_key(org, "west", Q1, user), 2) != ours}
        assert 0 < len(left) < len(users)
        assert await client.exists(attainment_hash_key(org, "west", Q1, None))

    play(redis_at, acts)
