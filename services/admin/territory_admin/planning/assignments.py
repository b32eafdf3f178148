"""Decides the records of one partition of families under one or two models, with the assigner's own fold; pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from territory.model.compiled import Model
from territory.stage import InputMessage
from territory.wire.events import Assignment, Record, Subscription
from territory.wire.topics import FAMILIES, SUBSCRIPTIONS

CHUNK_RECORDS = 10_000

Subscribed = Record | Subscription
"""An event of territory.internal.subscriptions.v1: among them are copies of contacts in other families."""
NONE_SUBSCRIBED: Mapping[str, Subscribed] = MappingProxyType({})


def assignments_under(
    records: Mapping[str, Record],
    model: Model | None,
    policies: PolicyCache,
    subscribed: Mapping[str, Subscribed] = NONE_SUBSCRIBED,
) -> dict[str, Assignment]:
    """Return the assignment of each record, by key; none without a model.

    The fold is restored as if nothing was published before, so it publishes every assignment.

    Args:
        records: By key, all records of the partition.
        model: The model to decide under.
        policies: What the assigner derives from models, shared between partitions.
        subscribed: By key, what the partition has of contacts in other families.
    """
    if model is None:
        return {}
    fold = _fold_with(records, subscribed, policies)
    fold.restored({model.org_id: model}, frozenset({model.org_id}))
    found: dict[str, Assignment] = {}
    for effects in fold.sweep(model, CHUNK_RECORDS):
        for message in effects.messages:
            found[message.key] = message.value  # type: ignore[assignment]  # a sweep publishes assignments only
    return found


def redecided(
    records: Mapping[str, Record],
    before: Model,
    after: Model,
    policies: PolicyCache,
    subscribed: Mapping[str, Subscribed] = NONE_SUBSCRIBED,
) -> set[str]:
    """Return the keys of the records that are decided differently under another model.

    Every record that moves is among them; so are those that stay for another reason. It costs what a sweep costs:
    records that no changed rule can move are passed over.

    Args:
        records: By key, all records of the partition.
        before: The model that they are under.
        after: The model to go to, of the same organisation.
        policies: What the assigner derives from models, shared between partitions.
        subscribed: By key, what the partition has of contacts in other families.
    """
    fold = _fold_with(records, subscribed, policies)
    fold.restored({before.org_id: before}, frozenset())
    return {message.key for effects in fold.sweep(after, CHUNK_RECORDS) for message in effects.messages}


def _fold_with(
    records: Mapping[str, Record], subscribed: Mapping[str, Subscribed], policies: PolicyCache
) -> AssignmentFold:
    fold = AssignmentFold(policies)
    for key, event in subscribed.items():
        fold.restore(InputMessage(SUBSCRIPTIONS.name, key, event, {}))
    for key, record in records.items():
        fold.restore(InputMessage(FAMILIES.name, key, record, {}))
    return fold
