"""Reports read from the log, on Apache Kafka and on the embedded broker; no service runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from territory.wire.codec import encode
from territory.wire.events import Assignment, Attainment, DealFacts, Link, Record
from territory.wire.keys import attainment_key, partition_of, record_key
from territory.wire.topics import ASSIGNMENTS, ATTAINMENTS, FAMILIES, Topic
from territory_admin.errors import NotFound, Refused
from territory_admin.log.kafka_session import provisioned_partitions
from territory_admin.models.apply import apply
from territory_admin.models.validate import check_model
from territory_admin.queries.attainment_history import attainment_history
from territory_admin.reports.run import ReportFilter, custom_report, standard_report
from territory_admin.reports.standard import Revenue
from territory_runtime.settings import Settings
from tests.integration.examples import PARTITIONS, producer

FAMILY = 1
"""The partition of the account family that all records here are in."""


def model(org_id: str) -> Any:
    return check_model(
        json.dumps({
            "org": org_id, "fields": {"deal": {"product": "text"}, "account": {"sector": "text"}},
            "stages": {"Won": {"category": "won"}}, "territories": [{"id": "world"}, {"id": "west", "parent": "world"}],
        })
    )  # fmt: skip


def deal(org_id: str, deal_id: str, version: int, amount: str, territory_id: str | None = "west") -> Assignment:
    links = () if territory_id is None else (Link(territory_id, ("rule",), ()),)
    facts = DealFacts(amount=amount, stage="Won", close_date="2017-02-01")
    return Assignment(org_id, "deal", deal_id, version, 1, "ann", links, deal=facts)


def record(org_id: str, kind: Any, record_id: str, version: int, **fields: str) -> Record:
    account_id = "A" if kind == "deal" else None
    return Record(org_id, kind, record_id, version, 0, False, None, account_id, None, fields, {}, "A", 0, "e", 0)


async def put(settings: Settings, topic: Topic, *messages: tuple[str, Any, int]) -> None:
    """Put messages on a topic: key, what is said (bytes as they are) and partition."""
    async with producer(settings) as client:
        for key, said, partition in messages:
            value = said if said is None or isinstance(said, bytes) else encode(said)
            await client.send_and_wait(topic.name, value, key=key.encode(), partition=partition)


async def a_log(settings: Settings) -> None:
    """Put three deals and their records on the log, with what came before, what is gone and what others have."""
    org = settings.org_id
    await provisioned_partitions(settings)
    await apply(settings, model(org))

    def of(deal_id: str, said: Any, org_id: str = org) -> tuple[str, Any, int]:
        key = record_key(org_id, "deal", deal_id)
        return key, said, partition_of(key, PARTITIONS)

    def whole(kind: str, record_id: str, said: Any) -> tuple[str, Any, int]:
        return record_key(org, kind, record_id), said, FAMILY

    await put(
        settings, ASSIGNMENTS,
        of("D-1", deal(org, "D-1", 1, "1")), of("D-2", deal(org, "D-2", 1, "20")),
        of("D-3", deal(org, "D-3", 1, "300")),
        of("D-4", deal(org, "D-4", 1, "9", None)), of("D-1", deal(org, "D-1", 2, "2.5")), of("D-3", None),
        of("D-1", b"{"), of("D-1", deal(f"{org}-2", "D-1", 9, "7777"), f"{org}-2"),
        (record_key(org, "account", "A"), Assignment(org, "account", "A", 1, 1, None, ()), 0),
    )  # fmt: skip
    await put(
        settings, FAMILIES,
        whole("deal", "D-1", record(org, "deal", "D-1", 1, product="old")),
        whole("account", "A", record(org, "account", "A", 1, sector="Retail")),
        whole("deal", "D-1", record(org, "deal", "D-1", 2, product="GTX")), whole("deal", "D-2", b"[]"),
    )  # fmt: skip


def test_a_report_counts_the_last_assignment_of_each_deal(settings: Settings) -> None:
    """Only this organisation's deals count; removed deals and unreadable messages do not (F13)."""

    async def play() -> Any:
        await a_log(settings)
        return await standard_report(settings, Revenue, ReportFilter(), lambda *_: None)

    table = asyncio.run(play())
    assert [(row["territory_id"], row["own_won"], row["won"]) for row in table.rows] == [
        ("world", "0", "22.5"),
        ("west", "22.5", "22.5"),
    ]
    assert (table.left_out, table.model_revision) == ({"unassigned": 1}, 1)


def test_fields_are_those_of_whole_records(settings: Settings) -> None:
    """Groups use the present fields of a deal and its account; a deal without a record has none (F13)."""

    async def play() -> Any:
        await a_log(settings)
        return await custom_report(
            settings, ["won"], ["product", "account.sector"], ReportFilter("2017-Q1", "west"), lambda *_: None
        )

    table = asyncio.run(play())
    assert [tuple(row.values()) for row in table.rows] == [("GTX", "Retail", "2.5"), (None, None, "20")]


def test_history_has_the_last_value_of_each_day(settings: Settings) -> None:
    """Days follow the message timestamps; roots are the default, and users are left out (F13)."""
    org = settings.org_id
    day_ms = 24 * 60 * 60 * 1000

    def published(territory_id: str, won: str, user_id: str | None = None) -> tuple[str, Attainment]:
        value = Attainment(
            org, territory_id, "2017-Q1", user_id, 1, None, won, "0", "0", "0", "0", "0", 1, None, None, None
        )
        return attainment_key(org, territory_id, "2017-Q1", user_id), value

    async def play() -> list[list[Any]]:
        await provisioned_partitions(settings)
        await apply(settings, model(org))
        async with producer(settings) as client:
            for day, (key, attainment) in (
                (17_000, published("world", "1")), (17_000, published("world", "2")), (17_001, published("west", "3")),
                (17_002, published("world", "4")), (17_003, published("west", "5", "ann")),
            ):  # fmt: skip
                value, partition = encode(attainment), partition_of(key, PARTITIONS)
                await client.send_and_wait(
                    ATTAINMENTS.name, value, key=key.encode(), partition=partition, timestamp_ms=day * day_ms
                )
        asked = ((None, None), ("west", None), ("west", "2017-Q1"), ("world", "2017-Q2"))
        return [(await attainment_history(settings, where, period, lambda *_: None))[1] for where, period in asked]

    of_root, of_west, of_quarter, of_another = asyncio.run(play())
    assert [(str(point.day), point.territory_id, point.won) for point in of_root] == [
        ("2016-07-18", "world", "2"),
        ("2016-07-20", "world", "4"),
    ]
    assert [(str(point.day), point.won) for point in of_west] == [("2016-07-19", "3")]
    assert (of_quarter, of_another) == (of_west, [])
    with pytest.raises(Refused, match="found period 'Q1'"):
        asyncio.run(attainment_history(settings, None, "Q1", lambda *_: None))


def test_unknown_names_are_reported(settings: Settings) -> None:
    """An unknown territory, no period, an undeclared field, an organisation without a model."""

    async def ask(only: ReportFilter, by: str = "period", asked: Settings = settings) -> None:
        await custom_report(asked, ["won"], [by], only, lambda *_: None)

    async def play() -> None:
        await provisioned_partitions(settings)
        await apply(settings, model(settings.org_id))
        with pytest.raises(NotFound, match=r"territory 'wset' .* did you mean west"):
            await ask(ReportFilter(None, "wset"))
        with pytest.raises(Refused, match="found period '2017-03', expected a quarter"):
            await ask(ReportFilter("2017-03"))
        with pytest.raises(Refused, match=r"found --by sector, expected one of .*account.sector"):
            await ask(ReportFilter(), "sector")
        with pytest.raises(NotFound, match="has no model"):
            await ask(ReportFilter(), asked=settings.model_copy(update={"org_id": "nobody"}))

    asyncio.run(play())
