"""The compiled policies of the models in use, and the differences between them; one cache for all partitions."""

from __future__ import annotations

from collections import deque
from threading import Lock
from weakref import WeakKeyDictionary, WeakValueDictionary

from assigner.assignment.model_diff import ModelDiff
from assigner.assignment.policy import AssignmentPolicy
from assigner.matching.engines import EngineName, matcher_of
from assigner.matching.rule_book import RuleBook
from territory.model.compiled import Model

KEPT_POLICIES = 3
"""Of each organisation: a partition may move from one to another while a third is prepared."""


class PolicyCache:
    """One policy for each model. It is dropped when no family uses it and newer ones have come."""

    def __init__(self, engine: EngineName = "index") -> None:
        """Raises: EngineMissing, at the start of the service and not with its first model."""
        matcher_of(engine, RuleBook(()))
        self._engine = engine
        self._preparing = Lock()
        self._alive: WeakValueDictionary[int, AssignmentPolicy] = WeakValueDictionary()
        """By the identity of the model, which a policy keeps alive."""
        self._newest: dict[str, deque[AssignmentPolicy]] = {}
        self._diffs: WeakKeyDictionary[AssignmentPolicy, WeakKeyDictionary[AssignmentPolicy, ModelDiff]] = (
            WeakKeyDictionary()
        )
        """By the policy that families have, and by the one that they move to."""

    def of(self, model: Model) -> AssignmentPolicy:
        """Return the policy of a model; compile it at the first call, which may take seconds."""
        policy = self._alive.get(id(model))
        if policy is None:
            policy = self._alive[id(model)] = AssignmentPolicy(model, self._engine)
            self._newest.setdefault(model.org_id, deque(maxlen=KEPT_POLICIES)).append(policy)
        return policy

    def prepare(self, model: Model) -> None:
        """Compile a model before it is in effect, and compare it with all that are in use; for a thread.

        Partitions may be on any model in use: on one of several that were applied in a row, or on the model
        of the day on which another worker stopped. That one is prepared after the model they move to, so both
        directions are compared.

        Raises: ModelRefused.
        """
        with self._preparing:
            others = [policy for policy in list(self._alive.values()) if policy.model.org_id == model.org_id]
            policy = self.of(model)
            for other in others:
                if other is not policy:
                    self.diff(other, policy)
                    self.diff(policy, other)

    def diff(self, old: AssignmentPolicy, new: AssignmentPolicy) -> ModelDiff:
        """Return the difference between two policies' models; from memory, if the newer model was prepared."""
        by_new = self._diffs.get(old)
        if by_new is None:
            by_new = self._diffs[old] = WeakKeyDictionary()
        diff = by_new.get(new)
        if diff is None:
            diff = by_new[new] = ModelDiff(old.model, new.model)
        return diff
