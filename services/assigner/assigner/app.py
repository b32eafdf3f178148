"""Joins the assigner's topics to its two stages."""

from __future__ import annotations

from assigner.core.assignment import Assigning
from assigner.core.intake import Intake
from territory import topics
from territory.codec import reader_of
from territory.events import Released, read_record, read_record_change
from territory_runtime.host import Host
from territory_runtime.provision import Provisioned
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

INTAKE = Stage(
    name="assigner-intake",
    inputs={topics.RECORDS: read_record_change, topics.RELEASES: reader_of(Released)},
    state=(topics.RECORD_STATES, read_record),
    make=lambda partition, _: Intake(partition),
)
ASSIGNMENT = Stage(
    name="assigner-assignment",
    inputs={topics.FAMILIES: read_record},
    state=(topics.FAMILIES, read_record),
    make=lambda *_: Assigning(),
)


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the assigner, ready to run."""
    host = Host("assigner", settings, provisioned)
    host.add_stage(INTAKE)
    host.add_stage(ASSIGNMENT)
    return host
