"""Emits decisions as assignments; and what deciding costs, in units of a sweep's budget."""

from __future__ import annotations

from typing import NamedTuple

from assigner.assignment.family import Family, Member
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.model.compiled import Model
from territory.stage import Effects, Message
from territory.wire import topics
from territory.wire.events import Assignment, DealFacts, Record

EMITTED_COST = 1.0
"""The unit: one record decided and emitted, which downstream services then process."""
UNCHANGED_COST = 0.25
"""One record decided with the result it had; nothing is emitted."""
SKIPPED_COST = 0.05
"""One record that was looked at and not decided."""


class Origin(NamedTuple):
    """What an assignment follows from: an event, or a change of the model."""

    event_id: str
    since_ms: int
    """When the event happened, in ms of the epoch; 0 for a change of the model, which has no latency."""


def origin_of_model(model: Model) -> Origin:
    """Return the origin of assignments that follow from a change of the model."""
    return Origin(f"model/{model.org_id}/{model.revision}", 0)


def assignment_message(record: Record, decision: AssignmentDecision, model: Model, origin: Origin) -> Message:
    """Return the message that publishes a record's decision, keyed and routed by record."""
    assignment = Assignment(
        org_id=record.org_id,
        object=record.object,
        id=record.id,
        version=record.version,
        model_revision=model.revision,
        owner_id=record.owner_id,
        links=decision.links,
        cut=decision.cut,
        runners_up=decision.runners_up,
        dropped=decision.dropped,
        unassigned=decision.unassigned,
        deal=DealFacts.of(record.fields) if record.object == "deal" else None,
        family=record.family,
        event_id=origin.event_id,
        since_ms=origin.since_ms,
        shared=decision.shared,
    )
    key = record.key
    return Message(topics.ASSIGNMENTS.name, key, assignment, key)


def territories_of(decision: AssignmentDecision) -> tuple[str, ...]:
    """Return the territories of a decision: all that followers inherit from it."""
    return tuple(link.territory_id for link in decision.links)


def decide_and_emit(
    member: Member, family: Family, policy: AssignmentPolicy, origin: Origin, effects: Effects
) -> AssignmentDecision:
    """Decide the record of a message; count its unreadable values."""
    wrong_before = policy.wrong_values
    decision = member.decision = family.decide(member.record, policy)
    effects.messages.append(assignment_message(member.record, decision, policy.model, origin))
    effects.outcomes["decided"] += 1
    if policy.wrong_values != wrong_before:
        effects.outcomes["wrong_type"] += policy.wrong_values - wrong_before
    for name in policy.unreadable_in(member.record, is_any_known=policy.wrong_values != wrong_before):
        effects.unreadable[member.record.object, name] += 1
    return decision


def decide_followers(family: Family, head: Record, policy: AssignmentPolicy, origin: Origin, effects: Effects) -> None:
    """Decide the followers of a record whose territories changed; emit the differences (A5, A6, A8)."""
    for member in family.followers_of(head):
        before, member.decision = member.decision, family.decide(member.record, policy)
        if member.decision != before:
            effects.messages.append(assignment_message(member.record, member.decision, policy.model, origin))
            effects.outcomes["followed"] += 1
