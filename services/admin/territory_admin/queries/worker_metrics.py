"""The few numbers that matter, read from the workers' own /metrics pages: no Prometheus is needed."""

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
WORKERS_MAX = 32
"""Asked at the same time."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a worker said at a time, or why it did not."""

    worker: str
    at: float
    samples: Mapping[tuple[str, Labels], float]
    fault: str | None = None

    def sum_of(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series that have these labels; 0 of what is not there."""
        return sum(value for said, value in self.of(name) if labels.items() <= said.items())

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield a metric's series."""
        for (sample, labels), value in self.samples.items():
            if sample == name:
                yield dict(labels), value


@dataclass(frozen=True, slots=True)
class WorkerNow:
    """One worker."""

    worker: str
    fault: str | None
    """Why it did not answer; then there is nothing else."""
    stages: tuple[str, ...] = ()
    ready: bool = False
    taken_per_second: float | None = None
    """None: it was looked at once."""
    waiting: int = 0
    waited_seconds: float = 0.0
    partitions: int = 0
    restoring: int = 0
    records: int = 0
    to_sweep: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Now:
    """Everything at one time. Times since the last look, or, where there was none, since the workers started."""

    workers: tuple[WorkerNow, ...]
    visible_p50_seconds: float | None
    """From a change to Redis; None: nothing came."""
    visible_p99_seconds: float | None
    revocation_p99_seconds: float | None
    refused: int
    """Since the workers started."""
    wrong_entries: int
    """Of the index, that were found."""
    wrong_sums: int
    """Of deals that are not what they come to, that were found."""
    model_revision: int
    """The highest that any worker goes by."""
    is_model_everywhere: bool
    """Whether all workers that answer are as far on the model topic."""
    model_age_seconds: float | None


def samples_of(text: str) -> dict[tuple[str, Labels], float]:
    """Return the series of a page. Raises: ValueError for what is no page of metrics."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def look(worker: str) -> Page:
    """Ask a worker, by host and port, for its page."""
    try:
        with urlopen(f"http://{worker}/metrics", timeout=ANSWER_SECONDS) as answer:
            samples = samples_of(answer.read().decode())
    except (OSError, ValueError, HTTPException) as fault:
        return Page(worker, time.monotonic(), {}, str(getattr(fault, "reason", fault)))
    return Page(worker, time.monotonic(), samples)


def look_at(workers: Sequence[str]) -> list[Page]:
    """Ask workers at the same time: one that does not answer holds up nobody."""
    with ThreadPoolExecutor(min(WORKERS_MAX, len(workers))) as threads:
        return list(threads.map(look, workers))


def now(pages: Sequence[Page], before: Sequence[Page], unix_seconds: float) -> Now:
    """Return the numbers of pages, and what has changed since those before; none before: the first look."""
    earlier = {page.worker: page for page in before if page.fault is None}
    answered = [page for page in pages if page.fault is None]
    visible, revoked = (
        _buckets(answered, earlier, f"territory_{name}_seconds_bucket") for name in ("event_to_visible", "revocation")
    )
    activated = max((page.sum_of("territory_model_activated_timestamp_seconds") for page in answered), default=0.0)
    return Now(
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


def _worker(page: Page, before: Page | None) -> WorkerNow:
    if page.fault is not None:
        return WorkerNow(page.worker, page.fault)
    taken = None
    if before is not None and page.at > before.at:
        more = page.sum_of("territory_events_total", outcome="taken")
        more -= before.sum_of("territory_events_total", outcome="taken")
        taken = max(0.0, more) / (page.at - before.at)  # less: it was started again
    return WorkerNow(
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


def _buckets(pages: Sequence[Page], before: Mapping[str, Page], name: str) -> list[tuple[float, float]]:
    """Return by upper bound how many observations there were up to it since the pages before, of all workers."""
    counts: dict[float, float] = {}
    for page in pages:
        earlier = before.get(page.worker)
        bounds = {float(labels["le"]): value for labels, value in page.of(name)}
        old = {} if earlier is None else {float(labels["le"]): value for labels, value in earlier.of(name)}
        if any(value < old.get(bound, 0.0) for bound, value in bounds.items()):
            old = {}  # it was started again
        for bound, value in bounds.items():
            counts[bound] = counts.get(bound, 0.0) + value - old.get(bound, 0.0)
    return sorted(counts.items())


def quantile(buckets: Sequence[tuple[float, float]], part: float) -> float | None:
    """Return below what a part of all observations is, as Prometheus does it; None: there were none.

    Within a bucket they are taken for evenly spread; of what is above the last bound that bound is the answer.
    """
    total = buckets[-1][1] if buckets else 0.0
    if not total:
        return None
    rank = part * total
    for (low, below), (high, up_to) in pairwise([(0.0, 0.0), *buckets]):
        if up_to >= rank:
            return low if high == float("inf") else low + (high - low) * (rank - below) / (up_to - below)
    return buckets[-1][0]
