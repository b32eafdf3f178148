"""All metrics. Prefix territory_, base units, `_total` on counters, no ids as labels.

docs/metrics.md says what each means and what to do about it; a test holds the two together. What
the process itself takes (memory, processor, open files) the library's own collectors say.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there; a series beside each other one, else
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ROUND_TRIP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_RESTORE_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)
_MESSAGES = (1, 5, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000, 50_000)


class TurnHistogram(Histogram):
    """A histogram that is told a turn's values at once: each alone costs microseconds, most of that for locks."""

    def observe_all(self, values: Iterable[tuple[float, int]]) -> None:
        """Observe values, each with how often."""
        counts, total = [0] * len(self._upper_bounds), 0.0
        for value, times in values:
            counts[bisect_left(self._upper_bounds, value)] += times
            total += value * times
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


# --- what goes through -----------------------------------------------------------------------

EVENTS = Counter("territory_events", "Messages and what became of them.", ["topic", "outcome"])
OUTCOMES = Counter("territory_outcomes", "What a stage's steps came to.", ["stage", "outcome"])
MESSAGES_SENT = Counter("territory_messages_sent", "Messages that were sent and acknowledged.", ["topic"])
DEAD_LETTERS = Counter("territory_dead_letters", "Messages that were refused.", ["topic", "code"])
EVENT_TO_VISIBLE = TurnHistogram(
    "territory_event_to_visible_seconds",
    "From a record's change to its place in Redis; from occurred_at, or the broker's time where that is an hour later.",
    buckets=_SECONDS,
)
REVOCATION = TurnHistogram(
    "territory_revocation_seconds", "From the message that revokes access to its removal in Redis.", buckets=_SECONDS
)

# --- how far it is ---------------------------------------------------------------------------

LAG_RECORDS = Gauge("territory_lag_records", "Messages waiting on the partitions that this worker has.", ["topic"])
LAG_SECONDS = Gauge(
    "territory_lag_seconds", "How long messages have waited, at most; 0 when none waits.", ["topic"]
)  # fmt: skip
PARTITIONS = Gauge("territory_partitions", "Partitions whose records this worker has in memory.", ["stage"])
RESTORING = Gauge(
    "territory_restoring_partitions", "Partitions that are this worker's and not yet in its memory.", ["stage"]
)
RESTORE = Histogram(
    "territory_restore_seconds", "Reading a partition's memory back.", ["stage"], buckets=_RESTORE_SECONDS
)
RECORDS = Gauge("territory_records", "Records in memory.", ["stage"])
SWEEP_REMAINING = Gauge(
    "territory_sweep_remaining_records", "Records still to be brought under the newest model.", ["stage"]
)

# --- how it works ----------------------------------------------------------------------------

TURN = Histogram(
    "territory_turn_seconds", "One turn of a stage: decide, send, store, commit.", ["stage"], buckets=_SECONDS
)
TURN_RECORDS = Histogram("territory_turn_records", "Messages in one turn.", ["stage"], buckets=_MESSAGES)
PRODUCER = Histogram(
    "territory_producer_seconds",
    "Sending a turn's messages until all replicas have them.",
    ["stage"],
    buckets=_ROUND_TRIP_SECONDS,
)
REDIS = Histogram(
    "territory_redis_seconds", "One script of writes, until Redis answers.", ["stage"], buckets=_ROUND_TRIP_SECONDS
)
WAITING = Counter("territory_waiting", "Attempts that failed because something outside was away.", ["part", "away"])
READY = Gauge("territory_ready", "1 when /ready says yes, else 0.")
STUCK = Gauge("territory_stuck_parts", "Parts that have not gone round for two minutes: /live says no.")

# --- models and the index --------------------------------------------------------------------

RULES = Gauge("territory_rules", "Rules that are evaluated.", ["engine"])
MODEL_REVISION = Gauge("territory_model_revision", "The highest revision of an active model.")
MODEL_POSITION = Gauge(
    "territory_model_position", "Offset on the model topic up to which activations are in effect or refused."
)
MODEL_ACTIVATED = Gauge(
    "territory_model_activated_timestamp_seconds", "When the newest model that is in effect was activated."
)
MODELS_REFUSED = Counter("territory_models_refused", "Activations whose pieces do not make a model.")
INDEX_DRIFT = Counter("territory_index_drift", "Entries of the index that were found to be wrong.", ["kind"])
INDEX_COMPARED = Counter("territory_index_compared", "Entries of the index that were compared with what was said.")
FORECAST_DRIFT = Counter("territory_forecast_drift", "Sums that are not what the deals come to.", ["kind"])

__all__ = ["REGISTRY"]
