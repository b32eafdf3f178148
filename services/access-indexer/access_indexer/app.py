"""Joins the assignments to the index in Redis."""

from __future__ import annotations

from access_indexer.core.indexing import Indexing
from access_indexer.redis_index import RedisIndex
from access_indexer.watching import DriftWatch
from territory import topics
from territory.events import read_assignment
from territory_runtime.host import Host
from territory_runtime.provision import Provisioned
from territory_runtime.redis_store import connect
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

STAGE = "access-indexer"


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the access indexer, ready to run."""
    host = Host(STAGE, settings, provisioned)
    loop = host.add_stage(
        Stage(
            name=STAGE,
            inputs={topics.ASSIGNMENTS: read_assignment},
            state=(topics.ASSIGNMENTS, read_assignment),
            make=Indexing,
            store=RedisIndex(connect(settings), STAGE, provisioned.partitions),
            sweep_passes=2,  # revocations, then grants
        )
    )
    if settings.verify_records_per_second:
        client = connect(settings)  # its own: a large answer is in nobody's way
        host.add_service(DriftWatch(loop, client, provisioned.partitions, settings.verify_records_per_second))
    return host
