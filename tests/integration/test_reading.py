from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from access_indexer.core.changes import AdminsState, IndexChange, RecordState, SetChange
from access_indexer.redis.writer import RedisIndexWriter
from forecast_aggregator.partials.changes import Adjustment, DealAdjusted, DealLeftOut
from forecast_aggregator.partials.contribution import LeftOut
from forecast_aggregator.redis.writer import RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentState
from territory.wire.events import Attainment, Counted
from territory_admin.arguments import RecordName
from territory_admin.queries.redis_reader import LeftOutDeal, Membership, open_index
from territory_client import IndexedRecord
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings, read_settings


def settings(redis_at: Mapping[str, str], org_id: str) -> Settings:
    return read_settings({**redis_at, "TERRITORY_ORG_ID": org_id})


def attainment(org_id: str, territory_id: str, period: str, user_id: str | None, won: str) -> Attainment:
    target = "200" if user_id is None else None
    return Attainment(
        org_id=org_id, territory_id=territory_id, period=period, user_id=user_id, model_revision=4, target=target,
        won=won, pipeline="1", best_case="2", committed="3", weighted="0.5", won_by_others="0", deals_won=2,
        attainment_pct="50.00" if target else None, gap="100" if target else None, shortage="99" if target else None,
    )  # fmt: skip


def test_the_index_is_read_as_the_indexer_writes_it(redis_at: Mapping[str, str], unique: str) -> None:
    """Sets, administrators and records are those that the access indexer wrote (contracts: Redis)."""

    async def play() -> None:
        client = connect(settings(redis_at, unique))
        changes: list[IndexChange] = [
            AdminsState(unique, frozenset({"root"})),
            *(
                SetChange(unique, "visible", "ann", "account", [record_id], True)
                for record_id in ("A-2", "A-1", "é:{/")
            ),
            SetChange(unique, "editable", "ann", "account", ["A-1"], True),
            RecordState(unique, "account", "A-1", 7, "ann", ("west", "east"), 4),
            RecordState(unique, "deal", "D-1", 1, None, (), 4),
        ]
        await RedisIndexWriter(client, "access-indexer", 1).apply(changes, [])
        await client.aclose()
        async with open_index(settings(redis_at, unique)) as index:
            assert await index.admins() == {"root"}
            assert await index.ids("ann", "account", "read") == ["A-1", "A-2", "é:{/"]
            assert await index.ids("ann", "account", "edit") == ["A-1"]
            assert await index.count("ann", "account", "read") == 3
            assert await index.ids("bob", "account", "read") == []
            assert await index.record(RecordName("account", "A-1")) == IndexedRecord(7, "ann", ("west", "east"), 4)
            assert await index.record(RecordName("deal", "D-1")) == IndexedRecord(1, None, (), 4)
            assert await index.record(RecordName("account", "A-3")) is None
            assert set(await index.records("account", ["A-1", "A-3"])) == {"A-1"}
            assert await index.membership("ann", RecordName("account", "A-2")) == Membership(True, False, False)
            assert await index.membership("root", RecordName("account", "A-2")) == Membership(False, False, True)

    asyncio.run(play())


def test_attainments_are_read_as_the_aggregator_writes_them(redis_at: Mapping[str, str], unique: str) -> None:
    """Figures are texts or None; users are included on request; other organisations never."""

    async def play() -> None:
        client = connect(settings(redis_at, unique))
        attainments = [
            attainment(unique, "west", "2017-Q1", None, "100"),
            replace(
                attainment(unique, "west", "2017-Q2", None, "0.1"),
                frozen=True,
                adjustment_won="-0.1",
                adjustment_deals_won=-1,
            ),
            attainment(unique, "east", "2017-Q1", None, "5"),
            attainment(unique, "west", "2017-Q1", "u:1/x", "7"),
            attainment(f"{unique}-2", "west", "2017-Q1", None, "9"),
        ]
        changes = [AttainmentState((one.org_id, one.territory_id, one.period, one.user_id), one) for one in attainments]
        await RedisAttainments(client, "forecast-totals", 1).apply(changes, [])
        await client.aclose()
        async with open_index(settings(redis_at, unique)) as index:
            rows = await index.attainments()
            assert [(row.territory_id, row.period, row.won) for row in rows] == [
                ("east", "2017-Q1", "5"),
                ("west", "2017-Q1", "100"),
                ("west", "2017-Q2", "0.1"),
            ]
            assert (rows[1].target, rows[1].attainment_pct, rows[1].shortage) == ("200", "50.00", "99")
            assert (rows[1].deals_won, rows[1].model_revision) == (2, 4)
            assert (rows[1].frozen, rows[1].adjustment_won, rows[1].star_performer) == (False, None, False)
            assert (rows[2].frozen, rows[2].adjustment_won, rows[2].adjustment_deals_won) == (True, "-0.1", -1)
            users = [row for row in await index.attainments(users=True) if row.user_id is not None]
            assert [(row.user_id, row.won, row.target, row.pipeline) for row in users] == [("u:1/x", "7", None, None)]
            one = await index.attainments(territory_ids=["west"], period="2017-Q2")
            assert [Decimal(row.won or 0) for row in one] == [Decimal("0.1")]
            assert len(await index.attainments(territory_ids=["west"])) == 2
            assert len(await index.attainments(period="2017-Q1", users=True)) == 3
            assert await index.attainments(territory_ids=["north"], period="2017-Q1") == []

    asyncio.run(play())


def test_deals_in_no_sum_are_read_as_the_aggregator_lists_them(redis_at: Mapping[str, str], unique: str) -> None:
    """Each deal has its reason and detail (F2, F10)."""

    async def play() -> None:
        client = connect(settings(redis_at, unique))
        changes = [
            DealLeftOut(unique, "D-2", LeftOut("no_amount", "its amount 'x' is not a number")),
            DealLeftOut(unique, "D-1", LeftOut("unassigned", "it names no account")),
        ]
        await RedisDeals(client, "forecast-aggregator").apply(changes, [])
        await client.aclose()
        async with open_index(settings(redis_at, unique)) as index:
            assert await index.left_out() == [
                LeftOutDeal("D-1", "unassigned", "it names no account"),
                LeftOutDeal("D-2", "no_amount", "its amount 'x' is not a number"),
            ]

    asyncio.run(play())


def test_adjustments_are_read_as_the_aggregator_lists_them(redis_at: Mapping[str, str], unique: str) -> None:
    """They are sorted by period and deal; a territory that they count or counted in, a period or a year filters them
    (F12, F14).
    """
    bay = Counted(("bay", "west"), "won", Decimal("0.10"), Decimal(0), "ann", by_others=False)
    east = Counted(("east",), "pipeline", Decimal(7), Decimal("0.7"), None, by_others=False)

    async def play() -> None:
        client = connect(settings(redis_at, unique))
        changes = [
            DealAdjusted(unique, "2017-Q1", "D/2", Adjustment(bay, east)),
            DealAdjusted(unique, "2016-Q4", "D-1", Adjustment(None, bay)),
        ]
        await RedisDeals(client, "forecast-aggregator").apply(changes, [])
        await client.aclose()
        async with open_index(settings(redis_at, unique)) as index:
            first, second = await index.adjustments()
            assert (first.period, first.id, first.frozen) == ("2016-Q4", "D-1", None)
            assert first.now == {
                "path": ["bay", "west"], "category": "won", "amount": "0.1", "weighted": "0", "owner_id": "ann",
                "by_others": False,
            }  # fmt: skip
            assert (second.id, second.territories) == ("D/2", frozenset({"bay", "west", "east"}))
            assert [deal.id for deal in await index.adjustments(territory_id="east")] == ["D/2"]
            assert [deal.id for deal in await index.adjustments(period="2016-Q4")] == ["D-1"]
            assert [deal.id for deal in await index.adjustments(period="2017")] == ["D/2"]

    asyncio.run(play())
