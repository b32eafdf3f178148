"""One linker for each model, shared by all partitions of a worker, and what differs between two."""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from assigner.core.differences import Difference
from assigner.core.links import Linker
from assigner.core.matching.engines import EngineName, matcher_of
from assigner.core.matching.rule_book import RuleBook
from territory.model import Model

DERIVED = "assigner linker"


class Linkers:
    """Makes a linker for each model; it lives as long as the model."""

    def __init__(self, engine: EngineName = "index") -> None:
        """Raises: EngineMissing."""
        matcher_of(engine, RuleBook(()))  # it is told at the start, and not when a model comes
        self._engine = engine
        self._newest: WeakValueDictionary[str, Linker] = WeakValueDictionary()
        """By organisation, the one that was made last."""
        self._differences: WeakKeyDictionary[Linker, tuple[ref[Linker], Difference]] = WeakKeyDictionary()
        """By linker that families still stand by, a newer one and the difference between them."""

    def of(self, model: Model) -> Linker:
        """Return the linker of a model. It is made at the first call, which may take seconds."""
        linker: Linker | None = model.derived.get(DERIVED)
        if linker is None:
            linker = model.derived[DERIVED] = Linker(model, self._engine)
        return linker

    def prepare(self, model: Model) -> None:
        """Make the linker of a model that is about to come into effect, aside from live records."""
        before = self._newest.get(model.org_id)
        linker = self._newest[model.org_id] = self.of(model)
        if before is not None and before is not linker:
            self.difference(before, linker)

    def difference(self, old: Linker, new: Linker) -> Difference:
        """Return what a change from one linker's model to another's can move."""
        known = self._differences.get(old)
        if known is None or known[0]() is not new:
            known = self._differences[old] = (ref(new), Difference(old.model, new.model))
        return known[1]
