"""P7: a user joins, then leaves, a territory of many records; and how long Redis answers nobody meanwhile.

One access indexer. The baseline is SUNIONSTORE of the same set: one command, which blocks Redis until it is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.readers import Asked, read_asked
from benchmarks.results import Report, figure, say
from benchmarks.stack import PARTITIONS, Stack, running_stack
from territory.stage import Message
from territory.wire.codec import encode
from territory.wire.events import Assignment, Link
from territory.wire.keys import record_hash_key, visible_key
from territory.wire.topics import ASSIGNMENTS
from territory_admin.errors import StackFailed
from territory_admin.log.topic_reader import started
from territory_admin.models.apply import apply
from territory_admin.models.validate import check_model
from territory_runtime.kafka import clients
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings

ORG, TERRITORY, MEMBER, JOINER = "bench", "large", "member", "joiner"
COPY = "benchmark:copy"
SECONDS_MAX = 5.0
PAUSE_MS_MAX = 50.0
SENT_AT_ONCE = 20_000
IDLE_SECONDS = 3.0
"""Seconds of PING while Redis is idle: the machine's own pauses."""
POLL_SECONDS = 0.005
CHANGED_SECONDS_MAX = 1_800.0
SLOW_MICROSECONDS = 500
"""Redis records commands that take longer (SLOWLOG)."""
SLOW_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """A step of the run."""

    began: float
    """Seconds since the epoch."""
    ended: float
    command_ms: float
    """The longest command that Redis recorded meanwhile; 0: none was long."""

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.ended - self.began

    def pause_ms(self, pings: Iterable[Asked]) -> float:
        """Return the longest wait for a PING meanwhile, in milliseconds.

        A wait may cross the end of a step; each step has its part of it.
        """
        overlaps = (min(self.ended, one.at + one.took) - max(self.began, one.at) for one in pings)
        return 1_000 * max(0.0, max(overlaps, default=0.0))


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one run: steps, and the longest wait for a PING in each, in milliseconds."""

    spans: dict[str, Span]
    pauses: dict[str, float]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure several times, each on servers of its own; there is always one territory."""
    found: list[Measured] = []
    faults: list[str] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        with running_stack(embedded=embedded) as stack:
            surroundings = {"broker": stack.broker, "redis": stack.redis}
            measured, wrong = _measure(stack, records)
        found.append(measured)
        faults += wrong
        say(f"run {number + 1}: {', '.join(f'{name} {span.seconds:.2f} s' for name, span in measured.spans.items())}")
    figures = [
        figure("records put into a set, from the topic", "s", [(one.spans["fill"].seconds, None) for one in found])
    ]
    for name, says in (("join", "joins, until the set is whole"), ("leave", "leaves, until the set is empty")):
        beside = [(one, one.spans["copy"]) for one in found]
        seconds = [(one.spans[name].seconds, copy.seconds) for one, copy in beside]
        pauses = [(one.pauses[name], one.pauses["copy"]) for one in found]
        commands = [(one.spans[name].command_ms, copy.command_ms) for one, copy in beside]
        figures.append(figure(f"a user {says}", "s", seconds, value_max=SECONDS_MAX))
        figures.append(figure(f"a user {name}s, longest answer to PING", "ms", pauses, value_max=PAUSE_MS_MAX))
        figures.append(figure(f"a user {name}s, longest command of Redis", "ms", commands))
    figures.append(
        figure("nothing is done, longest answer to PING", "ms", [(one.pauses["idle"], None) for one in found])
    )
    return Report(
        name="p7",
        title="a user joins and leaves a territory, one access indexer, beside SUNIONSTORE of the same set",
        parameters={"records": records, "territories": 1, "partitions": PARTITIONS},
        surroundings=surroundings,
        figures=tuple(figures),
        faults=tuple(faults),
        checked={"sets": 6 * runs, "records": 2 * runs},
    )


def model_document(*members: str) -> dict[str, Any]:
    """Return a model of one territory with some of two users in it."""
    return {
        "org": ORG,
        "fields": {"account": {"country": "text"}},
        "roles": [{"id": "ceo"}, {"id": "rep", "parent": "ceo"}],
        "users": [{"id": user, "name": user, "role": "rep"} for user in (MEMBER, JOINER)],
        "territories": [{"id": TERRITORY, "name": "Large", "users": list(members)}],
    }


def _measure(stack: Stack, records: int) -> tuple[Measured, list[str]]:
    """Fill a territory, copy its set, let a user join and leave; return what is wrong, too."""
    stack.provision(model_document(MEMBER), ())
    assigner = stack.start_service("assigner")  # grants wait for its committed sweep, though it has nothing to decide
    worker = stack.start_service("access_indexer")
    pings = stack.folder / "pings"
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        sets = Sets(stack.settings, client, records)
        spans = {"fill": sets.timed(sets.fill)}
        pinger = stack.start_module("benchmarks.pinger", str(pings))
        spans["idle"] = sets.timed(lambda: time.sleep(IDLE_SECONDS))
        spans["copy"] = sets.timed(sets.copy)
        client.unlink(COPY)
        spans["join"] = sets.timed(sets.join)
        spans["leave"] = sets.timed(sets.leave)
        pinger.stop()
        sets.check_records()
    worker.stop()
    assigner.stop()
    answers = read_asked(pings)
    pauses = {name: span.pause_ms(answers) for name, span in spans.items()}
    return Measured(spans, pauses), sets.faults


class Sets:
    """The two users' sets, the steps, and what is wrong afterwards."""

    def __init__(self, settings: Settings, client: Any, records: int) -> None:
        """Take a client that decodes; by redis-py's types its answers could be awaitable."""
        self._settings = settings
        self._redis = client
        self._records = records
        self._member, self._joiner = (visible_key(ORG, user, "account") for user in (MEMBER, JOINER))
        self.faults: list[str] = []
        client.config_set("slowlog-max-len", SLOW_MAX)
        client.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)

    def timed(self, act: Callable[[], None]) -> Span:
        """Time a step until Redis has its result."""
        self._redis.slowlog_reset()
        began = time.time()
        act()
        ended = time.time()
        noted = self._redis.slowlog_get(SLOW_MAX)
        return Span(began, ended, max((one["duration"] for one in noted), default=0) / 1_000)

    def fill(self) -> None:
        """Publish every record's assignment to the territory."""
        asyncio.run(_fill(self._settings, self._records))
        self._await(self._member, self._records)

    def copy(self) -> None:
        """Copy the member's set."""
        self._redis.sunionstore(COPY, self._member)
        self._check("copied", {COPY: self._records})

    def join(self) -> None:
        """Let the other user join."""
        self._apply(MEMBER, JOINER)
        self._await(self._joiner, self._records)
        self._check("joined", {self._joiner: self._records, self._member: self._records})

    def leave(self) -> None:
        """Let that user leave."""
        self._apply(MEMBER)
        self._await(self._joiner, 0)
        self._check("left", {self._joiner: 0, self._member: self._records})

    def check_records(self) -> None:
        """Check that the index has the first and the last record."""
        stand = {number: record_hash_key(ORG, "account", _record_id(number)) for number in (0, self._records - 1)}
        self.faults += [f"{key} is not there" for key in stand.values() if self._redis.hget(key, "version") != "1"]

    def _apply(self, *members: str) -> None:
        asyncio.run(apply(self._settings, check_model(encode(model_document(*members)).decode())))

    def _await(self, key: str, size: int) -> None:
        deadline = time.monotonic() + CHANGED_SECONDS_MAX
        while self._redis.scard(key) != size:
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"{key} has not {size} but {self._redis.scard(key)} records after {CHANGED_SECONDS_MAX:g} s"
                )
            time.sleep(POLL_SECONDS)

    def _check(self, after: str, sizes: dict[str, int]) -> None:
        for key, size in sizes.items():
            found = self._redis.scard(key)
            if found != size:
                self.faults.append(f"{after}: {key} has {found} records, expected {size}")


def _record_id(number: int) -> str:
    return f"001{number:015}"


async def _fill(settings: Settings, records: int) -> None:
    """Publish for every record that it is in the territory, as the assigner would."""
    link = Link(territory_id=TERRITORY, causes=("manual",), why=("linked by hand",))
    async with started(clients.producer(settings)) as producer:
        sender = BatchProducer(producer, PARTITIONS)
        for start in range(0, records, SENT_AT_ONCE):
            some = [
                Assignment(
                    org_id=ORG, object="account", id=_record_id(number), version=1, model_revision=1, owner_id=None,
                    links=(link,),
                )
                for number in range(start, min(records, start + SENT_AT_ONCE))
            ]  # fmt: skip
            await sender.send([Message(ASSIGNMENTS.name, one.key, one, one.key) for one in some])
