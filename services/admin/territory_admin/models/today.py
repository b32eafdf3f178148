"""Resolves what a model says relative to a day, for the organisation's present day."""

from __future__ import annotations

from datetime import UTC, datetime

from territory.model.compiled import Model


def of_today(model: Model) -> Model:
    """Return a model on the organisation's present day: with absolute dates (C7) and the rates of today (C9)."""
    return model.on(model.day_of(datetime.now(UTC)))
