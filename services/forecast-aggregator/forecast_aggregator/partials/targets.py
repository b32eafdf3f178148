"""What is wanted of territories and people, and where a territory's target is not what is wanted below it (F5)."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from territory.model.compiled import Model, TargetKey
from territory.money import ZERO, add


class Target(NamedTuple):
    """What is wanted of a territory, or of a user in one, in a period."""

    amount: Decimal
    mismatch: Decimal | None
    """A territory's target less those of its children and of users in it; None for a user's (F5)."""


def targets_of(model: Model) -> dict[TargetKey, Target]:
    """Return all targets of a model. A user's counts in its territory, whoever is a member there. Exact."""
    below: dict[tuple[str, str], Decimal] = {}
    for (territory_id, period, user_id), amount in model.targets.items():
        above = territory_id if user_id is not None else model.tree.parent_of(territory_id)
        if above is not None:
            below[above, period] = add(below.get((above, period), ZERO), amount)
    return {
        key: Target(amount, None if key[2] is not None else add(amount, below.get(key[:2], ZERO).copy_negate()))
        for key, amount in model.targets.items()
    }
