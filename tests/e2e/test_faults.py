"""Workers that are killed, join and leave in the middle of the work: the end state is the oracle's (A9)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.house import SERVICES, House, compare
from tests.support.oracle import expected

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

RECORDS = 20_000
ORG = "faults"
COUNTRIES = ("US", "CA", "MX", "DE", "FR", None)

MODEL: dict[str, Any] = {
    "org": ORG,
    "currency": "USD",
    "period": "quarter",
    "settings": {"max_territories_per_record": 2},
    "fields": {
        "account": {"country": "text", "revenue": "money"}, "lead": {"country": "text"}, "deal": {"product": "text"}
    },
    "stages": {
        "Open": {"category": "pipeline", "probability": "0.25"},
        "Won": {"category": "won"},
        "Lost": {"category": "omitted"},
    },
    "roles": [{"id": "head"}, {"id": "east", "parent": "head"}, {"id": "west", "parent": "head"}],
    "users": [
        {"id": "boss", "role": "head"},
        {"id": "root", "role": "head", "admin": True},
        *({"id": f"u{number}", "role": "east" if number % 2 else "west"} for number in range(6)),
    ],
    "territories": [
        {"id": "world", "manager": "boss", "rules": {"account": {"field": "country", "is_not_empty": True}}},
        {
            "id": "america", "parent": "world", "users": ["u0", "u1"], "permission": "read_write_delete",
            "rules": {
                "account": {"field": "country", "in": ["US", "CA", "MX"]}, "lead": {"field": "country", "eq": "US"}
            },
        },
        {"id": "europe", "parent": "world", "manager": "u2",
         "rules": {"account": {"field": "country", "in": ["DE", "FR"]}}},
        {"id": "big", "parent": "world", "users": ["u3"], "priority": 5,
         "rules": {
             "account": {"field": "revenue", "ge": "500000"}, "deal": {"field": "product", "starts_with": "GTX"}
         }},
    ],
    "targets": [
        {"territory": "world", "period": "2017-Q1", "amount": "1000000"},
        {"territory": "america", "user": "u0", "period": "2017-Q1", "amount": "1000"},
    ],
}  # fmt: skip

OTHER_MODEL: dict[str, Any] = json.loads(json.dumps(MODEL))
OTHER_MODEL["territories"][2]["parent"] = "america"
OTHER_MODEL["territories"][1]["rules"]["account"]["in"] = ["US", "CA", "MX", "DE", "FR"]
OTHER_MODEL["territories"][1]["permission"] = "read_only"
OTHER_MODEL["users"][3]["role"] = "head"
OTHER_MODEL["targets"][0]["amount"] = "2000000"


def histories(seed: int) -> Iterator[dict[str, Any]]:
    """Yield changes for ever: accounts, contacts, leads and deals that change, move, are linked and deleted."""
    dice = random.Random(seed)  # noqa: S311
    versions: dict[tuple[str, str], int] = {}
    links: dict[tuple[str, str], int] = {}
    alive: set[tuple[str, str]] = set()
    for number in count():
        kind = dice.choices(("account", "contact", "lead", "deal"), (3, 2, 1, 4))[0]
        record = f"{kind[0].upper()}-{dice.randrange(400 if kind == 'account' else 1500)}"
        key = (kind, record)
        change: dict[str, Any] = {
            "event_id": f"e{number}", "org_id": ORG, "object": kind, "id": record,
            "occurred_at": "2017-03-01T10:00:00Z",
        }  # fmt: skip
        what = dice.random()
        if what < 0.05 and key in alive:
            links[key] = links.get(key, 0) + 1
            yield change | {
                "op": "link", "version": links[key], "territory_id": dice.choice(("world", "america", "europe", "big")),
                "kind": dice.choice(("assign", "exclude", "none")),
            }  # fmt: skip
            continue
        versions[key] = versions.get(key, 0) + 1
        change["version"] = versions[key]
        if what < 0.12 and key in alive:
            alive.discard(key)
            yield change | {"op": "delete"}
            continue
        change |= _content(kind, dice)
        if what < 0.3 and key in alive:
            yield change | {"op": "patch"}
        else:
            alive.add(key)
            yield change | {"op": "upsert"}
        if what > 0.97:
            yield change | {"op": "upsert"}  # a duplicate


def _content(kind: str, dice: random.Random) -> dict[str, Any]:
    content: dict[str, Any] = {"owner_id": f"u{dice.randrange(6)}"}
    if kind in ("contact", "deal"):
        content["account_id"] = f"A-{dice.randrange(400)}" if dice.random() < 0.9 else None
    if kind == "deal":
        content["contact_id"] = f"C-{dice.randrange(1500)}" if dice.random() < 0.3 else None
        content["fields"] = {
            "amount": str(dice.randrange(10_000)), "stage": dice.choice(("Open", "Won", "Lost")),
            "close_date": f"2017-0{dice.randrange(1, 10)}-15", "product": dice.choice(("GTX Pro", "MG Special")),
        }  # fmt: skip
    else:
        content["fields"] = {"country": dice.choice(COUNTRIES), "revenue": str(dice.randrange(1_000_000))}
    return content


def _take(changes: Iterator[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [next(changes) for _ in range(number)]


@pytest.fixture
def busy(kafka_house: House) -> House:
    """Return a house with one worker of each service, on Apache Kafka."""
    kafka_house.apply(MODEL)
    kafka_house.start_all()
    return kafka_house


def test_killed_workers_lose_nothing(busy: House) -> None:
    """A worker of each service killed amid 20 000 records and started again: as if nothing had been (A9)."""
    changes = histories(seed=1)
    history = _take(changes, RECORDS // 4)
    busy.publish(history)
    for service in SERVICES:
        part = _take(changes, RECORDS // 4)
        history += part
        busy.publish(part)
        busy.kill(service)
        if service == "access_indexer":
            busy.apply(OTHER_MODEL)  # a sweep that is cut, too
        busy.start(service)
    busy.wait()
    assert compare(busy.found(ORG), ORG, expected({ORG: OTHER_MODEL}, history)) == []


def test_workers_join_and_leave(busy: House) -> None:
    """A second worker of each service joins, shares the partitions and leaves: nothing lost or doubled (A9)."""
    changes = histories(seed=2)
    history = _take(changes, RECORDS // 2)
    busy.publish(history)
    busy.start_all(worker=2)
    part = _take(changes, RECORDS // 4)
    history += part
    busy.publish(part)
    busy.apply(OTHER_MODEL)
    for service in SERVICES:
        busy.stop(service, worker=1)
    part = _take(changes, RECORDS // 4)
    history += part
    busy.publish(part)
    busy.start_all(worker=1)
    for service in SERVICES:
        busy.kill(service, worker=2)
    busy.wait()
    assert compare(busy.found(ORG), ORG, expected({ORG: OTHER_MODEL}, history)) == []
