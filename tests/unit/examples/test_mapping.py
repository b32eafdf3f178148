"""The mapping of the example says what its files say, computed here a second time and differently."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from territory.wire.events import read_record_change

Change = dict[str, Any]
Tables = dict[str, list[dict[str, str]]]

PUBLISHED_SHA256 = {
    "accounts.csv": "e5242324768a563fc632cddfed49a29acbbf2892b8a3c6453cc9650de9ae0358",
    "data_dictionary.csv": "22b34e498d07e3d7f322afdbf81d70a5dc0a389792944e50ca2af86a3597f0af",
    "products.csv": "7c1c8cbbdb6d4c286902e1985eeb529a36366d6a43f43cd4a93c4b1da2a6eb84",
    "sales_pipeline.csv": "700b8bc0439631d32ef4b7dd96594e89cc1c1f3988766fc09a32a8da4b9ab418",
    "sales_teams.csv": "aeff1272ebe196f5a27e3fc0578aa27abf48ed9ae461aa344fb95990e5ad8bd1",
}
COMPUTING = {"software", "technology", "telecommunications"}
SECTORS = {"employment", "entertainment", "finance", "marketing", "medical", "retail", "services"} | COMPUTING
EUROPE = {"Belgium", "Germany", "Italy", "Norway", "Poland", "Romania"}
ASIA_PACIFIC = {"China", "Japan", "Korea", "Philippines"}
COUNTRIES = {"Brazil", "Jordan", "Kenya", "Panama", "United States"} | EUROPE | ASIA_PACIFIC
EXACT = re.compile(r"0|[1-9][0-9]*(\.[0-9]*[1-9])?")
COMMON = {"event_id", "org_id", "object", "id", "version", "op", "occurred_at", "owner_id", "fields"}


def of_kind(changes: list[Change], kind: str) -> list[Change]:
    return [change for change in changes if change["object"] == kind]


def when(text: str) -> datetime:
    return datetime.strptime(text, "%d-%m-%Y").replace(tzinfo=UTC)


def agent_id(name: str) -> str:
    return name.lower().replace(" ", "-")


@pytest.fixture(scope="module")
def deals(changes: list[Change]) -> dict[str, Change]:
    """The deals by id."""
    return {change["id"]: change for change in of_kind(changes, "deal")}


@pytest.fixture(scope="module")
def pairs(deals: dict[str, Change], tables: Tables) -> list[tuple[dict[str, str], Change]]:
    """Every line of the pipeline with the deal that came of it."""
    return [(row, deals[row["opportunity_id"]]) for row in tables["sales_pipeline"]]


def test_files_are_as_published(example: Path) -> None:
    """The data is the publisher's, byte for byte, line ends included."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in example.glob("data/*.csv")}
    assert found == PUBLISHED_SHA256


def test_counts_and_total(deals: dict[str, Change], tables: Tables) -> None:
    """8 800 deals, 4 238 of them won for 10 005 534, 1 425 without an account, as in the file."""
    rows = tables["sales_pipeline"]
    won = [int(row["close_value"]) for row in rows if row["deal_stage"] == "Won"]
    orphans = [row for row in rows if not row["account"]]
    assert (len(rows), len(won), sum(won), len(orphans)) == (8800, 4238, 10_005_534, 1425)

    amounts = [Decimal(deal["fields"]["amount"]) for deal in deals.values() if deal["fields"]["stage"] == "Won"]
    without_account = [deal for deal in deals.values() if deal["account_id"] is None]
    assert (len(deals), len(amounts), sum(amounts), len(without_account)) == (8800, 4238, 10_005_534, 1425)


def test_accounts_come_first_and_ids_are_unique(changes: list[Change]) -> None:
    """85 accounts, then the deals; no key and no event id twice."""
    assert [change["object"] for change in changes] == ["account"] * 85 + ["deal"] * 8800
    assert len({(change["object"], change["id"]) for change in changes}) == len(changes)
    assert len({change["event_id"] for change in changes}) == len(changes)


def test_every_value_is_known(changes: list[Change], tables: Tables) -> None:
    """After the corrections every product, series, sector and country is spelt as it should be."""
    series = {row["product"]: row["series"] for row in tables["products"]}
    assert {deal["fields"]["product"] for deal in of_kind(changes, "deal")} == set(series)
    for deal in of_kind(changes, "deal"):
        assert deal["fields"]["series"] == series[deal["fields"]["product"]]
    assert {account["fields"]["sector"] for account in of_kind(changes, "account")} == SECTORS
    assert {account["fields"]["country"] for account in of_kind(changes, "account")} == COUNTRIES


def test_corrections_are_counted(mapping: ModuleType, example: Path) -> None:
    """Nothing is corrected silently."""
    corrected: Counter[str] = Counter()
    list(mapping.changes(example / "data", corrected))
    assert corrected == {
        "product 'GTXPro' -> 'GTX Pro'": 1480,
        "sector 'technolgy' -> 'technology'": 12,
        "country 'Philipines' -> 'Philippines'": 1,
    }


def test_owners_are_users_of_the_model(
    changes: list[Change], pairs: list[tuple[dict[str, str], Change]], model: Change
) -> None:
    """A deal belongs to its agent; every owner is a user whom the model knows."""
    users = {user["id"] for user in model["users"]}
    assert {change["owner_id"] for change in changes} <= users
    for row, deal in pairs:
        assert deal["owner_id"] == agent_id(row["sales_agent"])


def test_accounts_belong_to_their_best_agent(changes: list[Change], tables: Tables) -> None:
    """The owner of an account won the most deals there; of equals it is the first by name."""
    wins = Counter((r["account"], r["sales_agent"]) for r in tables["sales_pipeline"] if r["deal_stage"] == "Won")
    for account in of_kind(changes, "account"):
        ranking = sorted((-count, agent) for (name, agent), count in wins.items() if name == account["fields"]["name"])
        assert account["owner_id"] == agent_id(ranking[0][1])


def test_accounts_say_what_the_file_says(changes: list[Change], tables: Tables) -> None:
    """Revenue is the file's millions in USD, exactly; numbers are numbers."""
    rows = {row["account"]: row for row in tables["accounts"]}
    for account in of_kind(changes, "account"):
        fields, row = account["fields"], rows[account["fields"]["name"]]
        assert EXACT.fullmatch(fields["revenue"])
        assert Decimal(fields["revenue"]) == Decimal(row["revenue"]).scaleb(6)
        assert fields["employees"] == int(row["employees"])
        assert fields["year_established"] == int(row["year_established"])
        assert fields.get("subsidiary_of", "") == row["subsidiary_of"]


def test_amounts_are_exact(pairs: list[tuple[dict[str, str], Change]], tables: Tables) -> None:
    """A decided deal has the amount of the file, an open one its product's list price and the mark of an estimate."""
    prices = {row["product"]: row["sales_price"] for row in tables["products"]}
    for row, deal in pairs:
        fields = deal["fields"]
        assert EXACT.fullmatch(fields["amount"])
        assert fields["amount"] == (row["close_value"] or prices[fields["product"]])
        assert fields["estimated"] is (row["deal_stage"] not in {"Won", "Lost"})


def test_dates(pairs: list[tuple[dict[str, str], Change]]) -> None:
    """Dates are the file's; an engaging deal closes, as an estimate, after the mean cycle of 52 days."""
    cycles = [(when(r["close_date"]) - when(r["engage_date"])).days for r, _ in pairs if r["deal_stage"] == "Won"]
    mean = sum(cycles) / len(cycles)
    assert round(mean, 2) == 51.78
    for row, deal in pairs:
        engaged = when(row["engage_date"]) if row["engage_date"] else None
        closed = when(row["close_date"]) if row["close_date"] else None
        if row["deal_stage"] == "Engaging" and engaged:
            closed = engaged + timedelta(days=round(mean))
        assert deal["fields"].get("created_at") == (f"{engaged:%Y-%m-%d}" if engaged else None)
        assert deal["fields"].get("close_date") == (f"{closed:%Y-%m-%d}" if closed else None)
        assert deal["fields"]["stage"] == row["deal_stage"]


def test_new_business_is_only_pipeline(pairs: list[tuple[dict[str, str], Change]]) -> None:
    """An engaging deal of an agent who never won at the account overrides its stage's category; no other deal does."""
    winners = {(row["account"], row["sales_agent"]) for row, _ in pairs if row["deal_stage"] == "Won"}
    for row, deal in pairs:
        new = row["deal_stage"] == "Engaging" and (row["account"], row["sales_agent"]) not in winners
        assert deal["fields"].get("forecast_category") == ("pipeline" if new else None)


def test_lines_are_record_changes(mapping: ModuleType, changes: list[Change]) -> None:
    """Every line is JSON with the attributes of a RecordChange and no others, each of its type."""
    for change in changes:
        read = json.loads(mapping.line(change))
        assert read == change
        parents = {"account_id", "contact_id"} if read["object"] == "deal" else set()
        assert set(read) == COMMON | parents
        assert (read["org_id"], read["version"], read["op"]) == ("demo", 1, "upsert")
        assert UUID(read["event_id"]).version == 5
        assert re.fullmatch(r"201[67]-\d\d-\d\dT00:00:00Z", read["occurred_at"])
        assert re.fullmatch(r"[A-Za-z0-9-]{1,255}", read["id"])
        assert isinstance(read["owner_id"], str)
        assert all(isinstance(value, str | int | bool) for value in read["fields"].values())


def test_product_accepts_every_line(mapping: ModuleType, changes: list[Change]) -> None:
    """The reader of `crm.records.v1` refuses none of the lines, and takes account and owner from them."""
    for change in changes:
        read = read_record_change(mapping.line(change))
        assert (read.id, read.owner_id, read.account_id) == (change["id"], change["owner_id"], change.get("account_id"))


def test_fields_are_declared_in_the_model(changes: list[Change], model: Change) -> None:
    """The model gives every field its type, so that any rule may use it (C5)."""
    for kind in ("account", "deal"):
        used = {name for change in of_kind(changes, kind) for name in change["fields"]}
        assert used == set(model["fields"][kind])


def test_two_runs_are_identical(example: Path, mapping: ModuleType, changes: list[Change]) -> None:
    """As a program it writes the same bytes each time, and what it counted to stderr."""
    runs = [
        subprocess.run(
            [sys.executable, str(example / "mapping.py")], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout == b"".join(map(mapping.line, changes))
    report = runs[0].stderr.decode().splitlines()
    assert report[:2] == ["85 accounts", "8800 deals"]
    assert "1480 times corrected: product 'GTXPro' -> 'GTX Pro'" in report


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("sales_pipeline.csv", ",Cancity,", ",Cancitty,"), "names account 'Cancitty', which accounts.csv lacks"),
        (("sales_pipeline.csv", ",MG Special,", ",MG Spezial,"), "sells 'MG Spezial', which products.csv lacks"),
        (("sales_pipeline.csv", ",Lost,", ",Gone,"), "is at stage 'Gone', which this mapping does not know"),
        (("sales_pipeline.csv", ",Won,", ",Lost,"), "the mean sales cycle needs one"),
        (("accounts.csv", "Zumgoity", "CANCITY"), "the id 'cancity' of 'CANCITY' is already taken"),
    ],
)
def test_unknown_values_are_refused(
    example: Path, mapping: ModuleType, tmp_path: Path, edit: tuple[str, str, str], message: str
) -> None:
    """What the mapping does not know stops it, with the value and the file that lacks it."""
    file, old, new = edit
    for path in example.glob("data/*.csv"):
        raw = path.read_bytes()
        (tmp_path / path.name).write_bytes(raw.replace(old.encode(), new.encode()) if path.name == file else raw)
    with pytest.raises(ValueError, match=re.escape(message)):
        list(mapping.changes(tmp_path))
