"""Wires topics to the two stages: assignments of deals to partials, and partials to attainments."""

from __future__ import annotations

from forecast_aggregator.drift_monitor import SumsMonitor
from forecast_aggregator.partials.audit import DRIFT_KINDS
from forecast_aggregator.partials.stage import PartialSumsFold, is_deal
from forecast_aggregator.partials.targets import TargetCache
from forecast_aggregator.redis.writer import RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentFold
from territory.wire import topics
from territory.wire.events import read_assignment, read_frozen, read_partial
from territory_runtime import metrics
from territory_runtime.app import ServiceApp
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.stage import Sink, Stage
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

PARTIAL_SUMS = "forecast-aggregator"
ATTAINMENT_TOTALS = "forecast-totals"
PARTIALS_EDITION = 2
"""1: close dates are days of the organisation's time zone, rates carry forward, years have sums. 2: close dates in all
forms that datetimes have in rules (C6)."""
SWEEP_SHARE = 10
"""Sweep chunks are this many times larger than the setting: recounting a deal takes some 20 µs."""


def stages(deals: Sink, attainments: Sink, *, targets: TargetCache, settings: Settings) -> tuple[Stage, Stage]:
    """Return the two stages: partial sums by partition of deals, then attainments."""
    partials = Stage(
        name=PARTIAL_SUMS,
        inputs={topics.ASSIGNMENTS: read_assignment},
        state=(topics.ASSIGNMENTS, read_assignment),
        keeps=(topics.FROZEN, read_frozen),
        make=lambda partition, partitions: PartialSumsFold(partition, partitions, targets),
        prepare=targets.prepare,
        wants=is_deal,
        store=deals,
        interval_seconds=settings.partials_interval_seconds,
        sweep_share=SWEEP_SHARE,
        edition=PARTIALS_EDITION,
    )
    totals = Stage(
        name=ATTAINMENT_TOTALS,
        inputs={topics.PARTIALS: read_partial},
        state=(topics.PARTIALS, read_partial),
        make=AttainmentFold,
        follows=PARTIAL_SUMS,
        store=attainments,
        interval_seconds=settings.partials_interval_seconds,
        sweep_share=SWEEP_SHARE,
    )
    return partials, totals


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the forecast aggregator with its stages and its drift monitor."""
    service = ServiceApp(PARTIAL_SUMS, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.FORECAST_DRIFT.labels(kind=kind)  # from 0 on: else the first one is no increase
    deals = RedisDeals(connect(settings), PARTIAL_SUMS)
    attainments = RedisAttainments(connect(settings), ATTAINMENT_TOTALS, provisioned.partitions)
    partials, totals = stages(
        deals,
        attainments,
        targets=TargetCache(provisioned.partitions),
        settings=settings,
    )
    loop = service.add_stage(partials)
    service.add_stage(totals)
    if settings.verify_records_per_second:
        service.add_service(SumsMonitor(loop, settings.verify_records_per_second))
    return service
