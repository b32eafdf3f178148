"""One linker for each model, shared by all partitions of a worker, and what differs between two."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from assigner.core.differences import Difference
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
        self._differences: WeakKeyDictionary[Linker, tuple[Linker, Difference]] = WeakKeyDictionary()
        """By linker that families still stand by, the newest one and the difference between them."""

    def of(self, model: Model) -> Linker:
        """Return the linker of a model. It is made at the first call, which may take seconds."""
        kept = self._kept.get(model.org_id, [])
        for linker in kept:
            if linker.model is model:
                return linker
        linker = Linker(model, self._engine)
        self._kept[model.org_id] = [*kept, linker][-KEPT_MAX:]
        return linker

    def prepare(self, model: Model) -> None:
        """Make the linker of a model that is about to come into effect, aside from live records."""
        kept = self._kept.get(model.org_id, [])
        linker = self.of(model)
        if kept and kept[-1] is not linker:
            self.difference(kept[-1], linker)

    def difference(self, old: Linker, new: Linker) -> Difference:
        """Return what a change from one linker's model to another's can move."""
        known = self._differences.get(old)
        if known is None or known[0] is not new:
            known = self._differences[old] = (new, Difference(old.model, new.model))
        return known[1]
