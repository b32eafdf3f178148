"""Every record of one partition of families, decided under a model by the assigner's own fold."""

from __future__ import annotations

from collections.abc import Mapping

from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from territory.model.compiled import Model
from territory.stage import InputMessage
from territory.wire.events import Assignment, Record
from territory.wire.topics import FAMILIES

SLICE_RECORDS = 10_000


def decided(records: Mapping[str, Record], model: Model | None, linkers: PolicyCache) -> dict[str, Assignment]:
    """Return by key where each record stands under a model; nothing without one.

    The fold is told that nothing was said before, so it says all there is.
    """
    if model is None:
        return {}
    fold = AssignmentFold(linkers)
    for key, record in records.items():
        fold.restore(InputMessage(FAMILIES.name, key, record, {}))
    fold.restored({model.org_id: model}, frozenset({model.org_id}))
    found: dict[str, Assignment] = {}
    for effects in fold.sweep(model, SLICE_RECORDS):
        for said in effects.messages:
            found[said.key] = said.value  # type: ignore[assignment]  # assignments are all that it says
    return found
