"""Finds gaps of a model: territories without people, users without a territory, targets that do not add up; pure.

None of them is a fault: a model with gaps may be meant so.
"""

from __future__ import annotations

from dataclasses import dataclass

from forecast_aggregator.partials.targets import targets_of
from territory.model.compiled import Model
from territory.money import add, text_of


@dataclass(frozen=True, slots=True)
class UnstaffedTerritory:
    """A territory that can hold records, without an active member."""

    territory_id: str
    seen_from: str | None
    """The nearest territory above it with an active member, who sees its records (V1); None: nobody sees them by it."""


@dataclass(frozen=True, slots=True)
class UnequalTarget:
    """A territory's target that differs from the sum of the targets of its children and its users (F5)."""

    territory_id: str
    period: str
    target: str
    parts: str
    """The sum of the others, an exact decimal as text like the target."""


@dataclass(frozen=True, slots=True)
class ModelGaps:
    """All gaps of a model."""

    no_territories: bool
    unstaffed: tuple[UnstaffedTerritory, ...]
    """Only territories with a rule, or without children: others only pass records on."""
    without_territory: tuple[str, ...]
    """Active users, not administrators, who are members of no territory."""
    unequal_targets: tuple[UnequalTarget, ...]
    """By period and territory; only where a child or a user has a target at all."""


def gaps_of(model: Model) -> ModelGaps:
    """Return the gaps of a model."""
    return ModelGaps(
        no_territories=not model.territories,
        unstaffed=_unstaffed(model),
        without_territory=tuple(sorted(user for user in model.seers if not model.places[user])) if model.tree else (),
        unequal_targets=_unequal_targets(model),
    )


def _unstaffed(model: Model) -> tuple[UnstaffedTerritory, ...]:
    parents = {model.tree.parent_of(territory_id) for territory_id in model.tree}
    active = model.seers | model.admins
    seen_from: dict[str | None, str | None] = {None: None}
    """By territory, the nearest one with an active member, from itself upwards."""
    found = []
    for territory_id in model.tree:  # parents come first
        node, above = model.territories[territory_id], seen_from[model.tree.parent_of(territory_id)]
        is_staffed = not active.isdisjoint(node.members)
        seen_from[territory_id] = territory_id if is_staffed else above
        if not is_staffed and (node.rules or territory_id not in parents):
            found.append(UnstaffedTerritory(territory_id, above))
    return tuple(found)


def _unequal_targets(model: Model) -> tuple[UnequalTarget, ...]:
    divided = {
        (territory_id if user is not None else model.tree.parent_of(territory_id), period)
        for territory_id, period, user in model.targets
    }
    found = [
        UnequalTarget(
            key[0], key[1], text_of(target.amount), text_of(add(target.amount, target.mismatch.copy_negate()))
        )
        for key, target in targets_of(model).items()
        if target.mismatch and key[:2] in divided
    ]
    return tuple(sorted(found, key=lambda each: (each.period, each.territory_id)))
