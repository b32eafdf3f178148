"""A small organisation, and the plan between two of its models."""

from __future__ import annotations

from typing import Any

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from territory_admin.planning.assignments import assignments_under
from territory_admin.planning.model_comparison import ModelComparison, Plan


def model_of(west: list[Any], *, users: list[Any] | None = None, admin: bool = False, **sections: Any) -> Model:
    """Return a model with a territory `west` that has some countries and some users."""
    return compile_model(
        {
            "org": "acme", "currency": "USD", "period": "quarter",
            "fields": {"account": {"country": "text"}},
            "stages": {"Won": {"category": "won"}, "Open": {"category": "pipeline", "probability": "0.5"}},
            "roles": [{"id": "r"}],
            "users": [
                {"id": "ann", "role": "r"}, {"id": "bob", "role": "r"}, {"id": "root", "role": "r", "admin": admin}
            ],
            "territories": [
                {"id": "world", "rules": {"account": {"field": "country", "is_not_empty": True}}},
                {"id": "west", "parent": "world", "users": users or ["ann"],
                 "rules": {"account": {"field": "country", "in": west}}},
            ],
            **sections,
        },
        1,
    )  # fmt: skip


def record(kind: Any, record_id: str, fields: dict[str, Any], account_id: str | None = None) -> Record:
    family = f"acme/account/{account_id or record_id}"
    return Record("acme", kind, record_id, 1, 0, False, None, account_id, None, fields, {}, family, 0, "e", 0)


def account(record_id: str, country: str | None) -> Record:
    return record("account", record_id, {} if country is None else {"country": country})


def deal(record_id: str, account_id: str, amount: str, stage: str = "Won") -> Record:
    return record("deal", record_id, {"amount": amount, "stage": stage, "close_date": "2017-02-01"}, account_id)


def plan_of(before: Model | None, after: Model, *records: Record, examples_max: int = 10) -> Plan:
    """Return the plan to go from one model to the other."""
    policies, comparison = PolicyCache(), ModelComparison(before, after, examples_max)
    by_key = {each.key: each for each in records}
    now, then = (assignments_under(by_key, model, policies) for model in (before, after))
    for key in sorted(now.keys() | then.keys()):
        comparison.take(now.get(key), then.get(key))
    return comparison.plan()


US, CANADA = account("A-1", "US"), account("A-2", "CA")
WON, OPEN = deal("D-1", "A-2", "100.5"), deal("D-2", "A-2", "40", "Open")
