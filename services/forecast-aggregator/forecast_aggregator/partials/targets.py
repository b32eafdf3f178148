"""Targets, and how far a territory's target is from the targets below it (F5)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple
from weakref import WeakKeyDictionary

from territory.model.compiled import Model, TargetKey
from territory.money import ZERO, add
from territory.wire.keys import attainment_key, partition_of


class TargetWithMismatch(NamedTuple):
    """The target of a territory, or of a user in one, for a period."""

    amount: Decimal
    mismatch: Decimal | None
    """A territory's target minus those of its children and of its users; None for a user's target (F5)."""


HomeTargets = Mapping[TargetKey, TargetWithMismatch]
"""The targets whose home is one partition."""


class TargetCache:
    """Each model's targets by home partition, shared by all partitions of a worker.

    An attainment's home is the partition that its key routes to; only that partition publishes its target.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._by_model: WeakKeyDictionary[Model, tuple[HomeTargets, ...]] = WeakKeyDictionary()

    def prepare(self, model: Model) -> None:
        """Compute a model's targets before it takes effect: some 10 µs a target."""
        self.of(model, 0)

    def of(self, model: Model, partition: int) -> HomeTargets:
        """Return the targets whose home is a partition."""
        found = self._by_model.get(model)
        if found is None:
            homes: tuple[dict[TargetKey, TargetWithMismatch], ...] = tuple({} for _ in range(self._partitions))
            for key, target in targets_of(model).items():
                homes[partition_of(attainment_key(model.org_id, *key), self._partitions)][key] = target
            found = self._by_model[model] = homes
        return found[partition]


def targets_of(model: Model) -> dict[TargetKey, TargetWithMismatch]:
    """Return all targets of a model, exact. A user's target counts in its territory even for a non-member."""
    below: dict[tuple[str, str], Decimal] = {}
    for (territory_id, period, user_id), amount in model.targets.items():
        above = territory_id if user_id is not None else model.tree.parent_of(territory_id)
        if above is not None:
            below[above, period] = add(below.get((above, period), ZERO), amount)
    return {
        key: TargetWithMismatch(
            amount, None if key[2] is not None else add(amount, below.get(key[:2], ZERO).copy_negate())
        )
        for key, amount in model.targets.items()
    }
