"""Shared by the tests of the oracle: a small organisation and its changes."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hypothesis import settings

from tests.support.oracle import Expected, expected

Change = dict[str, Any]
Document = dict[str, Any]

MUCH = settings(max_examples=40, deadline=None)
"""Number of examples for properties of the oracle."""

ROLES = [
    {"id": "ceo"},
    {"id": "vp-west", "parent": "ceo"},
    {"id": "vp-east", "parent": "ceo"},
    {"id": "rep-west", "parent": "vp-west"},
    {"id": "rep-east", "parent": "vp-east"},
]
USERS = [
    {"id": "cleo", "role": "ceo"},
    {"id": "vera", "role": "vp-west"},
    {"id": "egon", "role": "vp-east"},
    {"id": "rita", "role": "rep-west"},
    {"id": "rolf", "role": "rep-west"},
    {"id": "emma", "role": "rep-east"},
]
STAGES = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Engaging": {"category": "best_case", "probability": "0.4"},
    "Signing": {"category": "committed", "probability": "0.9"},
    "Won": {"category": "won"},
    "Lost": {"category": "omitted"},
}
FIELDS = {
    "account": {"country": "text", "state": "text", "sector": "text", "revenue": "money"},
    "lead": {"country": "text"},
    "deal": {"product": "text"},
}
IN_US = {"field": "country", "eq": "US"}
IN_CA = {"field": "state", "eq": "CA"}

# world > us > us-west > bay, and us > us-east; only us and us-west have account rules.
TREE: list[Document] = [
    {"id": "world"},
    {"id": "us", "parent": "world", "rules": {"account": IN_US}},
    {"id": "us-west", "parent": "us", "rules": {"account": IN_CA}},
    {"id": "us-east", "parent": "us"},
    {"id": "bay", "parent": "us-west"},
]


def model(territories: Sequence[Document] = TREE, **entries: Any) -> Document:
    """Return a model document with these territories; further sections replace the defaults."""
    return {
        "org": "acme",
        "currency": "USD",
        "fiscal_year_start": 1,
        "period": "quarter",
        "fields": FIELDS,
        "stages": STAGES,
        "roles": ROLES,
        "users": USERS,
        "territories": list(territories),
        **entries,
    }


def upsert(object_type: str, record_id: str, version: int = 1, **whole: Any) -> Change:
    """Return an upsert."""
    return _change(object_type, record_id, version, "upsert", **whole)


def patch(object_type: str, record_id: str, version: int, **part: Any) -> Change:
    """Return a patch."""
    return _change(object_type, record_id, version, "patch", **part)


def delete(object_type: str, record_id: str, version: int) -> Change:
    """Return a delete."""
    return _change(object_type, record_id, version, "delete")


def link(object_type: str, record_id: str, territory: str, kind: str = "assign", version: int = 1) -> Change:
    """Return a manual link or exclusion."""
    return _change(object_type, record_id, version, "link", territory_id=territory, kind=kind)


def _change(object_type: str, record_id: str, version: int, op: str, **more: Any) -> Change:
    change = {"org_id": "acme", "object": object_type, "id": record_id, "version": version, "op": op, **more}
    return {"event_id": uuid5(NAMESPACE_URL, repr(change)).hex, "occurred_at": "2017-01-02T08:00:00Z", **change}


def outcome(document: Document, *history: Change) -> Expected:
    """Return the end state of the organisation."""
    return expected({"acme": document}, history)


def territories(document: Document, key: str, *history: Change) -> list[str]:
    """Return the final assignment of one record."""
    linked: list[str] = outcome(document, *history).assignments[f"acme/{key}"]["territories"]
    return linked


def account(record_id: str = "A", **fields: Any) -> Change:
    """Return an account of rita's."""
    return upsert("account", record_id, owner_id="rita", fields=fields)


# root > left > leaf, root > right.
SUM_TREE: list[Document] = [
    {"id": "root", "manager": "cleo"},
    {"id": "left", "parent": "root", "manager": "vera"},
    {"id": "leaf", "parent": "left", "users": ["rita"]},
    {"id": "right", "parent": "root", "users": ["emma"]},
]
PARENT = {"leaf": "left", "left": "root", "right": "root", "root": None}


def deal(
    record_id: str,
    territory: str | None,
    amount: object = "100",
    stage: str = "Won",
    *,
    owner: str | None = "rita",
    **fields: object,
) -> list[Change]:
    """Return changes for a deal with a manual link and a close date in 2017-Q1."""
    whole = {"amount": amount, "stage": stage, "close_date": "2017-03-01", **fields}
    put = [] if territory is None else [link("deal", record_id, territory)]
    return [upsert("deal", record_id, owner_id=owner, fields=whole), *put]


def sums(*history: list[Change], **entries: Any) -> Expected:
    """Return the end state of deals in the tree of the examples of the forecast."""
    document = model(SUM_TREE, **entries)
    return outcome(document, *(change for changes in history for change in changes))


def row(state: Expected, territory: str, period: str = "2017-Q1", user: str | None = None) -> Document:
    """Return one row of an end state."""
    return dict(state.attainments["acme", territory, period, user])
