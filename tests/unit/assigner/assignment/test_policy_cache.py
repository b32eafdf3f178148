"""One linker for each model."""

from __future__ import annotations

import gc
from weakref import ref

from assigner.assignment.policy_cache import KEPT_POLICIES, PolicyCache
from tests.unit.assigner.examples import model_of


def test_linker_is_made_once_and_let_go() -> None:
    """All partitions share it, also for an older model that some are still under; then it is gone at once."""
    linkers = PolicyCache()
    models = [model_of(revision=revision) for revision in range(1, KEPT_POLICIES + 2)]
    made = [linkers.of(model) for model in models]
    for model in models:
        linkers.prepare(model)
    assert [linkers.of(model) for model in models] == made
    assert [linker.model for linker in made] == models
    oldest, oldest_model = ref(made[0]), ref(models[0])
    gc.disable()  # an organisation's index is too large to wait for a search for cycles
    try:
        del made, models, model
        assert oldest() is None
        assert oldest_model() is None
    finally:
        gc.enable()


def test_difference_is_worked_out_beforehand() -> None:
    """From the model in effect to the one that comes next; from any other when it is asked for."""
    linkers = PolicyCache()
    first, second, third = (model_of(revision=revision) for revision in (1, 2, 3))
    linkers.prepare(first)
    linkers.prepare(second)
    prepared = linkers.diff(linkers.of(first), linkers.of(second))
    assert linkers.diff(linkers.of(first), linkers.of(second)) is prepared
    assert linkers.diff(linkers.of(first), linkers.of(third)) is not prepared
