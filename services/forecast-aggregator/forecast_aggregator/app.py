"""Joins the assignments of deals to the sums, in two stages: partials by source, then totals."""

from __future__ import annotations

from forecast_aggregator.auditing import SumsWatch
from forecast_aggregator.core.audit import DRIFT_KINDS
from forecast_aggregator.core.summing import Summing, is_deal
from forecast_aggregator.core.totalling import Totalling
from forecast_aggregator.redis_forecast import RedisAttainments, RedisDeals
from territory import topics
from territory.events import read_assignment, read_frozen, read_partial
from territory_runtime import metrics
from territory_runtime.host import Host
from territory_runtime.provision import Provisioned
from territory_runtime.redis_store import connect
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

SUMMING = "forecast-aggregator"
TOTALLING = "forecast-totals"
SWEEP_SHARE = 10
"""Deals are only counted in a sweep, and what follows is said at its end: time alone bounds it in a turn."""


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the forecast aggregator, ready to run."""
    host = Host(SUMMING, settings, provisioned)
    for kind in DRIFT_KINDS:
        metrics.FORECAST_DRIFT.labels(kind=kind)  # from 0 on: else the first one is no increase
    loop = host.add_stage(
        Stage(
            name=SUMMING,
            inputs={topics.ASSIGNMENTS: read_assignment},
            state=(topics.ASSIGNMENTS, read_assignment),
            keeps=(topics.FROZEN, read_frozen),
            make=Summing,
            wants=is_deal,
            store=RedisDeals(connect(settings), SUMMING),
            interval_seconds=settings.partials_interval_seconds,
            sweep_share=SWEEP_SHARE,
        )
    )
    if settings.verify_records_per_second:
        host.add_service(SumsWatch(loop, settings.verify_records_per_second))
    host.add_stage(
        Stage(
            name=TOTALLING,
            inputs={topics.PARTIALS: read_partial},
            state=(topics.PARTIALS, read_partial),
            make=lambda *_: Totalling(),
            store=RedisAttainments(connect(settings), TOTALLING, provisioned.partitions),
            interval_seconds=settings.partials_interval_seconds,
            sweep_share=SWEEP_SHARE,
        )
    )
    return host
