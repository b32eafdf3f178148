"""What closed periods came to in one partition, and which deals count for something else since (F12).

When a partition passes to a model that closes a period, before anything is taken under that model,
each of its deals is counted under it as it is then. What it counts for stays, whatever comes: it is
on a compacted topic, deal by deal, and after all deals a word that the period is closed. Without that
word it is counted anew from the same deals, so a crash in between changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forecast_aggregator.partials.cells import Cells
from forecast_aggregator.partials.contribution import Contribution, LeftOut, contribution_of
from forecast_aggregator.partials.targets import Target
from territory.model.compiled import Model, TargetKey
from territory.model.document import target_id
from territory.stage import Effects, InputMessage, Message
from territory.wire import topics
from territory.wire.events import Assignment, Counted, Frozen, FrozenTarget
from territory.wire.keys import closed_key, model_key, parse_record_key


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a deal counted for when a period was closed, and what it counts for in it now; None: for nothing."""

    frozen: Counted | None
    now: Counted | None


@dataclass(frozen=True, slots=True)
class DealAdjusted:
    """A change of the list of deals that count for something else since a period was closed; None: off the list."""

    org_id: str
    period: str
    deal_id: str
    adjustment: Adjustment | None


class Closed:
    """The closed periods of one organisation in one partition."""

    def __init__(self, org_id: str, partition: int) -> None:
        self._org_id = org_id
        self._partition = partition
        self.periods: dict[str, int] = {}
        """Those of which everything is said, each with the revision since which it is closed; 0: not known."""
        self.cells = Cells()
        self._deals: dict[str, dict[str, Counted]] = {}
        """By key and period, all that is on the topic, that of periods that are not closed, too."""
        self._targets: dict[TargetKey, Target] = {}
        self._adjusted: dict[str, dict[str, Adjustment]] = {}

    # --- memory ------------------------------------------------------------------------------

    def restore(self, message: InputMessage) -> None:
        """Take back what was said of closed periods."""
        _, kind, name = parse_record_key(message.key)
        said: Frozen | None = message.event
        if kind == "closed":
            since = (said and said.since) or {}
            self.periods = {at: since.get(at, 0) for at in (said and said.periods) or ()}
        elif kind == "deal":
            self._deals.pop(message.key, None)
            if said is not None and said.counted:
                self._deals[message.key] = said.counted
        else:
            territory_id, period, *user = name.split(":", 2)
            key = (territory_id, period, user[0] if user else None)
            self._targets.pop(key, None)
            if said is not None and said.target is not None:
                self._targets[key] = Target(said.target.amount, said.target.mismatch)

    def restored(self) -> None:
        """Count what was said again; nothing of it is news."""
        self.cells = Cells()
        for counted in self._deals.values():
            for period, each in counted.items():
                if period in self.periods:
                    self.cells.put(Contribution.of(period, each))
        self.cells.dirty.clear()

    # --- asked -------------------------------------------------------------------------------

    @property
    def target_keys(self) -> Iterable[TargetKey]:
        """Where there was a target when the period was closed."""
        return [key for key in self._targets if key[1] in self.periods]

    def target(self, key: TargetKey) -> Target | None:
        """Return what was wanted when the period was closed."""
        return self._targets.get(key) if key[1] in self.periods else None

    def adjusted(self, deal_key: str) -> Mapping[str, Adjustment]:
        """Return, by period, how a deal counts since that was closed, where that is something else."""
        return self._adjusted.get(deal_key, {})

    @property
    def adjusted_keys(self) -> Iterable[str]:
        """The keys of deals that count for something else in a closed period."""
        return self._adjusted.keys()

    @property
    def deal_keys(self) -> Iterable[str]:
        """The keys of deals that are, or may be, in a closed period."""
        return self._deals.keys()

    # --- following a model -------------------------------------------------------------------

    def is_behind(self, model: Model) -> bool:
        """Whether a model closes or opens periods that are not so here yet."""
        if model.closed_since == self.periods:
            return False
        return bool(self._closing(model)) or not self.periods.keys() <= model.frozen_periods

    def _closing(self, model: Model) -> set[str]:
        """Return the periods that a model closes: also those that were opened in between, of which this has not heard.

        Where a revision is not known, or is of a model topic that was replaced, what is frozen stays.
        """
        return {
            at for at, since in model.closed_since.items() if at not in self.periods or 0 < self.periods[at] < since
        }

    def follow(
        self, model: Model, assignments: Mapping[str, Assignment], targets: Mapping[TargetKey, Target], effects: Effects
    ) -> set[str]:
        """Close and open what a model says, and return which periods it were; to repeat it is harmless.

        The word on what is open goes first and that on what is closed last, so that at no moment
        half of a period is taken for all of it.
        """
        closing = self._closing(model)
        keeping = {at: since for at, since in self.periods.items() if at in model.frozen_periods and at not in closing}
        changing = closing | (self.periods.keys() - keeping.keys())
        if keeping != self.periods:
            effects.messages.append(self._periods_are(keeping))
        after = {key: {at: each for at, each in held.items() if at in keeping} for key, held in self._deals.items()}
        for key, assignment in assignments.items() if closing else ():
            found = contribution_of(assignment, model)
            if isinstance(found, Contribution) and found.period in closing:
                after.setdefault(key, {})[found.period] = found.counted
        for key, counted in after.items():
            if counted != self._deals.get(key):
                effects.messages.append(self._deal_is(key, counted))
        wanted = {key: target for key, target in self._targets.items() if key[1] in keeping}
        wanted |= {key: target for key, target in targets.items() if key[1] in closing}
        places = {*self._targets, *wanted, *self.cells.cells}
        for at in sorted(wanted.keys() | self._targets.keys(), key=str):
            if wanted.get(at) != self._targets.get(at):
                effects.messages.append(self._target_is(at, wanted.get(at)))
        self.periods = keeping | {at: model.closed_since[at] for at in closing}
        if closing:
            effects.state.append(self._periods_are(self.periods))
        self._deals = {key: counted for key, counted in after.items() if counted}
        self._targets = wanted
        unsaid = self.cells.dirty
        self.restored()
        self.cells.dirty |= unsaid | {key for key in places | self.cells.cells.keys() if key[1] in changing}
        return changing

    def _periods_are(self, periods: Mapping[str, int]) -> Message:
        said = Frozen(self._org_id, periods=tuple(sorted(periods)), since=dict(periods))
        return self._said(closed_key(self._org_id), said)

    def _deal_is(self, key: str, counted: dict[str, Counted]) -> Message:
        said = Frozen(self._org_id, deal_id=parse_record_key(key)[2], counted=counted)
        return self._said(key, said if counted else None)

    def _target_is(self, key: TargetKey, target: Target | None) -> Message:
        said = None if target is None else Frozen(self._org_id, target=FrozenTarget(*key, *target))
        return self._said(model_key(self._org_id, "target", target_id(*key)), said)

    def _said(self, key: str, said: Frozen | None) -> Message:
        return Message(topics.FROZEN.name, key, said, self._partition)

    # --- what changed since ------------------------------------------------------------------

    def adjust(self, deal_key: str, now: Contribution | LeftOut | None, effects: Effects) -> None:
        """Note what a deal counts for now, beside what it did; say where that changed."""
        before = self._adjusted.get(deal_key, {})
        frozen = {at: each for at, each in self._deals.get(deal_key, {}).items() if at in self.periods}
        live = {now.period: now.counted} if isinstance(now, Contribution) and now.period in self.periods else {}
        after = {
            at: Adjustment(frozen.get(at), live.get(at))
            for at in frozen.keys() | live.keys()
            if frozen.get(at) != live.get(at)
        }
        if after == before:
            return
        if after:
            self._adjusted[deal_key] = after
        else:
            del self._adjusted[deal_key]
        deal_id = parse_record_key(deal_key)[2]
        for at in sorted(before.keys() | after.keys()):
            if before.get(at) != after.get(at):
                effects.changes.append(DealAdjusted(self._org_id, at, deal_id, after.get(at)))
