"""Joins the assignments of deals to the sums: partials by the loop, totals by a Faust agent."""

from __future__ import annotations

from forecast_aggregator.core.summing import Summing
from forecast_aggregator.redis_forecast import RedisLeftOut
from forecast_aggregator.totals_agent import GROUP, TotalsAgent
from territory import topics
from territory.codec import reader_of
from territory.events import Assignment
from territory_runtime.host import Host
from territory_runtime.provision import Provisioned
from territory_runtime.redis_store import connect
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

STAGE = "forecast-aggregator"


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the forecast aggregator, ready to run."""
    host = Host(GROUP, settings, provisioned, producer_only=False)
    read = reader_of(Assignment)
    host.add_stage(
        Stage(
            name=STAGE,
            inputs={topics.ASSIGNMENTS: read},
            state=(topics.ASSIGNMENTS, read),
            make=Summing,
            store=RedisLeftOut(connect(settings), STAGE, provisioned.partitions),
            interval_seconds=settings.partials_interval_seconds,
        )
    )
    host.add_service(TotalsAgent(host, connect(settings)))
    return host
