"""Joins the assignments to the index in Redis."""

from __future__ import annotations

from functools import partial

from access_indexer.core.drift import DRIFT_KINDS
from access_indexer.core.indexing import Indexing
from access_indexer.redis_index import RedisIndex
from access_indexer.watching import DriftWatch
from territory import topics
from territory.events import read_assignment
from territory_runtime import metrics
from territory_runtime.host import Host
from territory_runtime.provision import Provisioned
from territory_runtime.redis_store import connect
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

STAGE = "access-indexer"
ASSIGNER = "assigner-assignment"
"""The consumer group of the stage that decides."""


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the access indexer, ready to run."""
    host = Host(STAGE, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.INDEX_DRIFT.labels(kind=kind)  # from 0 on: else the first one is no increase
    loop = host.add_stage(
        Stage(
            name=STAGE,
            inputs={topics.ASSIGNMENTS: read_assignment},
            state=(topics.ASSIGNMENTS, read_assignment),
            make=partial(Indexing, tells=settings.access_changes),
            store=RedisIndex(connect(settings), STAGE, provisioned.partitions),
            sweep_passes=2,  # revocations, then grants
            sweep_share=50,  # records that are alike go from set to set together
            follows=ASSIGNER,
        )
    )
    if settings.verify_records_per_second:
        client = connect(settings)  # its own: a large answer is in nobody's way
        host.add_service(DriftWatch(loop, client, provisioned.partitions, settings.verify_records_per_second))
    return host
