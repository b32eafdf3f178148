"""Every allowed label value, and the content of docs/metrics.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from access_indexer.core.drift import DRIFT_KINDS
from forecast_aggregator.partials import audit
from territory.model.document import OBJECTS
from territory.wire.topics import TOPICS
from territory_admin.records.wait import PIPELINE
from territory_runtime.loop.stage_metrics import OTHER_FIELD
from territory_runtime.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
STAGES = frozenset(stage.name for stage in PIPELINE)

LABELS: Mapping[str, frozenset[str]] = {
    "topic": frozenset(topic.name for topic in TOPICS),
    "stage": STAGES,
    "part": STAGES | {"model", "topics"},
    "away": frozenset({"Kafka", "Redis", "Kafka or Redis"}),
    "engine": frozenset(get_args(Settings.model_fields["assigner_engine"].annotation)),
    "kind": frozenset(DRIFT_KINDS) | frozenset(audit.DRIFT_KINDS),
    "object": frozenset(OBJECTS),
    "field": frozenset({OTHER_FIELD}),
    "code": frozenset(
        [
            "not_json",
            "wrong_type",
            "wrong_key",
            "too_large",
            "unknown_object",
            "unknown_op",
            "missing_id",
            "bad_version",
            "no_record",
            "processing_error",
        ]
    ),
    "outcome of events": frozenset({"taken", "refused"}),
    "outcome of outcomes": frozenset(
        [
            "accepted",
            "rerouted",
            "sent_home",
            "taken_home",
            "tombstone",
            "unreadable_occurred_at",
            "waiting",
            "released",
            "removed",
            "organisation_removed",
            "stale",
            "expired",
            "no_model",
            "decided",
            "redecided",
            "followed",
            "wrong_type",
            "moved",
            "gone",
            "located",
            "subscribed",
            "unsubscribed",
            "copied",
            "indexed",
            "granted",
            "revoked",
            "counted",
            "closed_without_sweep",
            "added",
            "located",
            "subscribed",
            "unsubscribed",
            "copied",
        ]
    ),
}
"""All allowed values: a new one is added here and to the page, so that the number of series stays bounded.
Fields are those that models declare, of which a worker has at most `stage_metrics.FIELDS_MAX`."""


def values_of(label: str, metric: str) -> frozenset[str] | None:
    """Return the allowed values of a label; None if it may not be a label at all."""
    of = metric.removeprefix("territory_").removesuffix("_total")
    return LABELS.get(f"{label} of {of}", LABELS.get(label))


class Row(NamedTuple):
    """One metric as the page has it."""

    name: str
    labels: tuple[str, ...]
    kind: str
    what_to_do: str


def rows() -> Iterator[Row]:
    """Yield the page's metrics."""
    for name, labels, kind, action in re.findall(
        r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (counter|gauge|histogram) \| [^|]+ \| ([^|]+) \|$",
        PAGE.read_text(),
        re.MULTILINE,
    ):
        yield Row(name, tuple(labels.split(",")) if labels else (), kind, action)


def documented_labels() -> dict[str, frozenset[str]]:
    """Return the label values in the page's last table."""
    text = PAGE.read_text().split("## Labels")[1].split("## ")[0]
    said = {}
    for label, of, values in re.findall(r"^\| `(\w+)`( of \w+)? \| (.+) \|$", text, re.MULTILINE):
        said[label + of] = frozenset(re.findall(r"`([^`]+)`", values))
    return said
