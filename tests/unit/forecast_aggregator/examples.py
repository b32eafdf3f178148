"""What the tests of the forecast share: one organisation, deals in it, and what partitions say of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from forecast_aggregator.partials.contribution import Contribution
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import SUMS, Assignment, DealFacts, Link, Partial
from territory.wire.topics import ASSIGNMENTS

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
    """Return the organisation, some of its sections replaced."""
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


MODEL = model_of()


def incoming(said: Assignment | str) -> InputMessage:
    """Return a deal's assignment as it arrives; of a bare id, that the deal is gone."""
    if isinstance(said, str):
        return InputMessage(ASSIGNMENTS.name, f"acme/deal/{said}", None, {})
    return InputMessage(ASSIGNMENTS.name, said.key, said, {})


def told(fold: PartialSumsFold, *said: Assignment | str, model: Model | None = MODEL) -> Effects:
    """Return what follows from some deals in one turn."""
    effects, models = Effects(), {} if model is None else {"acme": model}
    for each in said:
        fold.apply(incoming(each), models, effects)
    fold.flush(models, effects)
    return effects


def swept(fold: PartialSumsFold, model: Model = MODEL, limit: int = 100) -> Effects:
    """Return what a whole sweep says, with the end of the turn after it."""
    whole = Effects()
    for effects in fold.sweep(model, limit):
        whole.add(effects)
    fold.flush({"acme": model}, whole)
    return whole


def restored(
    *said: Assignment | str, model: Model | None = MODEL, unknown: frozenset[str] = frozenset()
) -> PartialSumsFold:
    """Return the only partition, its memory restored."""
    fold = PartialSumsFold(0, 1)
    for each in said:
        fold.restore(incoming(each))
    fold.restored({} if model is None else {"acme": model}, unknown)
    return fold
