"""The assigner's service: which topics its two stages read, and what they are restored from."""

from __future__ import annotations

from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from assigner.matching.port import EngineMissing
from territory.wire import topics
from territory.wire.events import read_record, read_record_change, read_subscribed
from territory_runtime.app import ServiceApp
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.stage import Downstream, Stage
from territory_runtime.settings import Settings
from territory_runtime.startup_checks import CannotStart

INTAKE = "assigner-intake"
ASSIGNMENT = "assigner-assignment"
EDITION = 2
"""1: unreadable values are no missing ones, and datetimes beside days are days (C2, C6, C8). 2: rules compare money in
the organisation's currency (C9)."""


def stages(policies: PolicyCache, settings: Settings) -> tuple[Stage, Stage]:
    """Return the two stages of the assigner: intake by record, assignment by family."""
    intake = Stage(
        name=INTAKE,
        inputs={topics.RECORDS: read_record_change, topics.RELEASES: bytes},  # what it is, its headers say
        state=(topics.RECORD_STATES, read_record),
        make=lambda partition, partitions: IntakeFold(
            partition, settings.deleted_retention_days, partitions=partitions
        ),
    )
    assignment = Stage(
        name=ASSIGNMENT,
        inputs={topics.FAMILIES: read_record, topics.SUBSCRIPTIONS: read_subscribed},
        state=(topics.FAMILIES, read_record),
        keeps=(topics.SUBSCRIPTIONS, read_subscribed),
        make=lambda partition, partitions: AssignmentFold(policies, partitions, partition=partition),
        prepare=policies.prepare,
        follows_days=True,
        edition=EDITION,
        paced_by=Downstream(group="access-indexer", topic=topics.ASSIGNMENTS),
    )
    return intake, assignment


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the assigner, ready to run. Raises: CannotStart when its engine is not installed."""
    try:
        policies = PolicyCache(settings.assigner_engine)
    except EngineMissing as missing:
        raise CannotStart(f"TERRITORY_ASSIGNER_ENGINE: {missing}") from missing
    service = ServiceApp("assigner", settings, provisioned)
    intake, assignment = stages(policies, settings)
    service.add_stage(intake, lookup=IntakeFold.record_state)
    service.add_stage(assignment)
    return service
