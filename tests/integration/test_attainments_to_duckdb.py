"""The example that copies attainments to DuckDB: repeats, failures and resuming."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from attainments_to_duckdb.attainments import Attainments, Message, row_of
from attainments_to_duckdb.tail import tail
from territory.wire.codec import encode
from territory.wire.events import Attainment
from territory.wire.keys import attainment_key, partition_of
from territory.wire.topics import ATTAINMENTS
from territory_admin.log.kafka_session import provisioned_partitions
from territory_runtime.settings import Settings
from tests.integration.examples import PARTITIONS, producer

NOON = datetime(2017, 3, 1, 12, tzinfo=UTC)
CONTRACT = {
    "target", "won", "pipeline", "best_case", "committed", "weighted", "won_by_others", "deals_won", "attainment_pct",
    "gap", "shortage",
}  # fmt: skip
NOW = "SELECT territory, period, user_id, target, won, deals_won FROM attainments WHERE org = '{}' ORDER BY ALL"
DAYS = "SELECT day::TEXT, territory, user_id, won FROM attainment_days WHERE org = '{}' ORDER BY ALL"


def message(offset: int, won: str | None, territory: str = "west", user: str = "", days: int = 0) -> Message:
    key = "/".join(["acme", territory, "2017-Q1", *([user] if user else [])])
    said = (
        None if won is None else json.dumps({"won": won, "target": None, "deals_won": 1, "new": "of a later version"})
    )
    at = NOON + timedelta(days=days)
    return Message(0, offset, key.encode(), None if said is None else said.encode(), int(at.timestamp() * 1000))


@pytest.fixture
def attainments(tmp_path: Path) -> Iterator[Attainments]:
    with Attainments(tmp_path / "attainments.duckdb") as opened:
        yield opened


def rows(attainments: Attainments) -> list[list[tuple[Any, ...]]]:
    return [attainments.query(query.format("acme")) for query in (NOW, DAYS)]


MESSAGES = [
    message(0, "10"), message(1, "0.1", user="ann/of/sales"), message(2, "30.000000000001"),
    message(4, "20", days=1), message(5, "7", "east"), message(6, None, "east", days=2),
]  # fmt: skip


def test_rows_are_the_last_values_and_those_of_each_day(attainments: Attainments) -> None:
    """Amounts are exact; a deleted attainment has no current row, and its day has no figures."""
    attainments.put(MESSAGES)
    now, days = rows(attainments)
    assert now == [
        ("west", "2017-Q1", "", None, Decimal(20), 1),
        ("west", "2017-Q1", "ann/of/sales", None, Decimal("0.1"), 1),
    ]
    assert days == [
        ("2017-03-01", "east", "", Decimal(7)),
        ("2017-03-01", "west", "", Decimal("30.000000000001")),
        ("2017-03-01", "west", "ann/of/sales", Decimal("0.1")),
        ("2017-03-02", "west", "", Decimal(20)),
        ("2017-03-03", "east", "", None),
    ]
    assert attainments.progress() == {0: 7}


def test_repeats_change_nothing(attainments: Attainments) -> None:
    """Reading again from any offset, in batches of any size, gives the same rows."""
    attainments.put(MESSAGES)
    before = rows(attainments)
    for start in (0, 3):
        for each in MESSAGES[start:]:
            attainments.put([each])
        assert rows(attainments) == before
    assert attainments.progress() == {0: 7}


def test_failed_batch_leaves_nothing(attainments: Attainments) -> None:
    """Rows and offsets are written in one transaction, so a failed batch is read again."""
    attainments.put(MESSAGES[:1])
    before = rows(attainments)
    with pytest.raises(duckdb.InvalidInputException):
        attainments.put([message(1, "99"), message(2, "9" * 39)])
    assert (rows(attainments), attainments.progress()) == (before, {0: 1})


def test_topic_is_copied_and_resumed(settings: Settings, tmp_path: Path) -> None:
    """The tables have the topic's values; the next run resumes at the stored offsets."""
    org = settings.org_id

    def attainment(won: str) -> Attainment:
        return Attainment(org, "west", "2017-Q1", None, 1, "50", won, "0", "0", "0", "0", "0", 1, "2.00", "49", "49")

    async def publish(*values: Attainment | None) -> None:
        key = attainment_key(org, "west", "2017-Q1", None)
        async with producer(settings) as client:
            for value in values:
                raw = None if value is None else encode(value)
                place = partition_of(key, PARTITIONS)
                await client.send_and_wait(ATTAINMENTS.name, raw, key=key.encode(), partition=place)

    async def play() -> list[list[tuple[Any, ...]]]:
        found = []
        await provisioned_partitions(settings)
        for values in ((attainment("1"), attainment("2.5")), (), (attainment("3"),), (None,)):
            await publish(*values)
            with Attainments(tmp_path / "attainments.duckdb") as attainments:
                await tail(attainments, settings.kafka_bootstrap_servers, once=True)
                found.append(attainments.query(NOW.format(org)))
        return found

    first, again, third, gone = asyncio.run(play())
    assert first == again == [("west", "2017-Q1", "", Decimal(50), Decimal("2.5"), 1)]
    assert [row[4] for row in third] == [Decimal(3)]
    assert gone == []


@pytest.mark.embedded
def test_missing_topic_is_an_error(embedded_servers: str, attainments: Attainments) -> None:
    """The error says to start the services first."""
    with pytest.raises(LookupError, match=r"there is no topic no.such.topic: start the services first"):
        asyncio.run(tail(attainments, embedded_servers, once=True, topic="no.such.topic"))


def test_every_figure_of_an_attainment_has_a_column(attainments: Attainments) -> None:
    """The tables have every figure of the contract except the model revision."""
    columns = {name for name, *_ in attainments.query("DESCRIBE attainments")}
    assert CONTRACT <= columns == row_of(MESSAGES[0]).keys()
