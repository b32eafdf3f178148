"""P4: how long a change takes to reach Redis at a steady rate, and how long readers wait meanwhile.

One worker of each service. Before they start, the same messages go to a consumer that does nothing else, which
measures the broker's part.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import redis
import redis.asyncio

from benchmarks.corpus import ORG, record_changes
from benchmarks.p2_assigner import SHOWN_FAULTS_MAX, Load, corpus_of, make_load
from benchmarks.p3_pipeline import SERVICES, check
from benchmarks.pacer import Moment, read_moments
from benchmarks.processors import busy_processes
from benchmarks.readers import read_asked
from benchmarks.results import Figure, Report, Table, figure, say
from benchmarks.stack import Stack, Worker, running_stack
from territory.model.compiled import compile_model
from territory.wire.keys import parse_record_key, record_hash_key
from territory.wire.topics import RECORDS, Topic
from territory_admin.errors import StackFailed
from territory_admin.records.wait import wait
from territory_runtime.settings import Settings

STEADY, LOAD = "steady", "load"
PLAIN = Topic("benchmark.plain.v1", "delete", None, None, False, "What only the consumer that does nothing else reads.")
STEADY_RATE, LOAD_RATE = 1_000, 2_000
"""Changes a second."""
P50_MS_MAX, P99_MS_MAX = 100, 500
SAMPLES_A_SECOND = 50
WARM_SECONDS = 5.0
"""Seconds at the start that are not measured: connections are made, and Python grows its heap."""
PLAIN_SECONDS = 20.0
"""Seconds of each rate for the consumer that does nothing else."""
POLL_SECONDS = 0.01
ASKED_MAX = 16
"""Samples that are asked about at once, oldest first: asking about all would keep a processor busy."""
READERS, READER_PAUSE_SECONDS = 50, 0.1
IDLE_SECONDS = 5.0
"""How long the readers are measured before changes come."""
SUBJECTS = 20_000
VISIBLE_SECONDS_MAX = 60.0
QUIET_SECONDS_MAX = 300.0


class Phase(NamedTuple):
    """Changes of the corpus that are published at one rate."""

    name: str
    first: int
    records: int
    rate: int


class Sample(NamedTuple):
    """A change whose latency is measured."""

    place: int
    """Its position in its phase, from 0."""
    key: str
    """The version of its record that Redis must have."""
    version: int


@dataclass(frozen=True, slots=True)
class Published:
    """Result of a phase."""

    sent: list[Moment]
    seen: dict[int, float]
    """When each sample reached Redis, in seconds since the epoch, by position."""

    @property
    def seconds(self) -> float:
        """Seconds from when the first change was due to when the last one was."""
        return self.sent[-1].at - self.sent[0].at

    @property
    def waits(self) -> list[float]:
        """Milliseconds from when each sample was due until it was in Redis."""
        return [1_000 * (at - self.sent[place].at) for place, at in sorted(self.seen.items())]


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one run."""

    visible: dict[str, list[float]]
    """By phase, milliseconds from when a sample was due until it was in Redis."""
    consumed: dict[str, list[float]]
    """By phase, milliseconds until the consumer that does nothing else had a message."""
    busy: dict[str, float]
    """By process, processor seconds a second of the steady phase."""
    readers: list[float]
    """Milliseconds for an answer while changes arrive."""
    readers_alone: list[float]
    """The same before changes arrive."""
    faults: list[str]
    checked: dict[str, int]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure several times, each on servers of its own, and check Redis afterwards."""
    load = make_load(folder, records, territories, seed)
    changes = list(record_changes(records, seed))
    found: list[Measured] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        with running_stack(embedded=embedded) as stack:
            surroundings = {"broker": stack.broker, "redis": stack.redis}
            found.append(_measure(stack, load, changes, seed))
        say(f"run {number + 1}: p50 {percentile(found[-1].visible[STEADY], 50):,.0f} ms at {STEADY_RATE:,}/s")
    return Report(
        name="p4",
        title="event to visible at a steady rate, and the answers that readers get meanwhile",
        parameters=corpus_of(load)
        | {"samples_a_second": SAMPLES_A_SECOND, "readers": READERS, "reader_pause_seconds": READER_PAUSE_SECONDS},
        surroundings=surroundings,
        figures=tuple(_figures(found)),
        faults=tuple([fault for one in found for fault in one.faults][:SHOWN_FAULTS_MAX]),
        checked=found[-1].checked,
        tables=(table_of(found[-1].busy),),
    )


def phases_of(records: int) -> tuple[Phase, Phase]:
    """Return the steady phase and the fast one: a third of the changes and the rest, so that both last equally long."""
    steady = records // 3
    return Phase(STEADY, 0, steady, STEADY_RATE), Phase(LOAD, steady, records - steady, LOAD_RATE)


def samples_of(changes: Sequence[Mapping[str, Any]], phase: Phase) -> list[Sample]:
    """Return sample changes of a phase, none of a record that is ever deleted: it could disappear unseen."""
    gone = {_key(change) for change in changes if change["op"] == "delete"}
    chosen = range(int(WARM_SECONDS * phase.rate), phase.records, phase.rate // SAMPLES_A_SECOND)
    asked = ((place, changes[phase.first + place]) for place in chosen)
    return [Sample(place, _key(one), one["version"]) for place, one in asked if _key(one) not in gone]


def _key(change: Mapping[str, Any]) -> str:
    return record_hash_key(change["org_id"], change["object"], change["id"])


def _measure(stack: Stack, load: Load, changes: Sequence[Mapping[str, Any]], seed: int) -> Measured:
    """Publish both phases, the second with readers, and check the end state."""
    steady, loaded = phases = phases_of(load.records)
    stack.provision(load.document, [PLAIN])
    consumed = {phase.name: _consumed(stack, load, phase) for phase in phases}
    workers = [stack.start_service(service) for service in SERVICES]
    asked = stack.folder / "asked"
    before = busy_processes()
    published = {steady.name: publish(stack, load, steady, samples_of(changes, steady))}
    seconds = published[steady.name].seconds
    busy = {name: (now - before.get(name, 0.0)) / seconds for name, now in busy_processes().items()}
    asyncio.run(quiet(stack.settings))
    reading = _start_readers(stack, load, asked, seed)
    time.sleep(IDLE_SECONDS)
    began = time.time()
    published[loaded.name] = publish(stack, load, loaded, samples_of(changes, loaded))
    reading.stop()
    asyncio.run(quiet(stack.settings))
    faults: list[str] = []
    for phase in phases:
        missing = len(samples_of(changes, phase)) - len(published[phase.name].seen)
        if missing:
            faults.append(f"{phase.name}: {missing} changes were not visible {VISIBLE_SECONDS_MAX:g} s after the last")
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        wrong, checked = check(client, compile_model(load.document, 1), load.answers, seed)
    for worker in workers:
        worker.stop()
    answers = read_asked(asked)
    visible = {name: one.waits for name, one in published.items()}
    return Measured(
        visible=visible,
        consumed=consumed,
        busy=busy,
        readers=[1_000 * one.took for one in answers if one.at >= began],
        readers_alone=[1_000 * one.took for one in answers if one.at < began],
        faults=faults + wrong,
        checked=checked | {"timed": sum(map(len, visible.values()))},
    )


def _consumed(stack: Stack, load: Load, phase: Phase) -> list[float]:
    """Publish the beginning of a phase to a consumer that does nothing else; return its milliseconds."""
    came = stack.folder / f"came-{phase.name}"
    part = phase._replace(records=min(phase.records, int(PLAIN_SECONDS * phase.rate)))
    arrivals = stack.start_module("benchmarks.arrivals", PLAIN.name, str(came))
    sent = _start_pacer(stack, load, part, PLAIN.name)
    sent.pacer.go()
    sent.pacer.await_end(PLAIN_SECONDS + VISIBLE_SECONDS_MAX)
    arrivals.stop()
    return ways_of(read_moments(sent.file), read_moments(came))[int(WARM_SECONDS * phase.rate) :]


class _Sending(NamedTuple):
    pacer: Worker
    file: Path
    """Create the file that has each change's due time in the end."""


def _start_pacer(stack: Stack, load: Load, phase: Phase, topic: str) -> _Sending:
    file = stack.folder / f"sent-{phase.name}-{topic}"
    options = (str(load.path), str(phase.first), str(phase.records), topic, str(phase.rate), str(file))
    return _Sending(stack.start_module("benchmarks.pacer", *options), file)


async def quiet(settings: Settings, seconds_max: float = QUIET_SECONDS_MAX) -> None:
    """Wait until everything published has come through. Raises: StackFailed when it does not."""
    waited = await wait(settings, seconds_max, lambda *_: None)
    if not waited.done:
        raise StackFailed("\n".join(map(str, waited.behind)))


def _start_readers(stack: Stack, load: Load, asked: Path, seed: int) -> Worker:
    """Start readers who ask about any user and any record that exists at the end."""
    rng = random.Random(seed)
    users, records = [user["id"] for user in load.document["users"]], sorted(load.answers.records)
    subjects = [(rng.choice(users), *parse_record_key(rng.choice(records))[1:]) for _ in range(SUBJECTS)]
    questions = stack.folder / "questions"
    questions.write_text("".join("\t".join(subject) + "\n" for subject in subjects))
    options = (ORG, str(questions), str(READERS), str(READER_PAUSE_SECONDS), str(asked))
    return stack.start_module("benchmarks.readers", *options)


def publish(
    stack: Stack,
    load: Load,
    phase: Phase,
    samples: list[Sample],
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Published:
    """Publish a phase and watch its samples until all are in Redis, or it takes too long.

    Args:
        stack: The running servers and services.
        load: The load that the phase belongs to.
        phase: The changes that are published.
        samples: The changes that are timed.
        meanwhile: What else runs, from when the publishing begins.
    """
    sending = _start_pacer(stack, load, phase, RECORDS.name)
    sending.pacer.go()

    async def watch() -> dict[int, float]:
        async with asyncio.TaskGroup() as tasks:
            seen = tasks.create_task(_watch(stack.settings, phase, samples))
            if meanwhile is not None:
                tasks.create_task(meanwhile())
        return seen.result()

    seen = asyncio.run(watch())
    sending.pacer.await_end(VISIBLE_SECONDS_MAX)
    return Published(read_moments(sending.file), seen)


async def _watch(settings: Settings, phase: Phase, samples: list[Sample]) -> dict[int, float]:
    """Ask Redis, every few milliseconds, for samples that were sent and not seen; return when each was seen.

    The oldest are asked about first. When one of them is seen, others follow at once, or they would seem later.
    """
    seen: dict[int, float] = {}
    coming, sent = deque(samples), list[Sample]()
    began = time.monotonic()
    async with redis.asyncio.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        while coming or sent:
            now = time.monotonic() - began
            if now > phase.records / phase.rate + VISIBLE_SECONDS_MAX:
                break
            while coming and coming[0].place <= now * phase.rate:
                sent.append(coming.popleft())
            pipeline = client.pipeline(transaction=False)
            asked, others = sent[:ASKED_MAX], sent[ASKED_MAX:]
            for sample in asked:
                pipeline.hget(sample.key, "version")
            versions = await pipeline.execute()
            at, left = time.time(), list[Sample]()
            for sample, version in zip(asked, versions, strict=True):
                if version is not None and int(version) >= sample.version:
                    seen[sample.place] = at
                else:
                    left.append(sample)
            sent = left + others
            if len(left) == len(asked):
                await asyncio.sleep(POLL_SECONDS)
    return seen


def ways_of(sent: Sequence[Moment], came: Sequence[Moment]) -> list[float]:
    """Return the milliseconds of each message, in the order of its partition.

    Raises: StackFailed when the messages that came are not those that were sent.
    """
    arrivals: dict[int, deque[float]] = defaultdict(deque)
    for moment in came:
        arrivals[moment.partition].append(moment.at)
    if len(sent) != len(came):
        raise StackFailed(f"{len(sent)} messages were sent, and {len(came)} came to the consumer")
    return [1_000 * (arrivals[moment.partition].popleft() - moment.at) for moment in sent]


def table_of(busy: Mapping[str, float]) -> Table:
    """Return how busy each process was, the busiest first."""
    shares = sorted(busy.items(), key=lambda one: -one[1])
    rows = tuple((name, f"{share:.2f}") for name, share in shares if share >= 0.005)
    return Table("processors", (f"process, at {STEADY_RATE:,} changes/s", "processor seconds a second"), rows)


def _figures(found: Sequence[Measured]) -> list[Figure]:
    figures: list[Figure] = []
    for name, rate in ((STEADY, STEADY_RATE), (LOAD, LOAD_RATE)):
        for share, most in ((50, P50_MS_MAX), (99, P99_MS_MAX)):
            values = [(percentile(one.visible[name], share), percentile(one.consumed[name], share)) for one in found]
            promised = most if name == STEADY else None
            figures.append(figure(f"event to visible at {rate:,}/s, p{share}", "ms", values, value_max=promised))
    for share in (50, 99):
        values = [(percentile(one.readers, share), percentile(one.readers_alone, share)) for one in found]
        figures.append(figure(f"can_see at {LOAD_RATE:,} changes/s, p{share}", "ms", values))
    return figures


def percentile(values: Sequence[float], share: int) -> float:
    """Return a percentile."""
    return quantiles(values, n=100, method="inclusive")[share - 1]
