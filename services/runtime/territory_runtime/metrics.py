"""All metrics. Prefix territory_, base units, `_total` on counters, no ids as labels."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

EVENTS = Counter("territory_events", "Messages and what became of them.", ["topic", "outcome"])
OUTCOMES = Counter("territory_outcomes", "What a stage's steps came to.", ["stage", "outcome"])
DEAD_LETTERS = Counter("territory_dead_letters", "Messages that were refused.", ["topic", "code"])
EVENT_TO_VISIBLE = Histogram(
    "territory_event_to_visible_seconds",
    "From a record's change to its place in Redis; from occurred_at, or the broker's time where that is an hour later.",
    buckets=_SECONDS,
)
REVOCATION = Histogram(
    "territory_revocation_seconds", "From the message that revokes access to its removal in Redis.", buckets=_SECONDS
)
TURN = Histogram(
    "territory_turn_seconds", "One turn of a stage: decide, send, store, commit.", ["stage"], buckets=_SECONDS
)
LAG_RECORDS = Gauge("territory_lag_records", "Messages waiting on the partitions that this worker has.", ["topic"])
LAG_SECONDS = Gauge("territory_lag_seconds", "Age of the last message handled while others wait.", ["topic"])
RECORDS = Gauge("territory_records", "Records in memory.", ["stage"])
RULES = Gauge("territory_rules", "Rules that are evaluated.", ["engine"])
SWEEP_REMAINING = Gauge(
    "territory_sweep_remaining_records", "Records still to be brought under the newest model.", ["stage"]
)
INDEX_DRIFT = Counter("territory_index_drift", "Entries of the index that were found to be wrong.", ["kind"])
MODEL_REVISION = Gauge("territory_model_revision", "The highest revision of an active model.")
MODELS_REFUSED = Counter("territory_models_refused", "Activations whose pieces do not make a model.")
WAITING = Counter("territory_waiting", "Attempts that failed because something outside was away.", ["part", "away"])

__all__ = ["REGISTRY"]
