"""Generates the Grafana dashboards: `python -m deploy.grafana.write [FOLDER]`.

dashboards/*.json is committed, and a test fails when it differs from the output of this module.
Queries use the recording rules of deploy/prometheus where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
UNIT_OF_RATE = "cps"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of a dashboard; `is_number` shows only the last value."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    """Expressions, each with the legend of its series."""
    description: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    description: str
    panels: Sequence[Panel] = field(default_factory=tuple)


Quantile = Literal["0.5", "0.99"]


def _quantile(of: Quantile, metric: str, by: str, only: str = "") -> str:
    return f"histogram_quantile({of}, sum by ({by}, le) (rate({metric}_bucket{only}[5m])))"


def _stage_panels(job: str) -> Iterator[Panel]:
    """Yield the panels every service has: rate, errors and duration of its streams, utilisation of its workers."""
    only = f'{{job="{job}"}}'
    yield Panel("Messages processed", UNIT_OF_RATE, [(f"job_topic:territory_events_taken:rate5m{only}", "{{topic}}")])
    yield Panel("Lag", "short", [(f"job_topic:territory_lag_records:sum{only}", "{{topic}}")])
    yield Panel("Age of the oldest unread message", "s", [(f"job_topic:territory_lag_seconds:max{only}", "{{topic}}")])
    yield Panel(
        "Outcomes",
        UNIT_OF_RATE,
        [(f"sum by (stage, outcome) (rate(territory_outcomes_total{only}[5m]))", "{{stage}} {{outcome}}")],
    )
    yield Panel(
        "Duration of a batch",
        "s",
        [
            (_quantile("0.5", "territory_turn_seconds", "stage", only), "{{stage}} half"),
            (_quantile("0.99", "territory_turn_seconds", "stage", only), "{{stage}} 99 %"),
        ],
    )
    yield Panel(
        "Messages in a batch",
        "short",
        [(_quantile("0.99", "territory_turn_records", "stage", only), "{{stage}} 99 %")],
    )
    yield Panel(
        "Busy",
        "percentunit",
        [(f"job_instance_stage:territory_turn_seconds:busy_rate5m{only}", "{{instance}} {{stage}}")],
        "The share of time a worker spends in batches of a stage. Near 100 %: add a worker.",
    )
    yield Panel(
        "Sending, until all replicas have acknowledged",
        "s",
        [(_quantile("0.99", "territory_producer_seconds", "stage", only), "{{stage}} 99 %")],
    )
    yield Panel("Records in memory", "short", [(f"sum by (stage) (territory_records{only})", "{{stage}}")])
    yield Panel("Memory", "bytes", [(f"process_resident_memory_bytes{only}", "{{instance}}")])
    yield Panel(
        "Restore of a partition",
        "s",
        [(_quantile("0.99", "territory_restore_seconds", "stage", only), "{{stage}} 99 %")],
    )
    yield Panel(
        "Records left to sweep", "short", [(f"job_stage:territory_sweep_remaining_records:sum{only}", "{{stage}}")]
    )


def _redis_panel(job: str) -> Panel:
    only = f'{{job="{job}"}}'
    return Panel(
        "A write script in Redis",
        "s",
        [(_quantile("0.99", "territory_redis_seconds", "stage", only), "{{stage}} 99 %")],
    )


OVERVIEW = Board(
    "overview",
    "Territory: overview",
    "Health, freshness, throughput.",
    [
        Panel("Workers ready", "short", [("sum by (job) (territory_ready)", "{{job}}")], is_number=True),
        Panel(
            "Changes in Redis within 1 s, last hour",
            "percentunit",
            [("1 - job:territory_event_to_visible_slow:ratio_rate1h", "")],
            "The objective is 99 %.",
            is_number=True,
        ),
        Panel(
            "Lag, all stages", "short", [("sum(job_topic:territory_lag_records:sum)", "")], is_number=True
        ),
        Panel(
            "Refused, last hour",
            "short",
            [('sum(increase(territory_events_total{outcome="refused"}[1h]))', "")],
            is_number=True,
        ),
        Panel(
            "Wrong index entries, last day", "short", [("sum(increase(territory_index_drift_total[1d]))", "")],
            is_number=True,
        ),
        Panel(
            "Age of the newest model",
            "s",
            [("time() - max(territory_model_activated_timestamp_seconds)", "")],
            is_number=True,
        ),
        Panel(
            "From a change to Redis",
            "s",
            [
                ("job:territory_event_to_visible_seconds:p50_rate5m", "half"),
                ("job:territory_event_to_visible_seconds:p99_rate5m", "99 %"),
            ],
        ),
        Panel("Messages processed", UNIT_OF_RATE, [("job_topic:territory_events_taken:rate5m", "{{job}} {{topic}}")]),
        Panel("Age of the oldest unread message", "s", [("job_topic:territory_lag_seconds:max", "{{job}} {{topic}}")]),
        Panel(
            "Time to drain",
            "s",
            [("job_topic:territory_lag_drain_seconds:estimate15m", "{{job}} {{topic}}")],
            "How long until the lag is gone, at the rate of the last quarter of an hour.",
        ),
        Panel("Busy", "percentunit", [
            ("job_instance_stage:territory_turn_seconds:busy_rate5m", "{{instance}} {{stage}}"),
        ]),
        Panel("Partitions processed", "short", [("job_stage:territory_partitions:sum", "{{stage}}")]),
        Panel("Partitions being restored", "short", [
            ("sum by (stage) (territory_restoring_partitions)", "{{stage}}"),
        ]),
        Panel("Records left to sweep", "short", [("job_stage:territory_sweep_remaining_records:sum", "{{stage}}")]),
        Panel("Active model by worker", "short", [
            ("territory_model_revision", "{{instance}} revision"),
            ("territory_model_position", "{{instance}} position"),
        ]),
        Panel("Models refused", "short", [("sum by (job) (increase(territory_models_refused_total[1h]))", "{{job}}")]),
        Panel("Memory", "bytes", [("process_resident_memory_bytes{job!=\"redis\"}", "{{job}} {{instance}}")]),
        Panel("Processor", "percentunit", [
            ("rate(process_cpu_seconds_total{job!=\"redis\"}[5m])", "{{job}} {{instance}}"),
        ]),
    ],
)  # fmt: skip

ASSIGNER = Board(
    "assigner",
    "Territory: assigner",
    "Which territories each record belongs to.",
    [
        *_stage_panels("assigner"),
        Panel("Messages sent", UNIT_OF_RATE, [
            ('sum by (topic) (rate(territory_messages_sent_total{job="assigner"}[5m]))', "{{topic}}"),
        ]),
        Panel("Rules", "short", [('max by (engine) (territory_rules{job="assigner"})', "{{engine}}")]),
    ],
)  # fmt: skip

ACCESS_INDEX = Board(
    "access-index",
    "Territory: access index",
    "Who sees what, in Redis.",
    [
        Panel("From a change to Redis", "s", [
            ("job:territory_event_to_visible_seconds:p50_rate5m", "half"),
            ("job:territory_event_to_visible_seconds:p99_rate5m", "99 %"),
        ]),
        Panel("Changes that take more than 1 s", "percentunit", [
            ("job:territory_event_to_visible_slow:ratio_rate5m", "of 5 minutes"),
            ("job:territory_event_to_visible_slow:ratio_rate1h", "of an hour"),
            ("job:territory_event_to_visible_slow:ratio_rate1d", "of a day"),
        ]),
        Panel("Time to revoke", "s", [("job:territory_revocation_seconds:p99_rate5m", "99 %")]),
        Panel("Wrong entries found", "short", [
            ("sum by (kind) (increase(territory_index_drift_total[1h]))", "{{kind}}"),
        ]),
        Panel("Entries compared", UNIT_OF_RATE, [("sum(rate(territory_index_compared_total[5m]))", "")]),
        _redis_panel("access-indexer"),
        Panel("Redis' memory", "bytes", [
            ("redis_memory_used_bytes", "{{instance}} used"),
            ("redis_memory_max_bytes", "{{instance}} maxmemory"),
        ], "A maxmemory of 0 is no limit."),
        *_stage_panels("access-indexer"),
    ],
)  # fmt: skip

FORECASTS = Board(
    "forecasts",
    "Territory: forecasts",
    "Sums against targets.",
    [
        *_stage_panels("forecast-aggregator"),
        _redis_panel("forecast-aggregator"),
        Panel("Messages sent", UNIT_OF_RATE, [
            ('sum by (topic) (rate(territory_messages_sent_total{job="forecast-aggregator"}[5m]))', "{{topic}}"),
        ]),
    ],
)  # fmt: skip

DEAD_LETTERS = Board(
    "dead-letters",
    "Territory: dead letters",
    "Refused messages; `territory dead-letters list` names each.",
    [
        Panel("Refused, last hour", "short", [
            ('sum(increase(territory_events_total{outcome="refused"}[1h]))', ""),
        ], is_number=True),
        Panel("Refused, share of all messages", "percentunit", [
            (
                'sum(rate(territory_events_total{outcome="refused"}[5m]))'
                ' / sum(rate(territory_events_total{outcome="taken"}[5m]))', "",
            ),
        ], is_number=True),
        Panel("By topic", UNIT_OF_RATE, [
            ('sum by (job, topic) (rate(territory_events_total{outcome="refused"}[5m]))', "{{job}} {{topic}}"),
        ]),
        Panel("By reason, since the workers started", "short", [
            ("sum by (topic, code) (territory_dead_letters_total)", "{{topic}} {{code}}"),
        ]),
        Panel("Dropped as stale", UNIT_OF_RATE, [
            ('sum by (stage) (rate(territory_outcomes_total{outcome="stale"}[5m]))', "{{stage}}"),
        ], "Not refused: an upstream repeats itself, or does not raise `version`."),
    ],
)  # fmt: skip

BOARDS = (OVERVIEW, ASSIGNER, ACCESS_INDEX, FORECASTS, DEAD_LETTERS)


def _built(panel: Panel) -> stat.Panel | timeseries.Panel:
    built: stat.Panel | timeseries.Panel
    built = stat.Panel().height(4).span(4) if panel.is_number else timeseries.Panel().height(8).span(8).min(0)
    built = built.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        built = built.with_target(query)
    return built


def rendered(board: Board) -> str:
    """Return a dashboard as JSON for Grafana."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"territory-{board.name}")
        .description(board.description)
        .tags(["territory"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus").label("Prometheus"))
    )
    for panel in board.panels:
        built = built.with_panel(_built(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def write(folder: Path) -> None:
    """Write every dashboard into a folder, one JSON file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.name}.json").write_text(rendered(board))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
