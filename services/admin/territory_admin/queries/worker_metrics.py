"""Summarises the health of all workers from their own /metrics pages; no Prometheus is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from itertools import pairwise
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

ANSWER_SECONDS = 2.0
CONCURRENT_REQUESTS_MAX = 32

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The metrics of one worker at one time, or why they could not be read."""

    worker: str
    at: float
    samples: Mapping[tuple[str, Labels], float]
    fault: str | None = None

    def sum_of(self, name: str, **labels: str) -> float:
        """Return the sum of the metric's series with these labels; 0 if there are none."""
        return sum(value for found, value in self.of(name) if labels.items() <= found.items())

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the value of each series of a metric."""
        for (sample, labels), value in self.samples.items():
            if sample == name:
                yield dict(labels), value


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The state of one worker."""

    worker: str
    fault: str | None
    """Why it did not answer; the other fields are unset then."""
    stages: tuple[str, ...] = ()
    ready: bool = False
    taken_per_second: float | None = None
    """None at the first look."""
    waiting: int = 0
    waited_seconds: float = 0.0
    partitions: int = 0
    restoring: int = 0
    records: int = 0
    to_sweep: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The state of all workers at one time.

    Latencies are those since the last look; at the first look, since the workers started.
    """

    workers: tuple[WorkerStatus, ...]
    visible_p50_seconds: float | None
    """From a change to Redis; None if nothing changed."""
    visible_p99_seconds: float | None
    revocation_p99_seconds: float | None
    refused: int
    """Since the workers started."""
    wrong_entries: int
    """Wrong entries of the index that the workers found."""
    wrong_sums: int
    """Wrong sums that the workers found."""
    model_revision: int
    """The highest that any worker uses."""
    is_model_everywhere: bool
    """Whether all workers that answer use the same position of the model topic."""
    model_age_seconds: float | None


def samples_of(text: str) -> dict[tuple[str, Labels], float]:
    """Parse the series of a metrics page. Raises: ValueError."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def fetch_page(worker: str) -> MetricsPage:
    """Fetch the metrics page of a worker, given as HOST:PORT."""
    try:
        with urlopen(f"http://{worker}/metrics", timeout=ANSWER_SECONDS) as answer:
            samples = samples_of(answer.read().decode())
    except (OSError, ValueError, HTTPException) as fault:
        return MetricsPage(worker, time.monotonic(), {}, str(getattr(fault, "reason", fault)))
    return MetricsPage(worker, time.monotonic(), samples)


def fetch_pages(workers: Sequence[str]) -> list[MetricsPage]:
    """Fetch the metrics pages of all workers concurrently; a worker that does not answer delays no other."""
    with ThreadPoolExecutor(min(CONCURRENT_REQUESTS_MAX, len(workers))) as threads:
        return list(threads.map(fetch_page, workers))


def summarise(pages: Sequence[MetricsPage], before: Sequence[MetricsPage], unix_seconds: float) -> ClusterStatus:
    """Return the status of all workers.

    Args:
        pages: Their pages now.
        before: Their pages at the look before; none at the first look.
        unix_seconds: The time now.
    """
    earlier = {page.worker: page for page in before if page.fault is None}
    answered = [page for page in pages if page.fault is None]
    visible, revoked = (
        _buckets(answered, earlier, f"territory_{name}_seconds_bucket") for name in ("event_to_visible", "revocation")
    )
    activated = max((page.sum_of("territory_model_activated_timestamp_seconds") for page in answered), default=0.0)
    return ClusterStatus(
        workers=tuple(_worker(page, earlier.get(page.worker)) for page in pages),
        visible_p50_seconds=quantile(visible, 0.5),
        visible_p99_seconds=quantile(visible, 0.99),
        revocation_p99_seconds=quantile(revoked, 0.99),
        refused=int(sum(page.sum_of("territory_events_total", outcome="refused") for page in answered)),
        wrong_entries=int(sum(page.sum_of("territory_index_drift_total") for page in answered)),
        wrong_sums=int(sum(page.sum_of("territory_forecast_drift_total") for page in answered)),
        model_revision=int(max((page.sum_of("territory_model_revision") for page in answered), default=0)),
        is_model_everywhere=len({page.sum_of("territory_model_position") for page in answered}) <= 1,
        model_age_seconds=unix_seconds - activated if activated else None,
    )


def _worker(page: MetricsPage, before: MetricsPage | None) -> WorkerStatus:
    if page.fault is not None:
        return WorkerStatus(page.worker, page.fault)
    taken = None
    if before is not None and page.at > before.at:
        more = page.sum_of("territory_events_total", outcome="taken")
        more -= before.sum_of("territory_events_total", outcome="taken")
        taken = max(0.0, more) / (page.at - before.at)  # a restarted worker counts from 0
    return WorkerStatus(
        page.worker,
        None,
        stages=tuple(sorted(labels["stage"] for labels, _ in page.of("territory_partitions"))),
        ready=page.sum_of("territory_ready") == 1,
        taken_per_second=taken,
        waiting=int(page.sum_of("territory_lag_records")),
        waited_seconds=max((value for _, value in page.of("territory_lag_seconds")), default=0.0),
        partitions=int(page.sum_of("territory_partitions")),
        restoring=int(page.sum_of("territory_restoring_partitions")),
        records=int(page.sum_of("territory_records")),
        to_sweep=int(page.sum_of("territory_sweep_remaining_records")),
        memory_bytes=int(page.sum_of("process_resident_memory_bytes")),
    )


def _buckets(pages: Sequence[MetricsPage], before: Mapping[str, MetricsPage], name: str) -> list[tuple[float, float]]:
    """Return the cumulative buckets of a histogram over all workers, since the pages before."""
    counts: dict[float, float] = {}
    for page in pages:
        earlier = before.get(page.worker)
        bounds = {float(labels["le"]): value for labels, value in page.of(name)}
        old = {} if earlier is None else {float(labels["le"]): value for labels, value in earlier.of(name)}
        if any(value < old.get(bound, 0.0) for bound, value in bounds.items()):
            old = {}  # the worker was restarted
        for bound, value in bounds.items():
            counts[bound] = counts.get(bound, 0.0) + value - old.get(bound, 0.0)
    return sorted(counts.items())


def quantile(buckets: Sequence[tuple[float, float]], part: float) -> float | None:
    """Return a quantile as Prometheus's histogram_quantile does; None if nothing was observed.

    Observations are taken to be spread evenly within a bucket. Above the last bound, that bound is returned.

    Args:
        buckets: Cumulative counts by upper bound.
        part: From 0 to 1.
    """
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    rank = part * total
    for (low, below), (high, up_to) in pairwise([(0.0, 0.0), *buckets]):
        if up_to >= rank:
            return low if high == float("inf") else low + (high - low) * (rank - below) / (up_to - below)
    return buckets[-1][0]
