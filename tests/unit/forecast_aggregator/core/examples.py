"""What the tests of the forecast share: one organisation, deals in it, and what partitions say of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from forecast_aggregator.core.contribution import Contribution
from territory.events import SUMS, Assignment, DealFacts, Link, Partial
from territory.fold import Message
from territory.model import Model, compile_model

TERRITORIES: list[dict[str, Any]] = [
    {"id": "world"},
    {"id": "west", "parent": "world", "users": ["ann"]},
    {"id": "bay", "parent": "west", "manager": "bob"},
    {"id": "east", "parent": "world"},
]
STAGES: dict[str, Any] = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Engaging": {"category": "best_case", "probability": "0.4"},
    "Signing": {"category": "committed"},
    "Won": {"category": "won", "probability": "1"},
    "Lost": {"category": "omitted"},
}
Q1 = "2017-Q1"


def model_of(revision: int = 1, **sections: Any) -> Model:
    """Return the organisation, some of its sections replaced."""
    document: dict[str, Any] = {
        "org": "acme",
        "roles": [{"id": "rep"}],
        "users": [{"id": name, "role": "rep"} for name in ("ann", "bob", "eve")],
        "territories": TERRITORIES,
        "stages": STAGES,
        "rates": [{"from": "EUR", "period": Q1, "rate": "1.08"}],
    }
    return compile_model(document | sections, revision)


def deal(
    territory_id: str | None = "bay",
    deal_id: str = "D-1",
    *,
    version: int = 1,
    owner_id: str | None = "bob",
    **said: Any,
) -> Assignment:
    """Return a won deal of 100 in the first quarter, unless it says otherwise."""
    facts = DealFacts(**({"amount": "100", "stage": "Won", "close_date": "2017-02-28"} | said))
    links = () if territory_id is None else (Link(territory_id, ("inherited",), ()),)
    why = "it names no account" if territory_id is None else None
    return Assignment("acme", "deal", deal_id, version, 1, owner_id, links, unassigned=why, deal=facts)


def contribution(*path: str, amount: str = "100", **other: Any) -> Contribution:
    """Return a won deal's contribution along a path, unless it says otherwise."""
    said: dict[str, Any] = {
        "path": path or ("bay", "west", "world"), "period": Q1, "category": "won", "amount": Decimal(amount),
        "weighted": Decimal(0), "owner_id": "bob", "by_others": False,
    }  # fmt: skip
    return Contribution(**(said | other))


def partial(
    source: int = 0,
    territory_id: str = "west",
    *,
    user_id: str | None = None,
    target: str | None = None,
    revision: int = 1,
    deals_won: int = 0,
    **sums: str,
) -> Partial:
    """Return what one partition says of an attainment; sums that are not given are zero."""
    exact = {name: Decimal(sums.get(name, "0")) for name in SUMS}
    amount = None if target is None else Decimal(target)
    return Partial("acme", territory_id, Q1, user_id, source, revision, amount, exact, len(sums), deals_won)


def sums_said(messages: Iterable[Message], name: str = "won") -> dict[str, str | None]:
    """Return one sum of the partials that were said, by key without organisation; None for a tombstone."""
    said: dict[str, str | None] = {}
    for message in messages:
        assert message.value is None or isinstance(message.value, Partial)
        said[message.key.removeprefix("acme/")] = None if message.value is None else str(message.value.sums[name])
    return said
