"""Generates random organisations and their CRMs' and administrators' messages: records, links, models, bad messages.

Ids are few, so that records meet, move and return often. The same seed gives the same history.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import deque
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple

from territory.wire.keys import record_key

ORGS = ("north", "south")
"""Two tenants: nothing may cross between them, and a fault hits both."""
ACCOUNTS = 150
OTHERS = 500
USERS = 6
COUNTRIES = ("US", "CA", "MX", "DE", "FR", None)
TERRITORIES = ("world", "america", "europe", "big", "new", "nook", "moon")
"""`nook` is in some models only, `moon` in none."""
LATE_SHARE, DUPLICATE_SHARE, COPY_SHARE, POISON_SHARE = 0.03, 0.03, 0.02, 0.01
LATE_MESSAGES_MAX = 1_000
COPIED_MESSAGES_MAX = 3_000
HOT_DEALS = 250
"""Of one account: its family is large, so followers are decided in steps."""
HOT_CONTACTS = ("C-0", "C-1", None)
"""Contacts of other accounts that the deals of one account name; they move now and then."""
RAISING_ID = "A-raises"
RAISING_KEY = record_key(ORGS[0], "account", RAISING_ID)
"""The record on which the intake fold raises."""
DAYS = 40
"""Accounts are founded at most this many days before the history begins."""

Change = dict[str, Any]
Document = dict[str, Any]


MessageKind = Literal["change", "poison", "raises"]
"""A change is readable and correctly keyed, poison is not; on the third kind the intake fold raises (`worker.py`)."""


class HistoryMessage(NamedTuple):
    """A message for crm.records.v1; all but changes must end in the dead letters."""

    key: str
    value: bytes | None
    kind: MessageKind = "change"

    @property
    def is_change(self) -> bool:
        """Whether the oracle takes it into account."""
        return self.kind == "change"


def messages(seed: int, today: date) -> Iterator[HistoryMessage]:
    """Yield messages for ever: changes in and out of order, once or more often, and a few that are unreadable."""
    dice = random.Random(f"history {seed}")  # noqa: S311
    changes = _changes(dice, today)
    late: list[tuple[int, int, HistoryMessage]] = []
    before: deque[HistoryMessage] = deque(maxlen=COPIED_MESSAGES_MAX)
    for number in count():
        while late and late[0][0] <= number:
            yield heapq.heappop(late)[2]
        said = _message(next(changes))
        luck = dice.random()
        if luck < LATE_SHARE:
            heapq.heappush(late, (number + dice.randrange(1, LATE_MESSAGES_MAX), number, said))
            continue
        yield said
        before.append(said)
        if luck > 1 - DUPLICATE_SHARE:
            yield said
        if dice.random() < COPY_SHARE:
            yield dice.choice(before)
        if dice.random() < POISON_SHARE:
            yield _poison(said, dice)


def _message(change: Change) -> HistoryMessage:
    key = record_key(change["org_id"], change["object"], change["id"])
    return HistoryMessage(key, json.dumps(change).encode())


def _poison(message: HistoryMessage, dice: random.Random) -> HistoryMessage:
    """Return a message that must be refused, beside a record that continues."""
    assert message.value is not None
    change = json.loads(message.value)
    bad: tuple[tuple[str, bytes | None], ...] = (
        (message.key, b"\xff\xfe not json"),
        (message.key, message.value[: len(message.value) // 2]),
        (message.key, b""),
        (message.key, None),
        (message.key, json.dumps(change | {"op": "explode"}).encode()),
        (message.key, json.dumps(change | {"version": -1}).encode()),
        (message.key, json.dumps({**change, "id": ""}).encode()),
        (f"{message.key}-not", message.value),
        ("nonsense", message.value),
    )
    key, value = dice.choice(bad)
    return HistoryMessage(key, value, "poison")


def hot_account(name: str, today: date) -> Iterator[HistoryMessage]:
    """Yield the deals of one account, then changes of that account for ever.

    With each change the deals follow, except those whose contact has territories. Most changes come before the
    fan-out of the one before is over.
    """
    dice = random.Random(f"hot account {name}")  # noqa: S311
    account = f"A-{name}"
    for number in count():
        is_deal = number < HOT_DEALS
        change: Change = {
            "event_id": f"{name}-{number}", "org_id": ORGS[0], "object": "deal" if is_deal else "account",
            "id": f"D-{name}-{number}" if is_deal else account, "occurred_at": "2017-03-01T10:00:00Z",
            "version": 1 if is_deal else number, "op": "upsert",
        }  # fmt: skip
        change |= _content(change["object"], dice, today)
        if is_deal:
            change |= {"account_id": account, "contact_id": dice.choice(HOT_CONTACTS)}
        yield _message(change)


def raising(name: str) -> Iterator[HistoryMessage]:
    """Yield correct changes of the record on which the intake fold raises."""
    for number in count(1):
        change: Change = {
            "event_id": f"{name}-{number}", "org_id": ORGS[0], "object": "account", "id": RAISING_ID,
            "occurred_at": "2017-03-01T10:00:00Z", "version": number, "op": "upsert", "owner_id": "u0",
            "fields": {"country": "US"},
        }  # fmt: skip
        yield _message(change)._replace(kind="raises")


# --- records ----------------------------------------------------------------------------------


def _changes(dice: random.Random, today: date) -> Iterator[Change]:
    versions: dict[str, int] = {}
    links: dict[str, int] = {}
    alive: set[str] = set()
    for number in count():
        org = ORGS[dice.random() < 0.25]
        kind = dice.choices(("account", "contact", "lead", "deal"), (3, 2, 1, 4))[0]
        record = f"{kind[0].upper()}-{_some(ACCOUNTS if kind == 'account' else OTHERS, dice)}"
        key = record_key(org, kind, record)
        change: Change = {
            "event_id": f"e{number}", "org_id": org, "object": kind, "id": record,
            "occurred_at": "2017-03-01T10:00:00Z",
        }  # fmt: skip
        what = dice.random()
        if what < 0.06 and (key in alive or what < 0.005):
            links[key] = links.get(key, 0) + dice.choice((1, 1, 1, 3))
            yield change | {
                "op": "link", "version": links[key], "territory_id": dice.choice(TERRITORIES),
                "kind": dice.choice(("assign", "assign", "exclude", "none")),
            }  # fmt: skip
            continue
        versions[key] = versions.get(key, 0) + dice.choice((1, 1, 1, 5))
        change["version"] = versions[key]
        if what < 0.13 and key in alive:
            alive.discard(key)
            yield change | {"op": "delete"}
        elif what < 0.4 and (key in alive or what < 0.14):
            yield change | {"op": "patch"} | _part_of(_content(kind, dice, today), dice)
        else:
            alive.add(key)
            yield change | {"op": "upsert"} | _content(kind, dice, today)


def _some(most: int, dice: random.Random) -> int:
    """Return a record id; a tenth of the ids is used half of the time."""
    return dice.randrange(most // 10 if dice.random() < 0.5 else most)


def _part_of(content: Change, dice: random.Random) -> Change:
    """Return the content of a patch, which moves the record to another account more often than not."""
    fields = {name: value for name, value in content["fields"].items() if dice.random() < 0.5}
    said = {name: value for name, value in content.items() if name != "fields" and dice.random() < 0.5}
    return said | {"fields": fields}


def _content(kind: str, dice: random.Random, today: date) -> Change:
    content: Change = {"owner_id": dice.choice((*(f"u{number}" for number in range(USERS)), "boss", "queue", "nobody"))}
    if kind in ("contact", "deal"):
        content["account_id"] = f"A-{_some(ACCOUNTS, dice)}" if dice.random() < 0.9 else None
    if kind == "deal":
        content["contact_id"] = f"C-{_some(OTHERS, dice)}" if dice.random() < 0.3 else None
        content["fields"] = {
            "amount": str(dice.randrange(10_000)), "stage": dice.choice(("Open", "Open", "Won", "Lost", "odd")),
            "currency": dice.choice(("USD", "USD", "EUR", "JPY")), "product": dice.choice(("GTX Pro", "MG Special")),
            "close_date": dice.choice((f"2017-0{dice.randrange(1, 10)}-15", "2017-02-28", None)),
        }  # fmt: skip
    else:
        content["fields"] = {
            "country": dice.choice(COUNTRIES), "revenue": str(dice.randrange(1_000_000)),
            "since": (today - timedelta(days=dice.randrange(DAYS))).isoformat(),
        }  # fmt: skip
    return content


# --- models -----------------------------------------------------------------------------------


def models(seed: int) -> Iterator[Document]:
    """Yield models for ever: first one for each organisation, then changed ones of any."""
    dice = random.Random(f"models {seed}")  # noqa: S311
    for number in count():
        yield _model(ORGS[number] if number < len(ORGS) else dice.choice(ORGS), dice)


def _model(org: str, dice: random.Random) -> Document:
    territories: list[Document] = [
        {"id": "world", "manager": "boss", "rules": {"account": {"field": "country", "is_not_empty": True}}},
        {
            "id": "america", "parent": "world", "users": ["u0", "u1"],
            "permission": dice.choice(("read_write_delete", "read_only")),
            "rules": {
                "account": {"field": "country", "in": ["US", *dice.sample(["CA", "DE", "FR"], dice.randrange(4))]},
                "lead": {"field": "country", "eq": dice.choice(("US", "CA"))},
            },
        },
        {"id": "europe", "parent": dice.choice(("world", "america")), "manager": dice.choice(("u2", "u4")),
         "rules": {"account": {"field": "country", "in": ["DE", "FR"]}}},
        {"id": "big", "parent": "world", "users": ["u3", dice.choice(("u4", "u5"))], "priority": dice.choice((0, 5)),
         "rules": {
             "account": {"field": "revenue", "ge": str(dice.choice((300_000, 500_000, 800_000)))},
             "deal": {"field": "product", "starts_with": dice.choice(("GTX", "MG"))},
         }},
        {"id": "new", "parent": "world", "users": ["u5"],
         "rules": {"account": {"field": "since", "within_last_days": dice.choice((5, 10, 20))}}},
    ]  # fmt: skip
    if dice.random() < 0.5:
        territories.append({"id": "nook", "parent": dice.choice(("europe", "big")), "users": ["u1"], "rules": {
            "account": {"field": "country", "eq": dice.choice(("DE", "US"))}, "lead": {"field": "country", "eq": "FR"},
        }})  # fmt: skip
    return {
        "org": org,
        "currency": "USD",
        "period": "quarter",
        "settings": {"max_territories_per_record": dice.choice((1, 2, 3))},
        "fields": {
            "account": {"country": "text", "revenue": "money", "since": "date"}, "lead": {"country": "text"},
            "deal": {"product": "text"},
        },
        "stages": {
            "Open": {"category": dice.choice(("pipeline", "best_case")), "probability": dice.choice(("0.25", "0.5"))},
            "Won": {"category": "won"},
            "Lost": {"category": "omitted"},
        },
        "rates": [
            {"from": "EUR", "period": "2017-Q1", "rate": dice.choice(("1.1", "1.2"))},
            {"from": "EUR", "period": "2017-Q2", "rate": "1.3"},
        ],
        "roles": [{"id": "head"}, {"id": "east", "parent": "head"}, {"id": "west", "parent": "head"}],
        "users": [
            {"id": "boss", "role": "head"},
            {"id": "root", "role": "head", "admin": True},
            *(
                {
                    "id": f"u{number}", "role": dice.choice(("east", "west", "west", "head")),
                    "active": dice.random() < 0.9, "admin": dice.random() < 0.05,
                }
                for number in range(USERS)
            ),
        ],
        "groups": [
            {
                "id": "queue", "users": [dice.choice(("u1", "u4"))],
                "roles": dice.sample(["east", "west"], dice.randrange(2)),
            }
        ],
        "territories": territories,
        "targets": [
            {"territory": "world", "period": "2017-Q1", "amount": str(dice.randrange(1, 9) * 100_000)},
            {"territory": "america", "user": "u0", "period": "2017-Q1", "amount": str(dice.randrange(9) * 1_000)},
        ],
    }  # fmt: skip
