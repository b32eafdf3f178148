"""Joins the assignments of deals to the sums, in two stages: partials by source, then totals."""

from __future__ import annotations

from forecast_aggregator.drift_monitor import SumsMonitor
from forecast_aggregator.partials.audit import DRIFT_KINDS
from forecast_aggregator.partials.stage import PartialSumsFold, is_deal
from forecast_aggregator.redis.writer import RedisAttainments, RedisDeals
from forecast_aggregator.totals.stage import AttainmentFold
from territory.wire import topics
from territory.wire.events import read_assignment, read_frozen, read_partial
from territory_runtime import metrics
from territory_runtime.app import ServiceApp
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.stage import Stage
from territory_runtime.redis.connection import connect
from territory_runtime.settings import Settings

SUMMING = "forecast-aggregator"
TOTALLING = "forecast-totals"
SWEEP_SHARE = 10
"""Deals are only counted in a sweep, and what follows is said at its end: time alone bounds it in a turn."""


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the forecast aggregator, ready to run."""
    host = ServiceApp(SUMMING, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.FORECAST_DRIFT.labels(kind=kind)  # from 0 on: else the first one is no increase
    loop = host.add_stage(
        Stage(
            name=SUMMING,
            inputs={topics.ASSIGNMENTS: read_assignment},
            state=(topics.ASSIGNMENTS, read_assignment),
            keeps=(topics.FROZEN, read_frozen),
            make=PartialSumsFold,
            wants=is_deal,
            store=RedisDeals(connect(settings), SUMMING),
            interval_seconds=settings.partials_interval_seconds,
            sweep_share=SWEEP_SHARE,
        )
    )
    if settings.verify_records_per_second:
        host.add_service(SumsMonitor(loop, settings.verify_records_per_second))
    host.add_stage(
        Stage(
            name=TOTALLING,
            inputs={topics.PARTIALS: read_partial},
            state=(topics.PARTIALS, read_partial),
            make=lambda *_: AttainmentFold(),
            store=RedisAttainments(connect(settings), TOTALLING, provisioned.partitions),
            interval_seconds=settings.partials_interval_seconds,
            sweep_share=SWEEP_SHARE,
        )
    )
    return host
