"""Turns the CSV files of this example into RecordChange lines, as an upstream CRM would publish them.

    python mapping.py > records.jsonl

Accounts come first, then deals, each in file order. The same files give the same bytes. Counts go to stderr.
The module imports only the standard library, so it can be loaded by path from a copy of this folder.

Estimates for values that the files lack (see README.md):

- the owner of an account is the agent who won the most deals there;
- the amount of an open deal is the list price of its product;
- the close date of an open deal is its engage date plus the mean sales cycle of the won deals;
- an engaging deal of an agent who has never won at that account is only `pipeline`.

Open deals carry `estimated: true`.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

Row = dict[str, str]
Change = dict[str, object]

ORG_ID = "demo"
CURRENCY = "USD"
VERSION = 1
UNDATED = date(2016, 1, 1)
"""Change date of a record without a date of its own; earlier than every date in the files."""

REVENUE_UNIT_USD = 1_000_000

CORRECTIONS: dict[str, dict[str, str]] = {
    "product": {"GTXPro": "GTX Pro"},
    "sector": {"technolgy": "technology"},
    "country": {"Philipines": "Philippines"},
}
"""Misspelt values by kind. Nothing else is corrected."""

OPEN_STAGES = frozenset({"Prospecting", "Engaging"})
CLOSED_STAGES = frozenset({"Won", "Lost"})


class Product(NamedTuple):
    """A line of the price list."""

    series: str
    list_price_usd: Decimal


class History(NamedTuple):
    """Statistics of the won deals, used to estimate values of other records."""

    wins: dict[str, Counter[str]]
    """Deals won, by account and then by agent."""
    cycle_days: int
    """Mean days from engaged to won, to the nearest whole day."""


def changes(folder: Path, corrected: Counter[str] | None = None) -> Iterator[Change]:
    """Yield one RecordChange for every account, then one for every deal.

    `folder` holds the CSV files. `corrected`, if given, counts the misspelt values.
    Raises: ValueError if a file holds an unknown value.
    """
    corrected = Counter() if corrected is None else corrected
    accounts = read(folder / "accounts.csv")
    deals = [with_product_corrected(row, corrected) for row in read(folder / "sales_pipeline.csv")]
    products = price_list(read(folder / "products.csv"))
    history = history_of(deals)
    account_ids = ids_of(row["account"] for row in accounts)
    for row in accounts:
        yield account_change(row, account_ids, history, corrected)
    for row in deals:
        yield deal_change(row, account_ids, products, history)


def read(path: Path) -> list[Row]:
    """Return the lines of a CSV file by column name."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slug(name: str) -> str:
    """Return a readable id: lower case, every other character a single hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def ids_of(names: Iterable[str]) -> dict[str, str]:
    """Return the id of each name.

    Raises: ValueError if two names have one id.
    """
    ids: dict[str, str] = {}
    for name in names:
        if slug(name) in ids.values():
            raise ValueError(f"the id {slug(name)!r} of {name!r} is already taken; rename one of the two")
        ids[name] = slug(name)
    return ids


def correct(kind: str, value: str, corrected: Counter[str]) -> str:
    """Return the value as it should be spelt, and count it if it was not."""
    right = CORRECTIONS[kind].get(value, value)
    if right != value:
        corrected[f"{kind} {value!r} -> {right!r}"] += 1
    return right


def with_product_corrected(row: Row, corrected: Counter[str]) -> Row:
    """Return a deal's line with the product as the price list spells it."""
    return row | {"product": correct("product", row["product"], corrected)}


def price_list(rows: Iterable[Row]) -> dict[str, Product]:
    """Return the products by name."""
    return {row["product"]: Product(row["series"], Decimal(row["sales_price"])) for row in rows}


def day(text: str) -> date | None:
    """Return the date that is written DD-MM-YYYY, or None for an empty cell."""
    return date.fromisoformat("-".join(reversed(text.split("-")))) if text else None


def decimal_text(value: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros behind the point."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def history_of(deals: Iterable[Row]) -> History:
    """Return who won where, and how long it took on average.

    Raises: ValueError if no deal was won, because then there is no average.
    """
    wins: dict[str, Counter[str]] = defaultdict(Counter)
    cycles: list[int] = []
    for row in deals:
        engaged, closed = day(row["engage_date"]), day(row["close_date"])
        if row["deal_stage"] == "Won" and engaged and closed:
            wins[row["account"]][row["sales_agent"]] += 1
            cycles.append((closed - engaged).days)
    if not cycles:
        raise ValueError("no won deal has an engage date and a close date; the mean sales cycle needs one")
    return History(dict(wins), round(Fraction(sum(cycles), len(cycles))))


def account_owner(account: str, history: History) -> str | None:
    """Return the id of the agent with the most deals won at an account, of several the first by name."""
    wins = history.wins.get(account)
    return slug(min(wins, key=lambda agent: (-wins[agent], agent))) if wins else None


def has_won_there(row: Row, history: History) -> bool:
    """Return whether the agent of a deal has won any deal at its account."""
    return row["sales_agent"] in history.wins.get(row["account"], {})


def account_change(row: Row, account_ids: dict[str, str], history: History, corrected: Counter[str]) -> Change:
    """Return the change of one account. Revenue: from millions to USD, exact."""
    fields: dict[str, object] = {
        "name": row["account"],
        "sector": correct("sector", row["sector"], corrected),
        "country": correct("country", row["office_location"], corrected),
        "revenue": decimal_text(Decimal(row["revenue"]) * REVENUE_UNIT_USD),
        "employees": int(row["employees"]),
        "year_established": int(row["year_established"]),
    }
    if row["subsidiary_of"]:
        fields["subsidiary_of"] = row["subsidiary_of"]
    body: Change = {"owner_id": account_owner(row["account"], history), "fields": fields}
    return change("account", account_ids[row["account"]], UNDATED, body)


def deal_change(row: Row, account_ids: dict[str, str], products: dict[str, Product], history: History) -> Change:
    """Return the change of one deal.

    Raises: ValueError if its account, product or stage is unknown.
    """
    deal_id, account, stage = row["opportunity_id"], row["account"], row["deal_stage"]
    if account and account not in account_ids:
        raise ValueError(f"deal {deal_id!r} names account {account!r}, which accounts.csv lacks")
    if row["product"] not in products:
        raise ValueError(f"deal {deal_id!r} sells {row['product']!r}, which products.csv lacks")
    if stage not in OPEN_STAGES | CLOSED_STAGES:
        raise ValueError(f"deal {deal_id!r} is at stage {stage!r}, which this mapping does not know")
    engaged, closed = day(row["engage_date"]), day(row["close_date"])
    body: Change = {
        "owner_id": slug(row["sales_agent"]),
        "account_id": account_ids[account] if account else None,
        "contact_id": None,
        "fields": deal_fields(row, products[row["product"]], history),
    }
    return change("deal", deal_id, closed or engaged or UNDATED, body)


def deal_fields(row: Row, product: Product, history: History) -> dict[str, object]:
    """Return the fields of one deal; an open deal with estimates carries `estimated: true`."""
    is_open = row["deal_stage"] in OPEN_STAGES
    engaged, closed = day(row["engage_date"]), day(row["close_date"])
    if is_open and engaged:
        closed = engaged + timedelta(days=history.cycle_days)
    amount = product.list_price_usd if is_open else Decimal(row["close_value"])
    fields: dict[str, object] = {
        "amount": decimal_text(amount),
        "currency": CURRENCY,
        "stage": row["deal_stage"],
        "product": row["product"],
        "series": product.series,
        "estimated": is_open,
    }
    if closed:
        fields["close_date"] = closed.isoformat()
    if engaged:
        fields["created_at"] = engaged.isoformat()
    if row["deal_stage"] == "Engaging" and not has_won_there(row, history):
        fields["forecast_category"] = "pipeline"
    return fields


def change(kind: str, record_id: str, occurred_on: date, body: Change) -> Change:
    """Return a RecordChange that carries the whole record; its event id follows from its key."""
    return {
        "event_id": str(uuid5(NAMESPACE_URL, f"{ORG_ID}/{kind}/{record_id}/{VERSION}")),
        "org_id": ORG_ID,
        "object": kind,
        "id": record_id,
        "version": VERSION,
        "op": "upsert",
        "occurred_at": f"{occurred_on.isoformat()}T00:00:00Z",
        **body,
    }


def line(item: Change) -> bytes:
    """Return one line of JSON, UTF-8, with its line end."""
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def main() -> None:
    """Write every change to stdout and the counts to stderr."""
    corrected: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for item in changes(Path(__file__).resolve().parent / "data", corrected):
        sys.stdout.buffer.write(line(item))
        written[str(item["object"])] += 1
    for kind, count in written.items():
        print(f"{count} {kind}s", file=sys.stderr)
    for correction, count in corrected.items():
        print(f"{count} times corrected: {correction}", file=sys.stderr)


if __name__ == "__main__":
    main()
