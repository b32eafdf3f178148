"""P13: the whole pipeline with one, two and four workers of each service: how the work divides, and its cost.

On a machine with few cores four workers are no faster than one. It does show whether each takes its share, and
whether a record costs more processor time than with one worker.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import redis

from benchmarks.measuring import measure
from benchmarks.p2_assigner import SHOWN_FAULTS_MAX, Load, corpus_of, make_load
from benchmarks.p3_pipeline import SERVICES, check
from benchmarks.results import Figure, Report, Table, figure, say
from benchmarks.stack import PARTITIONS, READY_SECONDS_MAX, ServiceWorker, Stack, running_stack
from territory.model.compiled import compile_model
from territory.wire.topics import ASSIGNMENTS, RECORDS
from territory_admin.errors import StackFailed
from territory_admin.records.wait import PIPELINE

WORKERS = (1, 2, 4)
"""Workers of each service; each service has the same number."""
COST_RATIO_MAX = 1.25
SHARE_RATIO_MAX = 1.1
POLL_SECONDS = 0.1
STAGE_AND_TOPIC = {
    "assigner": ("assigner-intake", RECORDS.name),
    "access_indexer": ("access-indexer", ASSIGNMENTS.name),
    "forecast_aggregator": ("forecast-aggregator", ASSIGNMENTS.name),
}
"""By service, the stage whose partitions are compared, and the topic whose messages are counted."""


class Part(NamedTuple):
    """What one worker did."""

    service: str
    taken: int
    """Messages of its service's topic."""
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Divided:
    """What a number of workers of each service used together."""

    seconds: float
    parts: tuple[Part, ...]

    @property
    def cpu_seconds(self) -> float:
        """Of all workers."""
        return sum(one.cpu_seconds for one in self.parts)

    @property
    def largest_share(self) -> float:
        """The busiest worker's use of any service, divided by an even share."""
        taken: dict[str, list[int]] = defaultdict(list)
        for one in self.parts:
            taken[one.service].append(one.taken)
        return max(max(counts) * len(counts) / sum(counts) for counts in taken.values())


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure each number of workers several times, each on servers of its own, and check the answers every time."""
    load = make_load(folder, records, territories, seed)
    found: list[dict[int, Divided]] = []
    faults: list[str] = []
    checked: dict[str, int] = {}
    surroundings: dict[str, str] = {}
    for number in range(runs):
        found.append({})
        for workers in WORKERS:
            with running_stack(embedded=embedded) as stack:
                surroundings = {"broker": stack.broker, "redis": stack.redis}
                found[-1][workers], wrong, checked = _measure(stack, load, workers, seed)
                faults += wrong
            one = found[-1][workers]
            says = f"{records / one.seconds:,.0f}/s, {one.cpu_seconds:,.1f} s of processor"
            say(f"run {number + 1}: {workers} of each: {says}")
    return Report(
        name="p13",
        title="whole pipeline with one, two and four workers of each service",
        parameters=corpus_of(load),
        surroundings=surroundings,
        figures=tuple(_figures(found, records)),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked=checked,
        tables=(table_of(found[-1]),),
    )


def _measure(stack: Stack, load: Load, count: int, seed: int) -> tuple[Divided, list[str], dict[str, int]]:
    """Return what this many workers of each service used, what was wrong afterwards, and how much was compared."""
    stack.provision(load.document, [])
    workers = {name: [stack.start_service(name, number + 1) for number in range(count)] for name in SERVICES}
    _await_division(workers, PARTITIONS // count)
    everyone = [worker for those in workers.values() for worker in those]
    before = {worker: worker.cpu_seconds for worker in everyone}
    taken = measure(stack, load.path, RECORDS.name, PIPELINE, workers=everyone, way="backlog")
    parts = tuple(
        Part(name, _taken(name, worker), worker.cpu_seconds - before[worker])
        for name, those in workers.items()
        for worker in those
    )
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        faults, checked = check(client, compile_model(load.document, 1), load.answers, seed)
    for worker in everyone:
        worker.stop()
    return Divided(taken.seconds, parts), [f"{count} of each: {fault}" for fault in faults], checked


def _await_division(workers: Mapping[str, Sequence[ServiceWorker]], each: int) -> None:
    """Wait until every worker has its share of the partitions. Raises: StackFailed when that takes too long."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    for name, those in workers.items():
        stage, _ = STAGE_AND_TOPIC[name]
        while any(worker.told("territory_partitions", stage=stage) != each for worker in those):
            if time.monotonic() > deadline:
                raise StackFailed(f"{name}: the partitions were not divided evenly within {READY_SECONDS_MAX:g} s")
            time.sleep(POLL_SECONDS)


def _taken(service: str, worker: ServiceWorker) -> int:
    return int(worker.told("territory_events_total", topic=STAGE_AND_TOPIC[service][1], outcome="taken"))


def _figures(found: Sequence[Mapping[int, Divided]], records: int) -> Iterator[Figure]:
    for count in WORKERS:
        speeds = [(records / one[count].seconds, records / one[1].seconds) for one in found]
        yield figure(f"pipeline, {count} of each service, published before", "records/s", speeds)
    for count in WORKERS[1:]:
        costs = [tuple(1e6 * each.cpu_seconds / records for each in (one[count], one[1])) for one in found]
        what = f"processor time, {count} of each beside one"
        yield figure(what, "µs a record", [(cost, alone) for cost, alone in costs], ratio_max=COST_RATIO_MAX)
    for count in WORKERS[1:]:
        shares = [(100 * one[count].largest_share / count, 100 / count) for one in found]
        what = f"messages that the busiest worker took, {count} of each, beside an even share"
        yield figure(what, "% of all", shares, ratio_max=SHARE_RATIO_MAX)


def table_of(found: Mapping[int, Divided]) -> Table:
    """Return what every worker did in one run."""
    rows = []
    for count, divided in found.items():
        numbers: dict[str, int] = defaultdict(int)
        for part in divided.parts:
            numbers[part.service] += 1
            rows.append(
                (str(count), f"{part.service} {numbers[part.service]}", f"{part.taken:,}", f"{part.cpu_seconds:.1f}")
            )
    return Table("who did what, last run", ("of each", "worker", "messages taken", "processor s"), tuple(rows))
