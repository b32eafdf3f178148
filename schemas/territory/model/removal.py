"""The model of a removed organisation: empty, so that every stage withdraws all that it published (A12)."""

from __future__ import annotations

from territory.model.compiled import Model, compile_model
from territory.stage import Models


def removed_model(org_id: str, revision: int) -> Model:
    """Return the model that removes an organisation: nobody, no territory, no target, and `is_removed`."""
    model = compile_model({"org": org_id}, revision)
    model.is_removed = True
    return model


def is_removed(models: Models, org_id: str) -> bool:
    """Whether an organisation is removed; False also for one that has no model yet."""
    model = models.get(org_id)
    return model is not None and model.is_removed
