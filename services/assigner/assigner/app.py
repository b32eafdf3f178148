"""Joins the assigner's topics to its two stages."""

from __future__ import annotations

from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from assigner.matching.port import EngineMissing
from territory.wire import topics
from territory.wire.codec import reader_of
from territory.wire.events import Released, read_record, read_record_change
from territory_runtime.app import ServiceApp
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.backpressure import Downstream
from territory_runtime.loop.stage import Stage
from territory_runtime.settings import Settings
from territory_runtime.startup_checks import CannotStart


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the assigner, ready to run. Raises: CannotStart when its engine is not installed."""
    try:
        linkers = PolicyCache(settings.assigner_engine)
    except EngineMissing as missing:
        raise CannotStart(f"TERRITORY_ASSIGNER_ENGINE: {missing}") from missing
    host = ServiceApp("assigner", settings, provisioned)
    host.add_stage(
        Stage(
            name="assigner-intake",
            inputs={topics.RECORDS: read_record_change, topics.RELEASES: reader_of(Released)},
            state=(topics.RECORD_STATES, read_record),
            make=lambda partition, _: IntakeFold(partition),
        ),
        lookup=IntakeFold.record_state,
    )
    host.add_stage(
        Stage(
            name="assigner-assignment",
            inputs={topics.FAMILIES: read_record},
            state=(topics.FAMILIES, read_record),
            make=lambda *_: AssignmentFold(linkers),
            prepare=linkers.prepare,
            follows_days=True,
            paced_by=Downstream(group="access-indexer", topic=topics.ASSIGNMENTS),
        )
    )
    return host
