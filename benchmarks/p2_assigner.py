"""P2: the assigner, Kafka to Kafka, both of its stages in one worker, beside a worker that only passes messages on."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord

from benchmarks.answers import Answers, links_each
from benchmarks.corpus import USERS, model_document, record_changes
from benchmarks.measuring import Taken, Way, measure
from benchmarks.passthrough import INPUT, OUTPUT, STAGE
from benchmarks.publisher import prepare
from benchmarks.results import Report, figure, say
from benchmarks.stack import PARTITIONS, Stack, running_stack
from territory.events import read_assignment
from territory.model import compile_model
from territory.topics import ASSIGNMENTS, RECORDS
from territory_control.progress import PIPELINE
from territory_control.topic_reading import partitions_of, read_messages
from territory_runtime.settings import Settings

RATIO_MIN = 0.15
SAMPLED_RECORDS = 200
SHOWN_FAULTS_MAX = 20
STAGES = tuple(stage for stage in PIPELINE if stage.name.startswith("assigner-"))


@dataclass(frozen=True, slots=True)
class Load:
    """The corpus of a run: what is published, and the right answers to it."""

    path: Path
    records: int
    """How many changes are published."""
    bytes_each: int
    document: dict[str, Any]
    answers: Answers

    def cost_each(self, taken: Taken) -> float:
        """Return how many microseconds of a processor each change took."""
        return taken.cpu_seconds / self.records * 1e6


def make_load(folder: Path, records: int, territories: int, seed: int) -> Load:
    """Return the corpus of a run, its messages prepared in a file."""
    document = model_document(territories, seed)
    changes = list(record_changes(records, seed))
    path = folder / "records.tsv"
    size = prepare(path, changes, PARTITIONS)
    return Load(path, records, size, document, Answers(compile_model(document, 1), changes))


def corpus_of(load: Load) -> dict[str, object]:
    """Return what a corpus is like, for the report."""
    return {
        "records": load.records,
        "live_records": len(load.answers.records),
        "territories": len(load.document["territories"]),
        "users": USERS,
        "bytes_each": load.bytes_each,
        "links_each": links_each(load.answers),
        "partitions": PARTITIONS,
    }


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure some times, each on servers of its own, and check the answers every time."""
    load = make_load(folder, records, territories, seed)
    faults: list[str] = []
    checked = 0
    speeds: dict[Way, list[tuple[float, float]]] = {"live": [], "backlog": []}
    costs: list[tuple[float, float]] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        for way, found in speeds.items():
            with running_stack(embedded=embedded) as stack:
                surroundings = {"broker": stack.broker}
                stack.provision(load.document, [INPUT, OUTPUT])
                baseline, value = pass_on(stack, load, way), _assign(stack, load, way)
                found.append((load.records / value.seconds, load.records / baseline.seconds))
                costs.append((load.cost_each(value), load.cost_each(baseline)))
                say(f"run {number + 1}, {way}: assigner {found[-1][0]:,.0f}/s, pass-through {found[-1][1]:,.0f}/s")
                wrong, count = asyncio.run(check(stack.settings, load.answers, seed))
                faults += wrong
                checked += count
    return Report(
        name="p2",
        title="assigner, Kafka to Kafka, both stages, one worker",
        parameters=corpus_of(load),
        surroundings=surroundings,
        figures=(
            figure("assigner, published meanwhile", "records/s", speeds["live"], ratio_min=RATIO_MIN),
            figure("assigner, published before", "records/s", speeds["backlog"]),
            figure("assigner, processor time", "µs a record", costs),
        ),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked={"assignments": checked},
    )


def pass_on(stack: Stack, load: Load, way: Way) -> Taken:
    """Return what the baseline takes, after a first time that warms the broker up."""
    worker = stack.start_module("benchmarks.passthrough")
    measure(stack, load.path, INPUT.name, [STAGE], workers=[worker], way="live")
    taken = measure(stack, load.path, INPUT.name, [STAGE], workers=[worker], way=way)
    worker.stop()
    return taken


def _assign(stack: Stack, load: Load, way: Way) -> Taken:
    worker = stack.start_service("assigner")
    taken = measure(stack, load.path, RECORDS.name, STAGES, workers=[worker], way=way)
    worker.stop()
    return taken


async def check(settings: Settings, answers: Answers, seed: int) -> tuple[list[str], int]:
    """Return what is wrong with the assignments, and how many were compared one by one."""
    said: dict[str, bytes] = {}

    def take(message: ConsumerRecord) -> None:
        key, value = message.key.decode(), message.value
        if value is None:
            said.pop(key, None)
        else:
            said[key] = value

    await read_messages(settings, dict.fromkeys(partitions_of(ASSIGNMENTS, PARTITIONS), 0), take)
    faults: list[str] = []
    if said.keys() != answers.records.keys():
        faults.append(f"found {len(said)} assignments, expected {len(answers.records)}, one for each live record")
    read = read_assignment
    sample = random.Random(seed).sample(sorted(said.keys() & answers.records.keys()), min(SAMPLED_RECORDS, len(said)))
    for key in sample:
        found, expected = read(said[key]), answers.standing_of(key)
        if (found.links, found.cut, found.runners_up) != (expected.links, expected.cut, expected.runners_up):
            faults.append(f"{key}: found {found.territories}, expected {answers.territories_of(key)}")
        if found.version != answers.records[key].version:
            faults.append(f"{key}: found version {found.version}, expected {answers.records[key].version}")
    return faults, len(sample)
