"""P2: the assigner, Kafka to Kafka, both of its stages in one worker.

Compared with a worker that only passes messages on, and with apps of other frameworks that do the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka.structs import ConsumerRecord

from benchmarks.answers import Answers, links_each
from benchmarks.corpus import USERS, model_document, record_changes
from benchmarks.measuring import Taken, Way, measure
from benchmarks.passthrough import INPUT, OUTPUT, STAGE
from benchmarks.peers import PEERS, Peer
from benchmarks.publisher import prepare
from benchmarks.results import Figure, Report, figure, say
from benchmarks.stack import PARTITIONS, Stack, running_stack
from territory.model.compiled import compile_model
from territory.wire.codec import encode
from territory.wire.events import read_assignment
from territory.wire.topics import ASSIGNMENTS, RECORDS, Topic
from territory_admin.log.topic_reader import partitions_of, read_messages
from territory_admin.records.wait import PIPELINE
from territory_runtime.settings import Settings

RATIO_MIN = {1_000: 0.15, 10_000: 0.25}
"""The aim by the number of territories up to which it applies."""
PEERS_AT = 10_000
"""Number of territories up to which the ratios to other frameworks apply."""
SAMPLED_RECORDS = 200
SHOWN_FAULTS_MAX = 20
STAGES = tuple(stage for stage in PIPELINE if stage.name.startswith("assigner-"))


@dataclass(frozen=True, slots=True)
class Load:
    """The corpus of a run: its messages and the expected answers."""

    path: Path
    model: Path
    """The model document, in a file."""
    records: int
    """Number of changes published."""
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
    model = folder / "model.json"
    size = prepare(path, changes, PARTITIONS)
    model.write_bytes(encode(document))
    return Load(path, model, records, size, document, Answers(compile_model(document, 1), changes))


def corpus_of(load: Load) -> dict[str, object]:
    """Describe a corpus, for the report."""
    return {
        "records": load.records,
        "live_records": len(load.answers.records),
        "territories": len(load.document["territories"]),
        "users": USERS,
        "bytes_each": load.bytes_each,
        "links_each": links_each(load.answers),
        "partitions": PARTITIONS,
    }


@dataclass(slots=True)
class Beside:
    """Results of an app of another framework.

    Attributes:
        load: A corpus of its own if the assigner's is too long for it.
        speeds: Records a second, the assigner's and its own, of each run.
        costs: Microseconds a record, likewise.
        wrong: Number of its assignments that were wrong or missing, of each run.
    """

    peer: Peer
    load: Load
    speeds: list[tuple[float, float]] = field(default_factory=list)
    costs: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)

    def figures(self, territories: int) -> list[Figure]:
        """Return its figures; each of its answers is checked."""
        name, wrong = self.peer.name, median(self.wrong)
        shown = f"of {len(self.load.answers.records)} wrong or missing in the {name}"
        promised = self.peer.ratio_min if territories <= PEERS_AT else None
        return [
            figure(f"assigner beside the {name}", "records/s", self.speeds, ratio_min=promised),
            figure(f"assigner beside the {name}, processor time", "µs a record", self.costs),
            Figure(f"answers {shown}", "records", wrong, runs=tuple((float(one), None) for one in self.wrong)),
        ]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure several times, each on servers of its own, and check the answers every time."""
    load = make_load(folder, records, territories, seed)
    faults: list[str] = []
    checked = 0
    speeds: dict[Way, list[tuple[float, float]]] = {"live": [], "backlog": []}
    costs: list[tuple[float, float]] = []
    surroundings: dict[str, str] = {}
    peers, absent = _peers(folder, load, seed)
    for number in range(runs):
        for way, found in speeds.items():
            with running_stack(embedded=embedded) as stack:
                surroundings = {"broker": stack.broker, **absent}
                stack.provision(load.document, [INPUT, OUTPUT])
                baseline, value = pass_on(stack, load, way), _assign(stack, load, way)
                found.append((load.records / value.seconds, load.records / baseline.seconds))
                costs.append((load.cost_each(value), load.cost_each(baseline)))
                say(f"run {number + 1}, {way}: assigner {found[-1][0]:,.0f}/s, pass-through {found[-1][1]:,.0f}/s")
                wrong, count = asyncio.run(check(stack.settings, load.answers, seed))
                faults += wrong
                checked += count
                if way == "live":
                    for beside in peers:
                        _measure_peer(stack, beside, found[-1][0], costs[-1][0])
    return Report(
        name="p2",
        title="assigner, Kafka to Kafka, both stages, one worker",
        parameters=corpus_of(load) | {f"records of the {one.peer.name}": one.load.records for one in peers},
        surroundings=surroundings,
        figures=(
            *_promised(speeds["live"], territories),
            figure("assigner, published before", "records/s", speeds["backlog"]),
            figure("assigner, processor time", "µs a record", costs),
            *(one for beside in peers for one in beside.figures(territories)),
        ),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked={"assignments": checked},
    )


def _promised(speeds: Sequence[tuple[float, float]], territories: int) -> list[Figure]:
    """Return the assigner's figure, once for each aim that applies."""
    applying = {most: ratio for most, ratio in RATIO_MIN.items() if territories <= most}
    if not applying:
        return [figure("assigner, published meanwhile", "records/s", speeds)]
    return [
        figure(
            f"assigner, published meanwhile, as promised of {most:,} territories", "records/s", speeds, ratio_min=ratio
        )
        for most, ratio in applying.items()
    ]


def _peers(folder: Path, load: Load, seed: int) -> tuple[list[Beside], dict[str, str]]:
    """Return the apps that can be measured here, with their loads, and why others cannot."""
    besides: list[Beside] = []
    absent: dict[str, str] = {}
    for peer in PEERS:
        if not peer.is_installed:
            absent[peer.name] = f"left out: {peer.package} is not installed ({peer.install})"
            say(f"{peer.name}: {absent[peer.name]}")
            continue
        own = load
        if load.records > peer.records_max:
            place = folder / peer.module
            place.mkdir()
            own = make_load(place, peer.records_max, len(load.document["territories"]), seed)
        besides.append(Beside(peer, own))
    return besides, absent


def _measure_peer(stack: Stack, beside: Beside, speed: float, cost: float) -> None:
    """Measure an app of another framework, beside the assigner's speed and cost in this run."""
    peer, load = beside.peer, beside.load
    stack.create([peer.input, peer.output])
    worker = stack.start_module(peer.module, str(load.model))
    taken = measure(stack, load.path, peer.input.name, peer.stages, workers=[worker], way="live")
    worker.stop()
    beside.speeds.append((speed, load.records / taken.seconds))
    beside.costs.append((cost, load.cost_each(taken)))
    beside.wrong.append(asyncio.run(wrong_answers(stack.settings, peer.output, load.answers)))
    say(f"{peer.name}: {beside.speeds[-1][1]:,.0f}/s, {beside.wrong[-1]:,} of {len(load.answers.records):,} wrong")


def pass_on(stack: Stack, load: Load, way: Way) -> Taken:
    """Measure the baseline, after a first run that warms the broker up."""
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


async def said_on(settings: Settings, topic: Topic) -> dict[str, bytes]:
    """Return the last value of each key on a topic, without tombstones."""
    said: dict[str, bytes] = {}

    def take(message: ConsumerRecord) -> None:
        key, value = message.key.decode(), message.value
        if value is None:
            said.pop(key, None)
        else:
            said[key] = value

    await read_messages(settings, dict.fromkeys(partitions_of(topic, PARTITIONS), 0), take)
    return said


async def wrong_answers(settings: Settings, topic: Topic, answers: Answers) -> int:
    """Count records whose last assignment has another version or other territories, is missing or left over."""
    said = await said_on(settings, topic)
    wrong = len(said.keys() ^ answers.records.keys())
    for key in said.keys() & answers.records.keys():
        found = read_assignment(said[key])
        right = (answers.records[key].version, answers.territories_of(key))
        wrong += (found.version, found.territories) != right
    return wrong


async def check(settings: Settings, answers: Answers, seed: int) -> tuple[list[str], int]:
    """Return what is wrong with the assignments, and how many were compared one by one."""
    said = await said_on(settings, ASSIGNMENTS)
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
