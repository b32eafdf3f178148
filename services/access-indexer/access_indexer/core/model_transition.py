"""The migration of one organisation's sets from one model to the next.

The assigner and the indexer read a new model at the same time. Until the assigner has decided every record again,
a record may still be in territories that the new model gives to other users. During the transition such a record
is visible only to the users who see it under both models. So nobody ever sees what neither model gives (V8).
"""

from __future__ import annotations

from access_indexer.core.viewers import NOBODY, AccessAttributes, AccessPolicy, AccessUnion, Viewers
from territory.model.compiled import Model


class ModelTransition:
    """The previous and the target model of one organisation, and how far the transition is.

    Memory is bounded: targets that were superseded before their sweep ended are folded into one `AccessUnion`.
    """

    def __init__(self) -> None:
        self.target: AccessPolicy | None = None
        """The newest model; None: the organisation has none, so nobody sees anything."""
        self.is_complete = True
        """True if the sets of every record follow the target."""
        self.is_decided = True
        """True if the assigner has decided every record under the target, or under a model that decides alike."""
        self.needs_reset = True
        """True if earlier change events are void and no reset event was emitted yet."""
        self._previous: AccessPolicy | None = None
        """The last model whose sweep ended."""
        self._superseded: AccessUnion | None = None
        """The targets since then whose sweeps never ended."""
        self._decided_by: bytes | None = None
        """`Model.deciding` of the last model that the assigner has decided every record under; None: unknown."""

    def complete_under(self, model: Model) -> None:
        """Start with every record decided and written under a model: the state after an undisturbed restart."""
        self.target, self._previous = AccessPolicy(model), None
        self._superseded = None
        self._decided_by = model.deciding
        self.is_complete = self.is_decided = True
        self.needs_reset = False

    def reset(self) -> None:
        """Start without knowing what was decided and written: the next model needs a whole sweep."""
        self.target = self._previous = self._decided_by = None
        self._superseded = None
        self.is_complete = self.is_decided = False
        self.needs_reset = True

    def begin(self, model: Model) -> None:
        """Make a model the target. Does nothing if it is the target already."""
        if self.target is not None and self.target.model is model:
            return
        if self.is_complete:
            self._previous = self.target
        elif self.target is not None:
            self._superseded = self._superseded or AccessUnion()
            self._superseded.add(self.target)
        self.target = AccessPolicy(model)
        self.is_complete = False
        self.is_decided = model.deciding == self._decided_by

    def mark_decided(self) -> None:
        """Record that the assigner has decided every record under the target, and that this stage has read it."""
        if self.target is not None:
            self.is_decided, self._decided_by = True, self.target.model.deciding

    def complete(self) -> None:
        """Record that the sets of every record follow the target: the end of its sweep."""
        self.is_complete, self._previous = True, None
        self._superseded = None

    def visible_now(self, attributes: AccessAttributes, model_revision: int, current: Viewers) -> Viewers:
        """Return the users who may see a record at this point of the transition.

        Args:
            attributes: The record's attributes as last decided.
            model_revision: The revision of the model that they were decided under.
            current: The users whose sets are known to hold it now; nobody for a new record.
        """
        if self.target is None:
            return NOBODY
        viewers = _viewers(self.target, attributes)
        if model_revision > self.target.model.revision:
            # The assigner is ahead. Until this worker has that model, nobody gains access: its users of the old model
            # may be members of a territory that has the record under the new one only.
            return viewers & current
        if self.is_decided or model_revision == self.target.model.revision:
            return viewers
        return viewers & _viewers(self._previous, attributes)

    def visible_after(self, attributes: AccessAttributes) -> Viewers:
        """Return the users who may see a record once the transition is complete."""
        return _viewers(self.target, attributes)

    def possible(self, attributes: AccessAttributes, current: Viewers | None) -> Viewers:
        """Return all users whose sets may hold a record; `current` are those known to, None if that is unknown.

        During a transition an earlier owner of the partition may have written the record under any of its models.
        """
        viewers = current or NOBODY
        if current is None or not self.is_complete:
            for policy in (self._previous, self._superseded, self.target):
                viewers = viewers | _viewers(policy, attributes)
        return viewers


def _viewers(policy: AccessPolicy | AccessUnion | None, attributes: AccessAttributes) -> Viewers:
    if policy is None:
        return NOBODY
    return policy.viewers_of(attributes)
