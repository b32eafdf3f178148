"""Joins the assigner's topics to its two stages."""

from __future__ import annotations

from assigner.core.assignment import Assigning
from assigner.core.intake import Intake
from assigner.core.linkers import Linkers
from assigner.core.matching.port import EngineMissing
from territory import topics
from territory.codec import reader_of
from territory.events import Released, read_record, read_record_change
from territory_runtime.host import CannotStart, Host
from territory_runtime.pace import Listener
from territory_runtime.provision import Provisioned
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the assigner, ready to run. Raises: CannotStart when its engine is not installed."""
    try:
        linkers = Linkers(settings.assigner_engine)
    except EngineMissing as missing:
        raise CannotStart(f"TERRITORY_ASSIGNER_ENGINE: {missing}") from missing
    host = Host("assigner", settings, provisioned)
    host.add_stage(
        Stage(
            name="assigner-intake",
            inputs={topics.RECORDS: read_record_change, topics.RELEASES: reader_of(Released)},
            state=(topics.RECORD_STATES, read_record),
            make=lambda partition, _: Intake(partition),
        )
    )
    host.add_stage(
        Stage(
            name="assigner-assignment",
            inputs={topics.FAMILIES: read_record},
            state=(topics.FAMILIES, read_record),
            make=lambda *_: Assigning(linkers),
            prepare=linkers.prepare,
            follows_days=True,
            paced_by=Listener(group="access-indexer", topic=topics.ASSIGNMENTS),
        )
    )
    return host
