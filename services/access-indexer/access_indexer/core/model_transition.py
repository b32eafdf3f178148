"""Under which model an organisation's sets are, or on the way from which one to which other.

A record that was decided under a model before the present one may stand in territories that the
present one gives to others. So until everything is decided under the present model, such a record
is shown to those only who see it by the model before as well: nobody ever sees what neither gives.
"""

from __future__ import annotations

from access_indexer.core.record_table import AccessAttributes
from access_indexer.core.viewers import NOBODY, Access, Viewers
from territory.model.compiled import Model


class ModelTransition:
    """The models of one organisation, as its sets follow them."""

    def __init__(self) -> None:
        self.now: Access | None = None
        """Under the present model; None: there is none, and nobody sees anything."""
        self.is_settled = True
        """Whether the sets are under the present model, all of them."""
        self.is_decided = True
        """Whether all assignments are decided under the present model, or one that decides alike."""
        self.is_forgotten = True
        """Whether nothing is known of what was said so far, and that is yet to be told."""
        self._before: Access | None = None
        """Under the model that all sets were under last."""
        self._set_out_for: list[Access] = []
        """Under models that it set out for since, and never came to be under."""
        self._decided: bytes | None = None
        """What all assignments are decided by (`Model.deciding`); None: not known."""

    def rest_under(self, model: Model) -> None:
        """Take it that everything is decided and said under a model."""
        self.now, self._before = Access(model), None
        self._set_out_for = []
        self._decided = model.deciding
        self.is_settled = self.is_decided = True
        self.is_forgotten = False

    def forget(self) -> None:
        """Take it that nothing is known of what was decided and said: all is on the way to the next model."""
        self.now = self._before = self._decided = None
        self._set_out_for = []
        self.is_settled = self.is_decided = False
        self.is_forgotten = True

    def go_to(self, model: Model) -> None:
        """Set out for a model, unless it is the present one."""
        if self.now is not None and self.now.model is model:
            return
        if self.is_settled:
            self._before = self.now
        elif self.now is not None:
            self._set_out_for.append(self.now)
        self.now = Access(model)
        self.is_settled = False
        self.is_decided = model.deciding == self._decided

    def decided(self) -> None:
        """Note that everything is decided under the present model, and known here."""
        if self.now is not None:
            self.is_decided, self._decided = True, self.now.model.deciding

    def settled(self) -> None:
        """Note that everything is said under the present model."""
        self.is_settled, self._before = True, None
        self._set_out_for = []

    def due(self, about: AccessAttributes, model_revision: int, before: AccessAttributes | None) -> Viewers:
        """Return who may see a record now.

        Args:
            about: What was decided of it.
            model_revision: Of the model that it was decided under.
            before: What was decided of it before that; None: nothing.
        """
        if self.now is None:
            return NOBODY
        viewers = self._viewers(self.now, about)
        if model_revision > self.now.model.revision:
            # Under a model that is yet to be heard of. Until then it shows what both decisions show.
            return NOBODY if before is None else viewers & self._viewers(self.now, before)
        if self.is_decided or model_revision == self.now.model.revision:
            return viewers
        return viewers & self._viewers(self._before, about)

    def due_at_last(self, about: AccessAttributes) -> Viewers:
        """Return who may see a record once everything is decided and said under the present model."""
        return self._viewers(self.now, about)

    def holds_at_most(self, about: AccessAttributes, viewers: Viewers | None) -> Viewers:
        """Return whose sets may hold a record, given whose are known to; None: nobody knows.

        On the way, one who had the partition before may have said it under any of its models.
        """
        held = viewers or NOBODY
        if viewers is None or not self.is_settled:
            for access in (self._before, *self._set_out_for, self.now):
                held = held | self._viewers(access, about)
        return held

    @staticmethod
    def _viewers(access: Access | None, about: AccessAttributes) -> Viewers:
        return NOBODY if access is None else access.viewers_of(about.owner_id, about.territories, about.shared)
