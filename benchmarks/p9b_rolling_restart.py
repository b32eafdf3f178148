"""P9b: a rolling restart of four assigners: how often a partition moves, and how long its changes wait.

One probe record a partition changes all the time. Its changes wait as long as its partition has no worker. The
baseline is the same before the restart.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from aiokafka.structs import ConsumerRecord

from benchmarks.corpus import ORG, model_document, record_changes
from benchmarks.measuring import measure
from benchmarks.p2_assigner import STAGES
from benchmarks.publisher import prepare
from benchmarks.results import Report, Table, figure, say
from benchmarks.stack import ServiceWorker, Stack, running_stack
from territory.stage import Message
from territory.wire.events import read_assignment
from territory.wire.keys import partition_of, record_key
from territory.wire.topics import ASSIGNMENTS, RECORDS
from territory_admin.log.topic_reader import partitions_of, read_messages, started
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings

WORKERS, PARTITIONS = 4, 32
SESSION_SECONDS = 30.0
MOVES_MAX = 2
PROBE_SECONDS = 0.2
"""Between two changes of each probe."""
STEADY_SECONDS = 10.0
LAST_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
EXPELLED = ("partitions lost", "not recognized")
"""In the log of a worker that the group has expelled: what the loop says, and what aiokafka says."""


@dataclass(slots=True)
class Probes:
    """Changes of one record a partition, and when each was due and assigned, in seconds since any start."""

    due: dict[tuple[int, int], float] = field(default_factory=dict)
    """By partition and version."""
    waits: dict[tuple[int, int], float] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    """By record key, its partition."""

    def __post_init__(self) -> None:
        """Find a record for each partition."""
        for number in count():
            if len(self.keys) == PARTITIONS:
                return
            key = record_key(ORG, "account", f"probe-{number}")
            if partition_of(key, PARTITIONS) not in self.keys.values():
                self.keys[key] = partition_of(key, PARTITIONS)

    def longest(self, first: float, last: float) -> dict[int, float]:
        """Return by partition the longest wait of the changes that were due in a span."""
        found = dict.fromkeys(range(PARTITIONS), 0.0)
        for place, due in self.due.items():
            if first <= due <= last:
                found[place[0]] = max(found[place[0]], self.waits.get(place, LAST_SECONDS_MAX))
        return found

    async def publish(self, settings: Settings, stop: asyncio.Event) -> None:
        """Change every probe at its pace until an event is set."""
        async with started(clients.producer(settings)) as producer:
            sender = BatchProducer(producer, PARTITIONS)
            for version in count(1):
                if stop.is_set():
                    return
                changes = [Message(RECORDS.name, key, _change(key, version), key) for key in self.keys]
                now = time.monotonic()
                self.due.update({(partition, version): now for partition in self.keys.values()})
                await sender.send(changes)
                await asyncio.sleep(max(0.0, PROBE_SECONDS - (time.monotonic() - now)))

    async def follow(self, settings: Settings) -> None:
        """Record when the assignments of probes arrive, until cancelled."""
        async with started(clients.reader(settings)) as consumer:
            places = list(partitions_of(ASSIGNMENTS, PARTITIONS))
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            async for message in consumer:
                partition = self.keys.get((message.key or b"").decode())
                if partition is not None and message.value is not None:
                    self.assigned(partition, read_assignment(message.value).version, time.monotonic())

    def assigned(self, partition: int, version: int, at: float) -> None:
        """End the waits of a version and of those before it: a batch emits only the last change of a record."""
        while version > 0 and (partition, version) in self.due and (partition, version) not in self.waits:
            self.waits[partition, version] = at - self.due[partition, version]
            version -= 1


def _change(key: str, version: int) -> dict[str, object]:
    _, kind, name = key.split("/")
    return {
        "event_id": f"{name}-{version}", "org_id": ORG, "object": kind, "id": name, "version": version, "op": "upsert",
        "owner_id": None, "fields": {}, "occurred_at": "2017-03-01T10:00:00Z",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one run."""

    seconds: float
    """How long the rolling restart took."""
    moves: Counter[tuple[str, int]]
    """By stage and partition, how many restores of it the restart caused."""
    waits: dict[int, float]
    """By partition, the longest wait of a change during the restart, in seconds."""
    waits_before: dict[int, float]
    expelled: int
    faults: list[str]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure several times, each on servers of its own, and check that every record has its assignment."""
    path = folder / "records.tsv"
    prepare(path, record_changes(records, seed), PARTITIONS)
    found: list[Measured] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        with running_stack(embedded=embedded, partitions=PARTITIONS, session_seconds=SESSION_SECONDS) as stack:
            surroundings = {"broker": stack.broker}
            stack.provision(model_document(territories, seed), ())
            found.append(asyncio.run(_measure(stack, path)))
        one = found[-1]
        say(f"run {number + 1}: {one.seconds:.1f} s, at most {max(one.moves.values(), default=0)} moves of a partition")
    beside = [(one, sorted(one.waits.values()), sorted(one.waits_before.values())) for one in found]
    middle = PARTITIONS // 2
    return Report(
        name="p9b",
        title="rolling restart of four assigners",
        parameters={"records": records, "territories": territories, "partitions": PARTITIONS, "workers": WORKERS},
        surroundings=surroundings,
        figures=(
            figure("rolling restart, whole", "s", [(one.seconds, None) for one in found]),
            figure("workers expelled from a group", "workers", [(one.expelled, None) for one in found], value_max=1),
            figure(
                "moves of a partition, the most", "moves",
                [(max(one.moves.values(), default=0), None) for one in found], value_max=MOVES_MAX + 1,
            ),
            figure("a change waits, median of partitions", "s", [(now[middle], old[middle]) for _, now, old in beside]),
            figure("a change waits, worst partition", "s", [(now[-1], old[-1]) for _, now, old in beside]),
        ),
        faults=tuple(fault for one in found for fault in one.faults),
        checked={"probes": PARTITIONS * runs},
        tables=(_table(found[-1]),),
    )  # fmt: skip


async def _measure(stack: Stack, path: Path) -> Measured:
    """Fill the topics, restart one worker after another while the probes change, and check the probes."""
    workers = [await asyncio.to_thread(stack.start_service, "assigner", number) for number in range(1, WORKERS + 1)]
    await asyncio.to_thread(_fill, stack, path, workers)
    probes, stop = Probes(), asyncio.Event()
    following = asyncio.create_task(probes.follow(stack.settings))
    publishing = asyncio.create_task(probes.publish(stack.settings, stop))
    await asyncio.sleep(STEADY_SECONDS)
    before = time.monotonic()
    logged = _log_sizes(stack)
    for number, worker in enumerate(workers, WORKERS + 1):
        await asyncio.to_thread(worker.stop)
        await asyncio.to_thread(stack.start_service, "assigner", number)
    ended = time.monotonic()
    await asyncio.sleep(STEADY_SECONDS)
    stop.set()
    await publishing
    for _ in range(int(LAST_SECONDS_MAX / POLL_SECONDS)):
        if not probes.due.keys() - probes.waits.keys():
            break
        await asyncio.sleep(POLL_SECONDS)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    lines = list(_new_lines(stack, logged))
    restored = [json.loads(line) for line in lines if '"partition restored"' in line]
    return Measured(
        seconds=ended - before,
        moves=Counter((line["stage"], line["partition"]) for line in restored),
        waits=probes.longest(before, ended),
        waits_before=probes.longest(before - STEADY_SECONDS / 2, before - 1),
        expelled=sum(any(word in line for word in EXPELLED) for line in lines),
        faults=await _faults(stack.settings, probes),
    )


def _fill(stack: Stack, path: Path, workers: Sequence[ServiceWorker]) -> None:
    measure(stack, path, RECORDS.name, STAGES, workers=workers, way="live")


def _log_sizes(stack: Stack) -> dict[Path, int]:
    return {path: path.stat().st_size for path in stack.folder.glob("assigner-*.log")}


def _new_lines(stack: Stack, sizes: dict[Path, int]) -> Iterator[str]:
    """Yield what the workers have logged since their logs had these sizes."""
    for path in stack.folder.glob("assigner-*.log"):
        with path.open("rb") as file:
            file.seek(sizes.get(path, 0))
            yield from file.read().decode(errors="replace").splitlines()


async def _faults(settings: Settings, probes: Probes) -> list[str]:
    """Return the probes whose last assignment is not of their last version."""
    last: dict[str, int] = {}

    def take(message: ConsumerRecord) -> None:
        key = message.key.decode()
        if key in probes.keys and message.value is not None:
            last[key] = read_assignment(message.value).version

    await read_messages(settings, dict.fromkeys(partitions_of(ASSIGNMENTS, PARTITIONS), 0), take)
    newest = max(version for _, version in probes.due)
    return [
        f"{key}: found version {last.get(key)}, expected {newest}" for key in probes.keys if last.get(key) != newest
    ]


def _table(measured: Measured) -> Table:
    stages = sorted({stage for stage, _ in measured.moves})
    rows = tuple(
        (str(number), *(str(measured.moves[stage, number]) for stage in stages), f"{measured.waits[number]:.2f}")
        for number in range(PARTITIONS)
    )
    return Table("each partition, last run", ("partition", *(f"moves, {stage}" for stage in stages), "waits s"), rows)
