"""One compiled policy for each model in use, and the differences between them made aside."""

from __future__ import annotations

import gc
import threading
from weakref import ref

import pytest

from assigner.assignment import policy_cache
from assigner.assignment.model_diff import ModelDiff
from assigner.assignment.policy_cache import KEPT_POLICIES, PolicyCache
from assigner.assignment.stage import AssignmentFold
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage
from territory.wire.topics import FAMILIES
from tests.unit.assigner.examples import SAN_FRANCISCO, TREE, model_of, record


def test_policy_is_compiled_once_and_dropped() -> None:
    """All partitions share a model's policy, an older one as well; it is freed with its last user."""
    policies = PolicyCache()
    models = [model_of(revision=revision) for revision in range(1, KEPT_POLICIES + 2)]
    made = [policies.of(model) for model in models]
    for model in models:
        policies.prepare(model)
    assert [policies.of(model) for model in models] == made
    assert [policy.model for policy in made] == models
    oldest, oldest_model = ref(made[0]), ref(models[0])
    gc.disable()  # an organisation's index is too large to wait for a search for cycles
    try:
        del made, models, model
        assert oldest() is None
        assert oldest_model() is None
    finally:
        gc.enable()


def in_thread(policies: PolicyCache, model: Model) -> None:
    """Prepare a model as the runtime does."""
    thread = threading.Thread(target=policies.prepare, args=(model,))
    thread.start()
    thread.join()


@pytest.fixture
def built_by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the ids of the threads that build differences, in the order in which they do."""
    threads: list[int] = []

    class Recorded(ModelDiff):
        def __init__(self, old: Model, new: Model) -> None:
            threads.append(threading.get_ident())
            super().__init__(old, new)

    monkeypatch.setattr(policy_cache, "ModelDiff", Recorded)
    return threads


def test_no_difference_is_built_on_the_event_loop(built_by: list[int]) -> None:
    """Two models are applied before the first sweep begins: families move from the first to the third at once."""
    policies = PolicyCache()
    first, second, third = (model_of(*TREE[:-1], revision=revision) for revision in (1, 2, 3))
    in_thread(policies, first)
    fold = AssignmentFold(policies)
    account = record("account/A-1", fields=SAN_FRANCISCO)
    fold.apply(InputMessage(FAMILIES.name, account.key, account, {}), {"acme": first}, Effects())
    in_thread(policies, second)
    in_thread(policies, third)
    list(fold.sweep(third, 10))
    assert built_by
    assert threading.get_ident() not in built_by


def test_model_that_a_restore_needs_is_compared_as_well(built_by: list[int]) -> None:
    """The model of yesterday is made after today's, by a worker that resumes yesterday's sweep."""
    policies = PolicyCache()
    yesterday, today = model_of(revision=1), model_of(*TREE[:-1], revision=1)
    in_thread(policies, today)
    in_thread(policies, yesterday)
    fold = AssignmentFold(policies)
    account = record("account/A-1", fields=SAN_FRANCISCO)
    fold.restore(InputMessage(FAMILIES.name, account.key, account, {}))
    fold.restored({"acme": yesterday}, frozenset())
    list(fold.sweep(today, 10))
    assert built_by
    assert threading.get_ident() not in built_by


def test_organisations_are_not_compared(built_by: list[int]) -> None:
    """A difference is one between two models of the same organisation; others cost nothing."""
    policies = PolicyCache()
    policies.prepare(model_of(revision=1))
    policies.prepare(model_of(revision=1, org="globex"))
    assert built_by == []
