"""One linker for each model."""

from __future__ import annotations

import gc
from weakref import ref

from assigner.core.linkers import Linkers
from tests.unit.assigner.core.examples import model_of


def test_linker_is_made_once_and_lives_as_its_model() -> None:
    """All partitions share it, also for an older model that some are still under; then it is gone."""
    linkers = Linkers()
    models = [model_of(revision=revision) for revision in range(1, 5)]
    for model in models:
        linkers.prepare(model)
    made = [linkers.of(model) for model in models]
    assert [linkers.of(model) for model in models] == made
    assert [linker.model for linker in made] == models
    oldest = ref(made[0])
    del made, models[0]
    gc.collect()
    assert oldest() is None


def test_difference_is_worked_out_beforehand() -> None:
    """From the model in effect to the one that comes next; from any other when it is asked for."""
    linkers = Linkers()
    first, second, third = (model_of(revision=revision) for revision in (1, 2, 3))
    linkers.prepare(first)
    linkers.prepare(second)
    prepared = linkers.difference(linkers.of(first), linkers.of(second))
    assert linkers.difference(linkers.of(first), linkers.of(second)) is prepared
    assert linkers.difference(linkers.of(first), linkers.of(third)) is not prepared
