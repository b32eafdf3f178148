"""Finds the values of changes, on their way in, that the active model of their organisation can't read (C6, C9, F1)."""

from __future__ import annotations

from territory.criteria.values import datetime_of, excerpt_of
from territory.errors import ModelRefused
from territory.model.compiled import Model
from territory.wire.events import RecordChange
from territory_admin.models.today import of_today
from territory_admin.models.topic import ModelLog
from territory_admin.queries.unreadable import A_TIME, OCCURRED_AT, UnreadableValue, unreadable_fields

EXAMPLES_MAX = 3


class UnreadableChanges:
    """Counts the changes that carry such values, and keeps the first values as examples."""

    def __init__(self, log: ModelLog) -> None:
        """Read under the active models of a log."""
        self._log = log
        self._models: dict[str, Model | None] = {}
        """By organisation, its model today; None without one."""
        self.changes = 0
        self.examples: list[UnreadableValue] = []
        """The first values; a record is called `<org>/<object>/<id>`."""

    def count(self, change: RecordChange) -> None:
        """Look at one change that is sent; without a model, nothing is known of it."""
        model = self._model_of(change.org_id)
        if model is None:
            return
        values = unreadable_in_change(change, model)
        if values:
            self.changes += 1
            self.examples += values[: EXAMPLES_MAX - len(self.examples)]

    def _model_of(self, org_id: str) -> Model | None:
        if org_id not in self._models:
            self._models[org_id] = _model_today(self._log, org_id)
        return self._models[org_id]


def unreadable_in_change(change: RecordChange, model: Model) -> list[UnreadableValue]:
    """Return the values of a change that can't be read, whatever the rest of its record is.

    A patch may lack what reads its values: the close date that a deal's money converts at, and the stage that the
    category `Closed` is about. Then the money counts as readable, and so does the category.
    """
    fields = change.fields if change.op in ("upsert", "patch") else {}
    lacking = set()
    if change.op == "patch" and change.object == "deal":
        if "close_date" not in fields:
            lacking.add("currency")
        if "stage" not in fields:
            lacking.add("forecast_category")
    known = {name: value for name, value in fields.items() if name not in lacking}
    found = unreadable_fields(change.key, change.object, known, model)
    if datetime_of(change.occurred_at) is None:
        found.append(UnreadableValue(change.key, OCCURRED_AT, excerpt_of(change.occurred_at), A_TIME))
    return sorted(found)


def _model_today(log: ModelLog, org_id: str) -> Model | None:
    """Return an organisation's model on its present day; None if it has none that this version can compile."""
    if log.activated(org_id) is None:
        return None
    try:
        model = log.model_of(org_id)
    except ModelRefused:
        return None  # the services refuse it, too: `wait` names its faults
    return of_today(model)
