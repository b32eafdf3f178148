"""All metrics: prefix territory_, base units, `_total` on counters, no id as a label.

docs/metrics.md explains each and what to do about it; a test keeps the two in step. The
Prometheus library adds the process's memory, processor time and open files.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped; it would double the number of series
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ROUND_TRIP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_RESTORE_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)
_MESSAGES = (1, 5, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000, 50_000)


class BatchHistogram(Histogram):
    """A histogram that takes a batch's values at once: one at a time costs microseconds each, most of it for locks."""

    def observe_all(self, values: Iterable[tuple[float, int]]) -> None:
        """Observe each value `count` times."""
        counts, total = [0] * len(self._upper_bounds), 0.0
        for value, times in values:
            counts[bisect_left(self._upper_bounds, value)] += times
            total += value * times
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


# --- throughput ------------------------------------------------------------------------------

EVENTS = Counter("territory_events", "Input messages by what became of them.", ["topic", "outcome"])
OUTCOMES = Counter("territory_outcomes", "Results of a stage's processing.", ["stage", "outcome"])
UNREADABLE = Counter(
    "territory_unreadable_values",
    "Values of declared fields, in changed records, that can't be read as their types.",
    ["object", "field"],
)
MESSAGES_SENT = Counter("territory_messages_sent", "Messages that all replicas acknowledged.", ["topic"])
DEAD_LETTERS = Counter("territory_dead_letters", "Refused messages, written to the dead letters.", ["topic", "code"])
EVENT_TO_VISIBLE = BatchHistogram(
    "territory_event_to_visible_seconds",
    "From a record's change to its entry in Redis; from occurred_at, or the broker's time if that is an hour later.",
    buckets=_SECONDS,
)
REVOCATION = BatchHistogram(
    "territory_revocation_seconds", "From the message that revokes access to its removal in Redis.", buckets=_SECONDS
)

# --- progress --------------------------------------------------------------------------------

LAG_RECORDS = Gauge("territory_lag_records", "Messages not processed yet on this worker's partitions.", ["topic"])
LAG_SECONDS = Gauge(
    "territory_lag_seconds", "Age of the oldest message not processed yet, at most; 0: there is none.", ["topic"]
)  # fmt: skip
PARTITIONS = Gauge("territory_partitions", "Restored partitions of this worker.", ["stage"])
RESTORING = Gauge(
    "territory_restoring_partitions", "Assigned partitions of this worker that are not restored yet.", ["stage"]
)
RESTORE = Histogram("territory_restore_seconds", "Restoring one partition.", ["stage"], buckets=_RESTORE_SECONDS)
RECORDS = Gauge("territory_records", "Records in memory.", ["stage"])
SWEEP_REMAINING = Gauge(
    "territory_sweep_remaining_records", "Records still to be reprocessed under the newest model.", ["stage"]
)

# --- performance -----------------------------------------------------------------------------

TURN = Histogram(
    "territory_turn_seconds", "One batch of a stage: process, send, write Redis, commit.", ["stage"], buckets=_SECONDS
)
TURN_RECORDS = Histogram("territory_turn_records", "Input messages in one batch.", ["stage"], buckets=_MESSAGES)
PRODUCER = Histogram(
    "territory_producer_seconds",
    "Sending a batch's messages until all replicas have them.",
    ["stage"],
    buckets=_ROUND_TRIP_SECONDS,
)
REDIS = Histogram(
    "territory_redis_seconds", "One write script, until Redis answers.", ["stage"], buckets=_ROUND_TRIP_SECONDS
)
WAITING = Counter("territory_waiting", "Attempts that failed because Kafka or Redis was unavailable.", ["part", "away"])
READY = Gauge("territory_ready", "1 if /ready succeeds, else 0.")
STUCK = Gauge("territory_stuck_parts", "Parts without an iteration for two minutes, which make /live fail.")

# --- models and the index --------------------------------------------------------------------

RULES = Gauge("territory_rules", "Rules of all active models.", ["engine"])
MODEL_REVISION = Gauge("territory_model_revision", "The highest revision of an active model.")
MODEL_POSITION = Gauge(
    "territory_model_position", "Offset on the model topic up to which activations are in effect or refused."
)
MODEL_ACTIVATED = Gauge("territory_model_activated_timestamp_seconds", "When the newest model in effect was activated.")
MODELS_REFUSED = Counter("territory_models_refused", "Activations whose pieces are not a valid model.")
INDEX_DRIFT = Counter("territory_index_drift", "Index entries that were found wrong.", ["kind"])
INDEX_COMPARED = Counter("territory_index_compared", "Index entries that were compared with the published assignments.")
FORECAST_DRIFT = Counter("territory_forecast_drift", "Sums that differ from the deals they are made of.", ["kind"])

__all__ = ["REGISTRY"]
