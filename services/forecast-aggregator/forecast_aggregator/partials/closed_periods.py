"""The frozen figures of closed periods in one partition, and the deals that differ from them now (F12).

Frozen figures live on the compacted topic `territory.internal.frozen.v1`: one message a deal, one a target, and one
list of the periods that are closed. A period counts as closed only once that list names it.
`period_transition.py` closes and reopens periods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from forecast_aggregator.partials.cells import Cells
from forecast_aggregator.partials.changes import Adjustment, DealAdjusted
from forecast_aggregator.partials.contribution import Contribution, LeftOut
from forecast_aggregator.partials.targets import TargetWithMismatch
from territory.model.compiled import Model, TargetKey
from territory.model.document import target_id
from territory.stage import Effects, InputMessage, Message
from territory.wire import topics
from territory.wire.events import Counted, Frozen, FrozenTarget
from territory.wire.keys import closed_key, model_key, parse_record_key


class ClosedPeriods:
    """The closed periods of one organisation in one partition."""

    def __init__(self, org_id: str, partition: int) -> None:
        self._org_id = org_id
        self._partition = partition
        self.periods: dict[str, int] = {}
        """Closed periods, each with the model revision that closed it; 0: unknown."""
        self.cells = Cells()
        """The frozen sums of the closed periods."""
        self.frozen_deals: dict[str, dict[str, Counted]] = {}
        """By deal key and period. It may hold periods that are not closed: a transition freezes deals first."""
        self.frozen_targets: dict[TargetKey, TargetWithMismatch] = {}
        """May hold periods that are not closed, as above."""
        self._adjusted: dict[str, dict[str, Adjustment]] = {}

    # --- restore -----------------------------------------------------------------------------

    def restore(self, message: InputMessage) -> None:
        """Take one message of the frozen topic."""
        _, kind, name = parse_record_key(message.key)
        frozen: Frozen | None = message.event
        if kind == "closed":
            since = (frozen and frozen.since) or {}
            self.periods = {period: since.get(period, 0) for period in (frozen and frozen.periods) or ()}
        elif kind == "deal":
            self.frozen_deals.pop(message.key, None)
            if frozen is not None and frozen.counted:
                self.frozen_deals[message.key] = frozen.counted
        else:
            territory_id, period, *user = name.split(":", 2)
            key = (territory_id, period, user[0] if user else None)
            self.frozen_targets.pop(key, None)
            if frozen is not None and frozen.target is not None:
                self.frozen_targets[key] = TargetWithMismatch(frozen.target.amount, frozen.target.mismatch)

    def restored(self) -> None:
        """Sum up the frozen deals, once the topic is read. The sums are published already."""
        self.cells = Cells()
        for counted in self.frozen_deals.values():
            for period, each in counted.items():
                if period in self.periods:
                    self.cells.put(Contribution.of(period, each))
        self.cells.changed.clear()

    # --- queries -----------------------------------------------------------------------------

    @property
    def target_keys(self) -> Iterable[TargetKey]:
        """Keys of the targets that were set when their period was closed."""
        return [key for key in self.frozen_targets if key[1] in self.periods]

    def target(self, key: TargetKey) -> TargetWithMismatch | None:
        """Return the target at the time when the period was closed."""
        return self.frozen_targets.get(key) if key[1] in self.periods else None

    def adjusted(self, deal_key: str) -> Mapping[str, Adjustment]:
        """Return a deal's adjustments by closed period."""
        return self._adjusted.get(deal_key, {})

    @property
    def adjusted_keys(self) -> Iterable[str]:
        """Keys of the deals that count otherwise now than in a closed period."""
        return self._adjusted.keys()

    def is_behind(self, model: Model) -> bool:
        """Whether the model closes or reopens periods that this partition has not closed or reopened yet."""
        if model.closed_since == self.periods:
            return False
        return bool(self.closing_under(model)) or not self.periods.keys() <= model.frozen_periods

    def closing_under(self, model: Model) -> set[str]:
        """Return the periods that still have to be closed under a model.

        A closed period is closed again if the model closed it at a later revision: it was open in between, and this
        partition skipped that model. If a revision is unknown (0) or lower (the model topic was replaced), the
        frozen figures stay.
        """
        return {
            period
            for period, since in model.closed_since.items()
            if period not in self.periods or 0 < self.periods[period] < since
        }

    # --- adjustments -------------------------------------------------------------------------

    def adjust(
        self, deal_key: str, now: Contribution | LeftOut | None, effects: Effects, *, repeat: bool = False
    ) -> None:
        """Compare how a deal counts now with the closed periods, and emit the adjustments that changed.

        `repeat` emits unchanged adjustments too.
        """
        before = self._adjusted.get(deal_key, {})
        frozen = {at: each for at, each in self.frozen_deals.get(deal_key, {}).items() if at in self.periods}
        live = {now.period: now.counted} if isinstance(now, Contribution) and now.period in self.periods else {}
        after = {
            at: Adjustment(frozen.get(at), live.get(at))
            for at in frozen.keys() | live.keys()
            if frozen.get(at) != live.get(at)
        }
        if after:
            self._adjusted[deal_key] = after
        elif before:
            del self._adjusted[deal_key]
        for period in sorted(before.keys() | after.keys()):
            if repeat or before.get(period) != after.get(period):
                deal_id = parse_record_key(deal_key)[2]
                effects.changes.append(DealAdjusted(self._org_id, period, deal_id, after.get(period)))

    # --- messages ----------------------------------------------------------------------------

    def forget(self, limit: int) -> list[Message]:
        """Forget up to `limit` frozen deals and targets of a removed organisation; return their tombstones (A12).

        A worker that stopped while it reopened periods may have left some.
        """
        deals = [key for key, _ in zip(self.frozen_deals, range(limit), strict=False)]
        targets = [key for key, _ in zip(self.frozen_targets, range(limit - len(deals)), strict=False)]
        for key in deals:
            del self.frozen_deals[key]
        for target in targets:
            del self.frozen_targets[target]
        return [
            *(self.deal_message(key, {}) for key in deals),
            *(self.target_message(target, None) for target in targets),
        ]

    def periods_message(self, periods: Mapping[str, int]) -> Message:
        """Return the message that lists the closed periods; a tombstone if there is none."""
        frozen = Frozen(self._org_id, periods=tuple(sorted(periods)), since=dict(periods)) if periods else None
        return self._message(closed_key(self._org_id), frozen)

    def deal_message(self, key: str, counted: dict[str, Counted]) -> Message:
        """Return the message with a deal's frozen contributions; a tombstone if there is none."""
        frozen = Frozen(self._org_id, deal_id=parse_record_key(key)[2], counted=counted)
        return self._message(key, frozen if counted else None)

    def target_message(self, key: TargetKey, target: TargetWithMismatch | None) -> Message:
        """Return the message with a frozen target; a tombstone if there is none."""
        frozen = None if target is None else Frozen(self._org_id, target=FrozenTarget(*key, *target))
        return self._message(model_key(self._org_id, "target", target_id(*key)), frozen)

    def _message(self, key: str, frozen: Frozen | None) -> Message:
        return Message(topics.FROZEN.name, key, frozen, self._partition)
