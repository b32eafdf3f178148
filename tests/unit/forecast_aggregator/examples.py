"""Shared examples of the forecast tests: one organisation, its deals and partials."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from forecast_aggregator.partials.contribution import Contribution
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.model.compiled import Model, compile_model
from territory.model.periods import FiscalCalendar
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import SUMS, Assignment, DealFacts, Link, Partial
from territory.wire.keys import parse_partial_key
from territory.wire.topics import ASSIGNMENTS, PARTIALS

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


def model_of(revision: int = 1, closed_since: dict[str, int] | None = None, **sections: Any) -> Model:
    """Return the organisation's model with some sections replaced."""
    document: dict[str, Any] = {
        "org": "acme",
        "roles": [{"id": "rep"}],
        "users": [{"id": name, "role": "rep"} for name in ("ann", "bob", "eve")],
        "territories": TERRITORIES,
        "stages": STAGES,
        "rates": [{"from": "EUR", "period": Q1, "rate": "1.08"}],
    }
    return compile_model(document | sections, revision, closed_since=closed_since)


def deal(
    territory_id: str | None = "bay",
    deal_id: str = "D-1",
    *,
    version: int = 1,
    owner_id: str | None = "bob",
    **facts: Any,
) -> Assignment:
    """Return a won deal of 100 in the first quarter; `facts` replace its fields."""
    fields = DealFacts(**({"amount": "100", "stage": "Won", "close_date": "2017-02-28"} | facts))
    links = () if territory_id is None else (Link(territory_id, ("inherited",), ()),)
    why = "it names no account" if territory_id is None else None
    return Assignment("acme", "deal", deal_id, version, 1, owner_id, links, unassigned=why, deal=fields)


def contribution(*path: str, amount: str = "100", **other: Any) -> Contribution:
    """Return a won deal's contribution along a path; `other` replaces its fields."""
    fields: dict[str, Any] = {
        "path": path or ("bay", "west", "world"), "period": Q1, "category": "won", "amount": Decimal(amount),
        "weighted": Decimal(0), "owner_id": "bob", "by_others": False,
    }  # fmt: skip
    return Contribution(**(fields | other))


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
    """Return one partition's partial of an attainment; omitted sums are zero."""
    exact = {name: Decimal(sums.get(name, "0")) for name in SUMS}
    amount = None if target is None else Decimal(target)
    return Partial("acme", territory_id, Q1, user_id, source, revision, amount, exact, len(sums), deals_won)


def is_of_year(message: Message) -> bool:
    """Whether a message is a fiscal year's partial."""
    parsed = parse_partial_key(message.key) if message.topic == PARTIALS.name else None
    return parsed is not None and FiscalCalendar.is_year(parsed[2])


def without_years(messages: Iterable[Message]) -> list[Message]:
    """Return the messages without the partials of fiscal years."""
    return [message for message in messages if not is_of_year(message)]


def published_sums(messages: Iterable[Message], name: str = "won", *, years: bool = False) -> dict[str, str | None]:
    """Return one sum of the published partials, by key without organisation; None for a tombstone.

    `years` returns those of fiscal years, and no others.
    """
    sums: dict[str, str | None] = {}
    for message in messages:
        if is_of_year(message) != years:
            continue
        assert message.value is None or isinstance(message.value, Partial)
        sums[message.key.removeprefix("acme/")] = None if message.value is None else str(message.value.sums[name])
    return sums


MODEL = model_of()


def incoming(event: Assignment | str) -> InputMessage:
    """Return a deal's assignment as an input message; a bare id gives a tombstone."""
    if isinstance(event, str):
        return InputMessage(ASSIGNMENTS.name, f"acme/deal/{event}", None, {})
    return InputMessage(ASSIGNMENTS.name, event.key, event, {})


def published(fold: PartialSumsFold, *events: Assignment | str, model: Model | None = MODEL) -> Effects:
    """Return the effects of one batch of deals."""
    effects, models = Effects(), {} if model is None else {"acme": model}
    for each in events:
        fold.apply(incoming(each), models, effects)
    fold.flush(models, effects)
    return effects


def swept(fold: PartialSumsFold, model: Model = MODEL, limit: int = 100) -> Effects:
    """Return the effects of a whole sweep and the flush after it."""
    whole = Effects()
    for effects in fold.sweep(model, limit):
        whole.add(effects)
    fold.flush({"acme": model}, whole)
    return whole


def restored(
    *events: Assignment | str, model: Model | None = MODEL, unknown: frozenset[str] = frozenset()
) -> PartialSumsFold:
    """Return the fold of the only partition, restored from some deals."""
    fold = PartialSumsFold(0, 1)
    for each in events:
        fold.restore(incoming(each))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold
