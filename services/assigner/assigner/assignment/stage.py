"""Second stage: whole records become assignments, each beside its account (A1 to A11, V6).

Partitioned by family. A family is decided under one model at a time: a change of the model
reaches it with the sweep, or with the first change of one of its records, whichever is first.
"""

from __future__ import annotations

from collections.abc import Iterator

from assigner.assignment.family import Family, Member
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from assigner.assignment.policy_cache import PolicyCache
from assigner.intake.stage import GONE_AGAIN, INTAKE_PARTITION, MOVED, REASON
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message, Models, WithoutFanOut
from territory.wire import topics
from territory.wire.events import Assignment, DealFacts, Record, Released
from territory.wire.keys import org_of, parse_record_key

SILENT_COST = 0.25
"""What it costs to decide a record that stays, compared with one of which something is said, which others hear."""
PASSED_OVER_COST = 0.05
"""The same where a look at the family shows that nobody in it can move."""

Origin = tuple[str, int]
"""The id and the time of the event that a decision follows from; the time is 0 for a change of the model."""


class AssignmentFold(WithoutFanOut):
    """The families of one partition and where their members stand."""

    def __init__(self, linkers: PolicyCache | None = None) -> None:
        self._families: dict[str, dict[str, Family]] = {}
        self._family_of: dict[str, str] = {}
        self._linkers = linkers or PolicyCache()

    def __len__(self) -> int:
        return len(self._family_of)

    def restore(self, message: InputMessage) -> None:
        """Take a whole record as it was forwarded (territory.internal.families.v1)."""
        if message.event is None:
            self._let_go(message.key)
        else:
            self._put(message.key, message.event)

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Take it that what the active models decide has been said, but for unknown organisations."""
        for org_id, families in self._families.items():
            if org_id in models and org_id not in unknown:
                linker = self._linkers.of(models[org_id])
                for family in families.values():
                    family.linker = linker
                    family.is_open = True

    def flush(self, models: Models, effects: Effects) -> None:
        """Nothing is put off."""

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Decide the territories of one record and of those that follow it.

        The same record twice is said twice: the second is what a release asks for.
        """
        model = models.get(org_of(message.key))
        linker = self._linkers.of(model) if model is not None else None
        if message.event is None:
            self._remove(message, linker, effects)
            return
        record: Record = message.event
        before = self._member(message.key)
        if before is not None and record.order < before.record.order:
            effects.outcomes["stale"] += 1
            return
        family, links_before = self._bring_up(message.key, record, linker, effects)
        member = self._put(message.key, record)
        if linker is None:
            effects.outcomes["no_model"] += 1
            return
        origin = (record.event_id, record.since_ms)
        wrong_before = linker.wrong_values
        member.standing = family.decide(record, linker)
        effects.messages.append(_said(member.record, member.standing, linker.model, origin))
        effects.outcomes["decided"] += 1
        if linker.wrong_values != wrong_before:
            effects.outcomes["wrong_type"] += linker.wrong_values - wrong_before
        if links_before is None or links_before != _territories(member.standing):
            self._follow(family, record, linker, origin, effects)

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Decide the families anew that a change of the model can move; say what changed.

        A slice has about `limit` records of which something is said, to the end of a family, or more that stay.
        """
        linker = self._linkers.of(model)
        effects = Effects()
        for key in list(self._families.get(model.org_id, ())):
            family = self._families.get(model.org_id, {}).get(key)
            if family is None:
                continue
            if family.linker is linker or self._stays(family, linker):
                effects.cost += len(family) * PASSED_OVER_COST
            else:
                before = len(effects.messages)
                self._bring(family, linker, effects)
                said = len(effects.messages) - before
                effects.cost += said + (len(family) - said) * SILENT_COST
            effects.swept += len(family)
            if effects.cost >= limit:
                yield effects
                effects = Effects()
        yield effects

    # --- families ----------------------------------------------------------------------------

    def _family(self, key: str) -> Family | None:
        family_key = self._family_of.get(key)
        return None if family_key is None else self._families[org_of(key)][family_key]

    def _member(self, key: str) -> Member | None:
        family = self._family(key)
        return None if family is None else family.member(key)

    def _put(self, key: str, record: Record) -> Member:
        if self._family_of.get(key, record.family) != record.family:
            self._let_go(key)
        self._family_of[key] = record.family
        return self._family_at(record).put(key, record)

    def _family_at(self, record: Record) -> Family:
        families = self._families.setdefault(record.org_id, {})
        family = families.get(record.family)
        if family is None:
            family = families[record.family] = Family()
        return family

    def _let_go(self, key: str) -> Record | None:
        family_key = self._family_of.pop(key, None)
        if family_key is None:
            return None
        families = self._families[org_of(key)]
        family = families[family_key]
        record = family.remove(key)
        if not len(family):
            del families[family_key]
        return record

    # --- decisions ---------------------------------------------------------------------------

    def _bring_up(
        self, key: str, record: Record, linker: AssignmentPolicy | None, effects: Effects
    ) -> tuple[Family, tuple[str, ...] | None]:
        """Return the record's family under the present model, and the record's links there so far."""
        family = self._family_at(record)
        if linker is None:
            return family, None
        self._bring(family, linker, effects)
        member = family.member(key)
        return family, _territories(member.standing) if member is not None else None

    def _stays(self, family: Family, linker: AssignmentPolicy) -> bool:
        """Whether nobody in a family can stand elsewhere under another model; then the family is brought there."""
        if family.linker is None or self._linkers.difference(family.linker, linker).may_move(family):
            return False
        family.linker = linker
        return True

    def _bring(self, family: Family, linker: AssignmentPolicy, effects: Effects) -> None:
        """Decide a family under a model, unless it is, and say which of its members stand elsewhere now."""
        if family.linker is linker or self._stays(family, linker):
            self._settle(family)
            return
        self._settle(family)
        known = family.linker is not None
        family.linker = linker
        origin = (f"model/{linker.model.org_id}/{linker.model.revision}", 0)
        for member in family:
            before = member.standing
            member.standing = family.decide(member.record, linker)
            if not known or member.standing != before:
                effects.messages.append(_said(member.record, member.standing, linker.model, origin))
                effects.outcomes["redecided"] += 1

    def _settle(self, family: Family) -> None:
        """Work out the standings that a restore left open, under the model that they were said with."""
        linker = family.linker
        if linker is None or not family.is_open:
            return
        for member in family:
            if member.standing is None:
                member.standing = family.decide(member.record, linker)
        family.is_open = False

    def _follow(self, family: Family, head: Record, linker: AssignmentPolicy, origin: Origin, effects: Effects) -> None:
        """Decide those that follow a record whose links have changed (A5, A6, A8)."""
        for member in family.followers_of(head):
            before = member.standing
            member.standing = family.decide(member.record, linker)
            if member.standing != before:
                effects.messages.append(_said(member.record, member.standing, linker.model, origin))
                effects.outcomes["followed"] += 1

    def _remove(self, message: InputMessage, linker: AssignmentPolicy | None, effects: Effects) -> None:
        """Let go of a record that was deleted, or that moved to another family (A4, A8)."""
        reason = message.headers.get(REASON)
        family = self._family(message.key)
        if family is not None:
            if linker is not None:
                self._bring(family, linker, effects)  # while the record is still there: what was said counted it
            record = self._let_go(message.key)
            if linker is not None and record is not None:
                self._follow(family, record, linker, (f"gone/{message.key}", message.timestamp_ms), effects)
        if reason != MOVED:
            effects.messages.append(Message(topics.ASSIGNMENTS.name, message.key, None, message.key))
        # Also for a record that this memory does not know; and only once all assignments are acknowledged.
        # Else the family that the record is in could answer before what this one has just said of it.
        org_id, object_type, record_id = parse_record_key(message.key)
        released = Released(org_id, object_type, record_id, again=reason == GONE_AGAIN)  # type: ignore[arg-type]  # our own key
        home = int(message.headers[INTAKE_PARTITION])
        effects.state.append(Message(topics.RELEASES.name, released.key, released, home))
        effects.outcomes["moved" if reason == MOVED else "gone"] += 1


def _territories(standing: AssignmentDecision | None) -> tuple[str, ...] | None:
    return None if standing is None else tuple(link.territory_id for link in standing.links)


def _said(record: Record, standing: AssignmentDecision, model: Model, origin: Origin) -> Message:
    event_id, since_ms = origin
    assignment = Assignment(
        org_id=record.org_id,
        object=record.object,
        id=record.id,
        version=record.version,
        model_revision=model.revision,
        owner_id=record.owner_id,
        links=standing.links,
        cut=standing.cut,
        runners_up=standing.runners_up,
        dropped=standing.dropped,
        unassigned=standing.unassigned,
        deal=DealFacts.of(record.fields) if record.object == "deal" else None,
        family=record.family,
        event_id=event_id,
        since_ms=since_ms,
        shared=standing.shared,
    )
    key = record.key
    return Message(topics.ASSIGNMENTS.name, key, assignment, key)
