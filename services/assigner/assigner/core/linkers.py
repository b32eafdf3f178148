"""One linker for each model, shared by all partitions of a worker."""

from __future__ import annotations

from assigner.core.links import Linker
from assigner.core.matching.engines import EngineName
from territory.model import Model

KEPT_MAX = 2
"""The one in use, and the one that is made before its model comes into effect."""


class Linkers:
    """Makes linkers and keeps the newest of each organisation."""

    def __init__(self, engine: EngineName = "index") -> None:
        self._engine = engine
        self._kept: dict[str, list[Linker]] = {}

    def of(self, model: Model) -> Linker:
        """Return the linker of a model. It is made at the first call, which may take seconds."""
        kept = self._kept.get(model.org_id, [])
        for linker in kept:
            if linker.model is model:
                return linker
        linker = Linker(model, self._engine)
        self._kept[model.org_id] = [*kept, linker][-KEPT_MAX:]
        return linker
