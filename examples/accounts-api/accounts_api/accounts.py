"""The app's own records: accounts in SQLite, sorted by name. Who may see them is not known here."""

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


class Place(NamedTuple):
    """A place in the sorted list; two accounts can have one name."""

    name: str = ""
    id: str = ""


class Account(BaseModel):
    """An account as the app has it."""

    id: str
    version: int
    name: str
    sector: str | None = None
    country: str | None = None
    employees: int | None = None

    @property
    def place(self) -> Place:
        """Where it is in the sorted list."""
        return Place(self.name, self.id)


class AccountEdit(BaseModel, extra="forbid"):
    """What a user may change; what is left out stays."""

    sector: str | None = None
    country: str | None = None
    employees: int | None = None


class Accounts:
    """All accounts. Calls take microseconds, so the app makes them in its event loop."""

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

    def after(self, place: Place, count: int) -> list[Account]:
        """Return at most so many accounts that follow a place, in the order of the list."""
        with closing(self._database.execute(AFTER, (*place, count))) as found:
            return [Account.model_validate(dict(row)) for row in found]


def read_accounts(lines: Iterable[str]) -> Iterator[Account]:
    """Return the accounts among lines of RecordChange, such as `territory publish` sends."""
    for change in map(json.loads, lines):
        if change["object"] == "account" and change["op"] == "upsert":
            yield Account.model_validate({**change["fields"], "id": change["id"], "version": change["version"]})
