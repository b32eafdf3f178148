"""One linker for each model, shared by all partitions of a worker, and what differs between two."""

from __future__ import annotations

from collections import deque
from weakref import WeakKeyDictionary, WeakValueDictionary

from assigner.assignment.model_diff import ModelDiff
from assigner.assignment.policy import AssignmentPolicy
from assigner.matching.engines import EngineName, matcher_of
from assigner.matching.rule_book import RuleBook
from territory.model.compiled import Model

KEPT = 3
"""Of each organisation: a partition may be swept from one day or model to another while a third is prepared."""


class PolicyCache:
    """Makes a linker for each model; it lives as long as it is among the newest or families stand by it."""

    def __init__(self, engine: EngineName = "index") -> None:
        """Raises: EngineMissing."""
        matcher_of(engine, RuleBook(()))  # it is told at the start, and not when a model comes
        self._engine = engine
        self._alive: WeakValueDictionary[int, AssignmentPolicy] = WeakValueDictionary()
        """By the identity of the model, which a linker keeps alive."""
        self._newest: dict[str, deque[AssignmentPolicy]] = {}
        self._differences: WeakKeyDictionary[AssignmentPolicy, WeakKeyDictionary[AssignmentPolicy, ModelDiff]] = (
            WeakKeyDictionary()
        )
        """By linker that families still stand by, and by a newer one."""

    def of(self, model: Model) -> AssignmentPolicy:
        """Return the linker of a model. It is made at the first call, which may take seconds."""
        linker = self._alive.get(id(model))
        if linker is None:
            linker = self._alive[id(model)] = AssignmentPolicy(model, self._engine)
            self._newest.setdefault(model.org_id, deque(maxlen=KEPT)).append(linker)
        return linker

    def prepare(self, model: Model) -> None:
        """Make the linker of a model that is about to come into effect, aside from live records."""
        newest = self._newest.get(model.org_id)
        before = newest[-1] if newest else None
        linker = self.of(model)
        if before is not None and before is not linker:
            self.difference(before, linker)

    def difference(self, old: AssignmentPolicy, new: AssignmentPolicy) -> ModelDiff:
        """Return what a change from one linker's model to another's can move."""
        by_newer = self._differences.setdefault(old, WeakKeyDictionary())
        difference = by_newer.get(new)
        if difference is None:
            difference = by_newer[new] = ModelDiff(old.model, new.model)
        return difference
