"""The DuckDB tables: current attainments, attainments at the end of each day, and the offsets read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import duckdb

AMOUNT = "DECIMAL(38, 12)"
COLUMNS = {
    "org": "TEXT", "territory": "TEXT", "period": "TEXT", "user_id": "TEXT", "day": "DATE", "said_at": "TIMESTAMPTZ",
    "target": AMOUNT, "won": AMOUNT, "pipeline": AMOUNT, "best_case": AMOUNT, "committed": AMOUNT, "weighted": AMOUNT,
    "won_by_others": AMOUNT, "gap": AMOUNT, "shortage": AMOUNT, "attainment_pct": AMOUNT, "deals_won": "BIGINT",
}  # fmt: skip
"""Columns of both attainment tables. A user_id of '' means the territory itself; a missing figure is NULL."""
FIGURES = tuple(COLUMNS)[6:]
TABLES = f"""
CREATE TABLE IF NOT EXISTS attainments (
    {", ".join(" ".join(column) for column in COLUMNS.items())}, PRIMARY KEY (org, territory, period, user_id)
);
CREATE TABLE IF NOT EXISTS attainment_days (
    {", ".join(" ".join(column) for column in COLUMNS.items())}, PRIMARY KEY (org, territory, period, user_id, day)
);
CREATE TABLE IF NOT EXISTS progress (partition INTEGER PRIMARY KEY, next_offset BIGINT);
"""
BATCH = "CREATE OR REPLACE TEMP TABLE batch AS SELECT unnest(from_json_strict(?, ?), recursive := true)"
DAYS = "INSERT OR REPLACE INTO attainment_days BY NAME FROM batch"
DELETED = """
DELETE FROM attainments AS old USING batch
WHERE batch.won IS NULL AND (old.org, old.territory, old.period, old.user_id)
    = (batch.org, batch.territory, batch.period, batch.user_id)
"""
CURRENT = "INSERT OR REPLACE INTO attainments BY NAME FROM batch WHERE won IS NOT NULL"
PROGRESS = "INSERT OR REPLACE INTO progress VALUES (?, ?)"


class Message(NamedTuple):
    """One message of the topic."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    """None: the attainment is deleted."""
    timestamp_ms: int


Row = dict[str, Any]


class Attainments:
    """A DuckDB file with the tables; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._database = duckdb.connect(path)
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def progress(self) -> dict[int, int]:
        """Return the next offset of each partition that was read."""
        return dict(self._database.execute("SELECT partition, next_offset FROM progress").fetchall())

    def put(self, messages: Sequence[Message]) -> None:
        """Write messages and their offsets in one transaction. Messages of a partition must be in order.

        Idempotent: each message carries the whole state of its key.
        """
        now: dict[bytes, Row] = {}
        by_day: dict[tuple[bytes, str], Row] = {}
        for message in messages:
            row = row_of(message)
            now[message.key] = by_day[message.key, row["day"]] = row
        ends = {message.partition: message.offset + 1 for message in messages}
        self._database.begin()
        try:
            self._load(by_day.values())
            self._database.execute(DAYS)
            self._load(now.values())
            self._database.execute(DELETED)
            self._database.execute(CURRENT)
            self._database.executemany(PROGRESS, list(ends.items()))
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._database.execute(sql).fetchall()

    def _load(self, rows: Iterable[Row]) -> None:
        self._database.execute(BATCH, [json.dumps(list(rows)), json.dumps([COLUMNS])])


def row_of(message: Message) -> Row:
    """Return a message as a row; without figures if the attainment is deleted."""
    org, territory, period, *user = message.key.decode().split("/", 3)
    figures: Mapping[str, Any] = {} if message.value is None else json.loads(message.value)
    instant = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
    return {
        "org": org, "territory": territory, "period": period, "user_id": user[0] if user else "",
        "day": instant.date().isoformat(), "said_at": instant.isoformat(),
        **{name: figures.get(name) for name in FIGURES},
    }  # fmt: skip
