"""The tables: how territories stand, how they stood at the end of each day, and how far the topic was read."""

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
"""Of both tables. A user_id of '' is the territory's own; no figure where there is none."""
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
SAID = "CREATE OR REPLACE TEMP TABLE said AS SELECT unnest(from_json_strict(?, ?), recursive := true)"
DAYS = "INSERT OR REPLACE INTO attainment_days BY NAME FROM said"
GONE = """
DELETE FROM attainments AS old USING said
WHERE said.won IS NULL AND (old.org, old.territory, old.period, old.user_id)
    = (said.org, said.territory, said.period, said.user_id)
"""
STANDS = "INSERT OR REPLACE INTO attainments BY NAME FROM said WHERE won IS NOT NULL"
PROGRESS = "INSERT OR REPLACE INTO progress VALUES (?, ?)"


class Message(NamedTuple):
    """What was read of one message."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    """None: the attainment is gone."""
    timestamp_ms: int


Row = dict[str, Any]


class Attainments:
    """A DuckDB file with the tables; close it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self._database = duckdb.connect(path)
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def progress(self) -> dict[int, int]:
        """Return the next offset by partition, of those that were read."""
        return dict(self._database.execute("SELECT partition, next_offset FROM progress").fetchall())

    def put(self, messages: Sequence[Message]) -> None:
        """Take messages, in their order in each partition: all of them and how far they go, or nothing.

        The same messages again end in the same rows: each carries a whole state.
        """
        now: dict[bytes, Row] = {}
        by_day: dict[tuple[bytes, str], Row] = {}
        for message in messages:
            row = row_of(message)
            now[message.key] = by_day[message.key, row["day"]] = row
        ends = {message.partition: message.offset + 1 for message in messages}
        self._database.begin()
        try:
            self._say(by_day.values())
            self._database.execute(DAYS)
            self._say(now.values())
            self._database.execute(GONE)
            self._database.execute(STANDS)
            self._database.executemany(PROGRESS, list(ends.items()))
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._database.execute(sql).fetchall()

    def _say(self, rows: Iterable[Row]) -> None:
        self._database.execute(SAID, [json.dumps(list(rows)), json.dumps([COLUMNS])])


def row_of(message: Message) -> Row:
    """Return a message as a row; of an attainment that is gone without figures."""
    org, territory, period, *user = message.key.decode().split("/", 3)
    said: Mapping[str, Any] = {} if message.value is None else json.loads(message.value)
    instant = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
    return {
        "org": org, "territory": territory, "period": period, "user_id": user[0] if user else "",
        "day": instant.date().isoformat(), "said_at": instant.isoformat(),
        **{name: said.get(name) for name in FIGURES},
    }  # fmt: skip
