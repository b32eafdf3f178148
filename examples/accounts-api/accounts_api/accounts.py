"""The app's own records: accounts in SQLite, sorted by name. Access control is elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from pydantic import BaseModel

TABLE = """
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL, sector TEXT, country TEXT, employees INTEGER
);
CREATE INDEX IF NOT EXISTS by_name ON accounts (name, id);
"""
PUT = "REPLACE INTO accounts VALUES (:id, :version, :name, :sector, :country, :employees)"
AFTER = "SELECT * FROM accounts WHERE (name, id) > (?, ?) ORDER BY name, id LIMIT ?"


class ListPosition(NamedTuple):
    """A position in the list sorted by name and id; names are not unique."""

    name: str = ""
    id: str = ""


class Account(BaseModel):
    """An account in the app."""

    id: str
    version: int
    name: str
    sector: str | None = None
    country: str | None = None
    employees: int | None = None

    @property
    def position(self) -> ListPosition:
        """Its position in the sorted list."""
        return ListPosition(self.name, self.id)


class AccountEdit(BaseModel, extra="forbid"):
    """The fields that a user may change; omitted fields stay as they are."""

    sector: str | None = None
    country: str | None = None
    employees: int | None = None


class Accounts:
    """All accounts. Calls take microseconds, so they may run on the event loop."""

    def __init__(self, path: str = ":memory:") -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(TABLE)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def put(self, accounts: Iterable[Account]) -> None:
        """Have accounts as they are now, all or none."""
        with self._database:
            self._database.executemany(PUT, (account.model_dump() for account in accounts))

    def get(self, account_id: str) -> Account | None:
        """Return an account, if there is one of this id."""
        with closing(self._database.execute("SELECT * FROM accounts WHERE id = ?", (account_id,))) as found:
            row = found.fetchone()
        return None if row is None else Account.model_validate(dict(row))

    def after(self, position: ListPosition, count: int) -> list[Account]:
        """Return up to `count` accounts after a position, in the order of the list."""
        with closing(self._database.execute(AFTER, (*position, count))) as found:
            return [Account.model_validate(dict(row)) for row in found]


def read_accounts(lines: Iterable[str]) -> Iterator[Account]:
    """Yield the accounts among RecordChange lines, the input of `territory publish`."""
    for change in map(json.loads, lines):
        if change["object"] == "account" and change["op"] == "upsert":
            yield Account.model_validate({**change["fields"], "id": change["id"], "version": change["version"]})
