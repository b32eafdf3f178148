"""Second stage of the assigner: decides whole records, each beside its account (A1 to A11, V6).

Partitioned by account family. A change of a record reaches its followers, and a change of the model
reaches every family: in a small family at once, in a large one step by step (`fan_out.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from itertools import count

from assigner.assignment.emission import (
    EMITTED_COST,
    SKIPPED_COST,
    UNCHANGED_COST,
    Origin,
    assignment_message,
    decide_and_emit,
    decide_followers,
    origin_of_model,
    territories_of,
)
from assigner.assignment.family import HEADS, Family
from assigner.assignment.family_table import FamilyTable
from assigner.assignment.fan_out import (
    FanOut,
    chunk_if_full,
    compute_undecided,
    fan_out_of,
    territories_before,
)
from assigner.assignment.foreign.copies import ForeignContacts
from assigner.assignment.foreign.exchange import ForeignExchange
from assigner.assignment.policy import AssignmentPolicy
from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.releases import release_of
from assigner.intake.merge import MOVED, REASON
from territory.errors import BadMessage
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models
from territory.wire import topics
from territory.wire.events import Record
from territory.wire.keys import org_of

FOLLOWERS_AT_ONCE_MAX = 50
"""So many followers take about a millisecond."""


class AssignmentFold:
    """The families of one partition, and the decisions for their members."""

    def __init__(
        self,
        policies: PolicyCache | None = None,
        partitions: int | None = None,
        followers_at_once_max: int = FOLLOWERS_AT_ONCE_MAX,
        partition: int = 0,
    ) -> None:
        """Begin without records.

        Args:
            policies: Shared by all partitions of a worker.
            partitions: Of the topics; None: not known, so no tombstone is refused for its partition.
            followers_at_once_max: A family of more members is large, and its followers are decided in steps.
            partition: Its number, which copies of other partitions' records come to.
        """
        self._foreign = ForeignContacts(partition)
        self._table = FamilyTable(self._foreign)
        self._exchange = ForeignExchange(self._table, self._foreign, partitions)
        self._policies = policies or PolicyCache()
        self._partitions = partitions
        self._followers_at_once_max = followers_at_once_max
        self._clock = count(1)
        self._unfinished: dict[str, Family] = {}
        """By family key, the fan-outs that hold an offset back; the next one to proceed with comes first."""

    def __len__(self) -> int:
        return len(self._table)

    # --- restore -----------------------------------------------------------------------------

    def restore(self, message: InputMessage) -> None:
        """Load a whole record as intake forwarded it (territory.internal.families.v1), or what comes of others."""
        if message.topic == topics.SUBSCRIPTIONS.name:
            self._exchange.restore(message)
        elif message.event is not None:
            self._table.put(message.key, message.event)
        else:
            with suppress(BadMessage):  # refused when it came: the record is still here
                release_of(message, self._partitions)
                self._table.remove(message.key)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Assume that the decisions under the active models were emitted, except for unknown organisations."""
        self._foreign.restored()
        self._exchange.restored(unknown)
        for org_id, families in self._table.organisations():
            if org_id in models and org_id not in unknown:
                policy = self._policies.of(models[org_id])
                for family in families:
                    family.policy = policy
                    family.has_undecided = True

    # --- messages ----------------------------------------------------------------------------

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Take one record, or what comes of records of other families."""
        if message.topic == topics.SUBSCRIPTIONS.name:
            self._exchange.apply(message, effects)
        else:
            self._apply_record(message, models, effects)
            self._exchange.publish_account(message.key, effects)
        effects.messages += self._foreign.take_requests()

    def _apply_record(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Decide one record and emit its assignment; decide its followers, or put that off if they are many.

        A record that comes twice is emitted twice: a release asks for that.
        """
        model = models.get(org_of(message.key))
        policy = self._policies.of(model) if model is not None else None
        if message.event is None:
            self._apply_tombstone(message, policy, effects)
            return
        record: Record = message.event
        before = self._table.member(message.key)
        if before is not None and record.order < before.record.order:
            effects.outcomes["stale"] += 1
            return
        if policy is None:
            self._table.put(message.key, record)
            effects.outcomes["no_model"] += 1
            return
        origin = Origin(record.event_id, record.since_ms)
        if before is not None and self._table.family_key_of(message.key) != record.family:
            self._remove(message.key, policy, origin, message.offset, effects)
        self._decide(record, policy, origin, message.offset, effects)

    def _decide(
        self, record: Record, policy: AssignmentPolicy, origin: Origin, offset: int | None, effects: Effects
    ) -> None:
        """Decide one record beside its family, and emit it; `offset` is that of its message, None if it has none."""
        family = self._table.family_at(record)
        if self._is_small(family):
            self._decide_in_small(family, record, policy, origin, effects)
        else:
            self._decide_in_large(family, record, policy, origin, effects, offset=offset)

    def flush(self, models: Models, effects: Effects) -> None:
        """Add nothing: all that waits for the end of a batch is a fan-out, which `proceed` continues."""

    @property
    def unfinished_from(self) -> Mapping[str, int] | None:
        """By topic, the offset of the oldest message with followers still to be decided; None: there is none."""
        offsets = [fan_out_of(family).unfinished_from for family in self._unfinished.values()]
        oldest = min((offset for offset in offsets if offset is not None), default=None)
        of_copies = self._exchange.unfinished_from
        found = {topics.FAMILIES.name: oldest, topics.SUBSCRIPTIONS.name: of_copies}
        return {topic: offset for topic, offset in found.items() if offset is not None} or None

    def proceed(self, models: Models, effects: Effects, limit: int) -> None:
        """Continue fan-outs for about `limit` emitted records; families take turns from call to call."""
        left = float(limit)
        for key, origin in self._exchange.proceed(effects, limit // 2 + 1 if self._unfinished else limit):
            model, member = models.get(org_of(key)), self._table.member(key)
            if model is not None and member is not None:
                self._decide(member.record, self._policies.of(model), origin, None, effects)
            left -= EMITTED_COST
        while left > 0 and self._unfinished:
            key, family = next(iter(self._unfinished.items()))
            model, fan_out = models.get(org_of(key)), fan_out_of(family)
            if model is not None and family.policy is not (policy := self._policies.of(model)):
                family.policy = policy
                fan_out.change_model()
                fan_out.request_lap(None)
            left -= fan_out.proceed(effects, left)
            del self._unfinished[key]
            if fan_out.unfinished_from is not None:
                self._unfinished[key] = family  # at the end: other families go first
            self._close_if_done(key, family)

    # --- changes of the model ----------------------------------------------------------------

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Decide the families again that a change of the model can affect; emit what changed.

        A chunk emits about `limit` records, or decides more that stay. It may end within a large family.
        """
        policy = self._policies.of(model)
        effects = Effects()
        for key in self._table.family_keys(model.org_id):
            family = self._table.family(model.org_id, key)
            if family is None:
                continue
            if self._is_small(family):
                self._sweep_small(family, policy, effects)
            else:
                effects = yield from self._sweep_large(key, family, policy, limit, effects)
            effects.swept += len(family)
            if effects.cost >= limit:
                yield effects
                effects = Effects()
        yield effects

    def _sweep_small(self, family: Family, policy: AssignmentPolicy, effects: Effects) -> None:
        if family.policy is policy or self._is_unaffected(family, policy):
            effects.cost += len(family) * SKIPPED_COST
            return
        before = len(effects.messages)
        self._move_to(policy, family, effects)
        emitted = len(effects.messages) - before
        effects.cost += emitted * EMITTED_COST + (len(family) - emitted) * UNCHANGED_COST

    def _sweep_large(
        self, key: str, family: Family, policy: AssignmentPolicy, limit: int, effects: Effects
    ) -> Generator[Effects, None, Effects]:
        """Bring one large family under a policy, chunk by chunk; return the effects of the last, begun chunk.

        Messages may be applied between two chunks. The first of them moves the family to the policy itself.
        """
        if family.policy is not policy and family.fan_out is None:
            effects = yield from self._pass_over_if_unaffected(family, policy, limit, effects)
        if family.policy is not policy and family.fan_out is None:
            effects = yield from compute_undecided(family, limit, effects)
        if family.policy is not policy:
            family.policy = policy
            self._fan_out_of(family).change_model()
        fan_out = family.fan_out
        if fan_out is not None:
            lap = fan_out.request_lap(None)
            while not fan_out.is_done(lap):
                effects.cost += fan_out.proceed(effects, limit - effects.cost)
                effects = yield from chunk_if_full(effects, limit)
            self._close_if_done(key, family)
        return effects

    def _pass_over_if_unaffected(
        self, family: Family, policy: AssignmentPolicy, limit: int, effects: Effects
    ) -> Generator[Effects, None, Effects]:
        """Give a large family another policy if no member can be decided differently under it."""
        old = family.policy
        if old is None:
            return effects
        diff = self._policies.diff(old, policy)
        for key in family.keys:
            member = family.member(key)
            effects.cost += SKIPPED_COST
            if member is not None and diff.may_change_in(family, member.record):
                return effects
            effects = yield from chunk_if_full(effects, limit)
        family.policy = policy
        return effects

    def _is_small(self, family: Family) -> bool:
        return len(family) <= self._followers_at_once_max and family.fan_out is None

    # --- small families: everything at once --------------------------------------------------

    def _decide_in_small(
        self, family: Family, record: Record, policy: AssignmentPolicy, origin: Origin, effects: Effects
    ) -> None:
        """Decide one record and its followers, and emit them."""
        key = record.key
        self._move_to(policy, family, effects)
        member = family.member(key)
        before = None if member is None or member.decision is None else territories_of(member.decision)
        after = decide_and_emit(self._table.put(key, record), family, policy, origin, effects)
        if before is None or before != territories_of(after):
            decide_followers(family, record, policy, origin, effects)

    def _is_unaffected(self, family: Family, policy: AssignmentPolicy) -> bool:
        """Whether no member can be decided differently under another policy; then the family gets that policy."""
        if family.policy is None or self._policies.diff(family.policy, policy).may_change_any(family):
            return False
        family.policy = policy
        return True

    def _move_to(self, policy: AssignmentPolicy, family: Family, effects: Effects) -> None:
        """Bring a small family under a policy, unless it is; emit the decisions that change, or all if unknown."""
        before = family.policy
        is_decided = before is policy or self._is_unaffected(family, policy)
        if family.has_undecided and family.policy is not None:
            for member in family:
                family.compute_decision(member, family.policy)
            family.has_undecided = False
        if is_decided:
            return
        family.policy = policy
        origin = origin_of_model(policy.model)
        for member in family:
            old, member.decision = member.decision, family.decide(member.record, policy)
            if before is None or member.decision != old:
                effects.messages.append(assignment_message(member.record, member.decision, policy.model, origin))
                effects.outcomes["redecided"] += 1

    # --- large families: step by step --------------------------------------------------------

    def _decide_in_large(
        self,
        family: Family,
        record: Record,
        policy: AssignmentPolicy,
        origin: Origin,
        effects: Effects,
        *,
        offset: int | None,
    ) -> None:
        """Decide one record of a large family under the newest model and heads, and emit it."""
        self._begin_move_to(policy, family, offset, record.family)
        before = territories_before(family, record.key, policy) if record.object in HEADS else None
        member = self._table.put(record.key, record)
        if family.fan_out is None:
            family.compute_heads(record, policy)
        else:
            family.fan_out.decide_heads(record, effects)
            member.decided_at = family.fan_out.newest
        after = decide_and_emit(member, family, policy, origin, effects)
        if before is None or before != territories_of(after):
            self._begin_fan_out(family, record, origin, offset, effects)

    def _begin_move_to(self, policy: AssignmentPolicy, family: Family, offset: int | None, family_key: str) -> None:
        """Put off bringing a large family under a policy, unless it is; without an offset, until its sweep."""
        if family.policy is not policy:
            family.policy = policy
            fan_out = self._fan_out_of(family)
            fan_out.change_model()
            fan_out.request_lap(offset)
            if offset is not None:
                self._unfinished.setdefault(family_key, family)

    def _begin_fan_out(
        self, family: Family, head: Record, origin: Origin, offset: int | None, effects: Effects
    ) -> None:
        """Decide the followers of a head of a large family; put that off if they are many."""
        if head.object not in HEADS or not len(family):
            return
        fan_out = self._fan_out_of(family)
        fan_out.change_head(head, origin)
        deals = family.deals_naming(head.id) if head.object == "contact" else None
        if deals is None or len(deals) > self._followers_at_once_max:
            fan_out.request_lap(offset)
            self._unfinished.setdefault(head.family, family)
            return
        for key in deals:
            deal = family.member(key)
            if deal is not None:
                fan_out.decide_if_due(deal, effects)
        self._close_if_done(head.family, family)

    def _fan_out_of(self, family: Family) -> FanOut:
        if family.fan_out is None:
            family.fan_out = FanOut(family, self._clock)
        return family.fan_out

    def _close_if_done(self, family_key: str, family: Family) -> None:
        if family.fan_out is not None and family.fan_out.is_done():
            family.fan_out = None
            self._unfinished.pop(family_key, None)

    # --- records that leave a family ---------------------------------------------------------

    def _apply_tombstone(self, message: InputMessage, policy: AssignmentPolicy | None, effects: Effects) -> None:
        """Remove a record that was deleted, or that moved to another family, and answer with a release (A4, A8).

        The release goes out even for a record that is not here, and only once all assignments are acknowledged.
        Otherwise the record's present family could answer before the last assignment of this one.
        """
        try:
            release = release_of(message, self._partitions)
        except BadMessage as bad:
            effects.refused.append((message, bad.code, str(bad)))
            return
        is_move = message.headers.get(REASON) == MOVED
        origin = Origin(f"gone/{message.key}", message.timestamp_ms)
        self._remove(message.key, policy, origin, message.offset, effects)
        if not is_move:
            effects.messages.append(Message(topics.ASSIGNMENTS.name, message.key, None, message.key))
        effects.state.append(release)
        effects.outcomes["moved" if is_move else "gone"] += 1

    def _remove(self, key: str, policy: AssignmentPolicy | None, origin: Origin, offset: int, effects: Effects) -> None:
        """Remove a record from its family, and decide its followers without it."""
        family, family_key = self._table.family_of(key), self._table.family_key_of(key)
        if family is None or family_key is None:
            return
        is_small = self._is_small(family)
        if policy is not None and is_small:
            self._move_to(policy, family, effects)  # first: what was emitted so far counted the record
        elif policy is not None:
            self._begin_move_to(policy, family, offset, family_key)
        record = self._table.remove(key)
        if record is None or policy is None:
            return
        if not len(family):
            self._unfinished.pop(family_key, None)
        elif is_small:
            decide_followers(family, record, policy, origin, effects)
        else:
            self._begin_fan_out(family, record, origin, offset, effects)
