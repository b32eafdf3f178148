"""Joins the assignments to the index in Redis."""

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
from territory_runtime.loop.stage import Stage
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

STAGE = "access-indexer"
ASSIGNER = "assigner-assignment"
"""The consumer group of the stage that decides."""


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the access indexer, ready to run."""
    host = ServiceApp(STAGE, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.INDEX_DRIFT.labels(kind=kind)  # from 0 on: else the first one is no increase
    loop = host.add_stage(
        Stage(
            name=STAGE,
            inputs={topics.ASSIGNMENTS: read_assignment},
            state=(topics.ASSIGNMENTS, read_assignment),
            make=partial(AccessFold, tells=settings.access_changes),
            store=RedisIndexWriter(connect(settings), STAGE, provisioned.partitions),
            sweep_passes=2,  # revocations, then grants
            sweep_share=50,  # records that are alike go from set to set together
            follows=ASSIGNER,
        )
    )
    if settings.verify_records_per_second:
        client = connect(settings)  # its own: a large answer is in nobody's way
        host.add_service(DriftMonitor(loop, client, provisioned.partitions, settings.verify_records_per_second))
    return host
