"""Wires the topic of assignments to the fold, and the fold to Redis."""

from __future__ import annotations

from functools import partial

from access_indexer.core.drift import DRIFT_KINDS
from access_indexer.core.stage import AccessFold
from access_indexer.drift_monitor import DriftMonitor
from access_indexer.redis.writer import RedisIndexWriter
from territory.wire import topics
from territory.wire.events import read_assignment
from territory_runtime import metrics
from territory_runtime.app import ServiceApp
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.stage import Sink, Stage
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

STAGE = "access-indexer"
EDITION = 1
"""1: groups, and permissions by object, give access (V10, V11). Earlier workers ignored groups of a model."""
ASSIGNER = "assigner-assignment"
"""The consumer group of the stage that writes the assignments."""


def stage_of(sink: Sink, *, emit_changes: bool) -> Stage:
    """Return the stage that keeps the index; `emit_changes` publishes access changes, too."""
    return Stage(
        name=STAGE,
        inputs={topics.ASSIGNMENTS: read_assignment},
        state=(topics.ASSIGNMENTS, read_assignment),
        make=partial(AccessFold, emits_events=emit_changes),
        store=sink,
        sweep_passes=2,  # revocations, then grants
        sweep_share=50,  # records of one group move together
        follows=ASSIGNER,
        edition=EDITION,
    )


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the access indexer, ready to run."""
    service = ServiceApp(STAGE, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.INDEX_DRIFT.labels(kind=kind)  # exported as 0: an alert on the increase must see the first one
    sink = RedisIndexWriter(connect(settings), STAGE, provisioned.partitions)
    loop = service.add_stage(stage_of(sink, emit_changes=settings.access_changes))
    if settings.verify_records_per_second:
        client = connect(settings)  # its own connections: a large answer delays no write
        service.add_service(DriftMonitor(loop, client, provisioned.partitions, settings.verify_records_per_second))
    return service
