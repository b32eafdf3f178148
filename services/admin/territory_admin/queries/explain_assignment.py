"""Explains why a record is in its territories, and why it is, or is not, in another one (A10)."""

from __future__ import annotations

from dataclasses import dataclass

from territory_admin.arguments import RecordName, check_territory
from territory_admin.errors import WHY_UNKNOWN, NotFound
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.record_reader import last_assignment, read_family
from territory_admin.models.today import of_today
from territory_admin.models.topic import read_active_model
from territory_admin.queries.explainer import AssignmentExplainer, NearTerritory, Reason
from territory_admin.queries.unreadable import UnreadableValue, unreadable_in
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ExplainedAssignment:
    """A record's assignment, decided anew from its account family and the active model."""

    record: str
    org_id: str
    version: int
    model_revision: int
    owner_id: str | None
    links: tuple[Reason, ...]
    cut: tuple[str, ...]
    runners_up: tuple[str, ...]
    dropped: tuple[str, ...]
    unassigned: str | None
    asked: Reason | None
    """About the territory that was asked for; None if none was."""
    near_misses: tuple[NearTerritory, ...]
    """Of an account or lead, when no territory was asked for."""
    log_is_behind: bool
    """Whether the last published assignment differs: a change has yet to pass through the assigner."""
    unreadable: tuple[UnreadableValue, ...] = ()
    """The record's values that cannot be read (C6)."""


async def explain_assignment(
    settings: Settings, name: RecordName, territory_id: str | None, near: int = 0
) -> ExplainedAssignment:
    """Return why a record is in its territories.

    Args:
        settings: The brokers and the organisation.
        name: The record.
        territory_id: A territory to explain as well, whether the record is in it or not.
        near: Without a territory: the most territories to list that the record misses by one condition.

    Raises: NotFound for an unknown record or territory; KafkaError.
    """
    key = name.key(settings.org_id)
    async with kafka_session(settings) as kafka:
        model = await read_active_model(kafka, settings.org_id)
        assignment = await last_assignment(kafka, key)
        if assignment is None:
            raise NotFound(f"{name} of organisation {settings.org_id!r} has no assignment: {WHY_UNKNOWN}")
        family = await read_family(kafka, assignment.family)
    today = of_today(model)
    explainer = AssignmentExplainer(today, family)
    record = explainer.record(key)
    if record is None:
        raise NotFound(f"{name} is moving to another account; ask again after `territory wait`")
    decision = explainer.decision(key)
    asked: Reason | None = None
    if territory_id is not None:
        if territory_id not in decision.dropped:
            check_territory(model, territory_id)
        asked = explainer.reason(key, territory_id)
    decided = (record.version, record.owner_id, decision.links)
    return ExplainedAssignment(
        record=str(name),
        org_id=settings.org_id,
        version=record.version,
        model_revision=model.revision,
        owner_id=record.owner_id,
        links=tuple(explainer.links(key)),
        cut=decision.cut,
        runners_up=decision.runners_up,
        dropped=decision.dropped,
        unassigned=decision.unassigned,
        asked=asked,
        near_misses=tuple(explainer.near_misses(key, near)) if territory_id is None else (),
        log_is_behind=decided != (assignment.version, assignment.owner_id, assignment.links),
        unreadable=tuple(unreadable_in(record, today)),
    )
