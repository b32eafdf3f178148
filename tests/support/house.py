"""The whole house as it is deployed: service processes on a real broker and a real Redis, seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import redis

from territory.stage import Message
from territory.wire.codec import decode
from territory.wire.events import Assignment, read_assignment
from territory.wire.keys import parse_set_key, partition_of
from territory.wire.topics import ACCESS_CHANGES, ASSIGNMENTS, ATTAINMENTS, DEAD_LETTERS, RECORDS
from territory_admin.log.topic_reader import partitions_of, started
from territory_admin.models.apply import apply
from territory_admin.models.validate import check_model
from territory_admin.records import wait as progress
from territory_control.local.child_process import ChildProcess
from territory_control.local.embedded_broker import free_ports
from territory_runtime.kafka import clients
from territory_runtime.kafka.dead_letters import PREFIX
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.settings import Settings, read_settings
from tests.support.follower import Follower

SERVICES = ("assigner", "access_indexer", "forecast_aggregator")
FOLLOWED = "followed "
"""Before the name of what somebody has who follows the index."""
START_SECONDS = 60.0
QUIET_SECONDS = 120.0
STOP_SECONDS = 20.0
LOG_LINES = 40
"""Of each worker's log, in the report of a failure."""


@dataclass
class Found:
    """The end state of one organisation, as outsiders find it in Kafka and Redis."""

    assignments: dict[str, Assignment] = field(default_factory=dict)
    visible: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    editable: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    attainments: dict[tuple[str, str, str | None], dict[str, str | None]] = field(default_factory=dict)
    """From Redis."""
    attainments_said: dict[tuple[str, str, str | None], dict[str, Any]] = field(default_factory=dict)
    """From territory.attainments.v1."""
    left_out: dict[str, str] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    follower: Follower = field(default_factory=Follower)
    """Knows territory.access-changes.v1 and nothing else."""


def command_of(service: str, _worker: int) -> tuple[str, ...]:
    """Return the command that runs a worker of a service as it is deployed."""
    return (sys.executable, "-m", service)


class House:
    """Service processes on one broker and Redis; started, killed and asked by a test."""

    def __init__(
        self,
        bootstrap_servers: str,
        redis_url: str,
        folder: Path,
        command: Callable[[str, int], Sequence[str]] = command_of,
        **settings: object,
    ) -> None:
        self._environment = {
            "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "TERRITORY_REDIS_URL": redis_url,
            "TERRITORY_KAFKA_PARTITIONS": "4",
            **{f"TERRITORY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.settings: Settings = read_settings(self._environment)
        self.partitioner: Callable[[str, int], int] = partition_of
        """What chooses the partition of a change: as librdkafka's clients do, so that few are at home (A13)."""
        self._folder = folder
        self._command = command
        self._workers: dict[str, ChildProcess] = {}
        self._ports: dict[str, int] = {}

    # --- workers -----------------------------------------------------------------------------

    def start(self, service: str, worker: int = 1) -> None:
        """Start a worker of a service and return when it is ready."""
        port = self._launch(service, worker)
        self._workers[f"{service}-{worker}"].start(lambda: self._is_ready(port), START_SECONDS)

    def launch(self, service: str, worker: int = 1) -> None:
        """Start a worker of a service and return at once: what it needs may be away."""
        self._launch(service, worker)
        self._workers[f"{service}-{worker}"].start(lambda: True, START_SECONDS)

    def _launch(self, service: str, worker: int) -> int:
        """Make a worker ready to be started; return the port of its pages."""
        name = f"{service}-{worker}"
        [port] = free_ports(1)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TERRITORY_")}
        environment |= self._environment | {"TERRITORY_METRICS_PORT": str(port)}
        self._workers[name] = ChildProcess(
            name, self._command(service, worker), self._folder / f"{name}.log", environment
        )
        self._ports[name] = port
        return port

    def start_all(self, worker: int = 1) -> None:
        """Start one worker of every service, side by side: most of a start is imports."""
        with ThreadPoolExecutor(len(SERVICES)) as threads:
            list(threads.map(lambda service: self.start(service, worker), SERVICES))

    def kill(self, service: str, worker: int = 1) -> None:
        """End a worker without a word (SIGKILL)."""
        self._workers.pop(f"{service}-{worker}").kill()

    def stop(self, service: str, worker: int = 1, seconds: float = STOP_SECONDS) -> int | None:
        """Ask a worker to end and wait until it has; return its exit code, -9 where it had to be killed."""
        child = self._workers.pop(f"{service}-{worker}")
        child.stop(seconds)
        return child.exit_code

    def pause(self, service: str, worker: int = 1) -> None:
        """Hold a worker's process (SIGSTOP): it neither works nor answers, and knows nothing of it."""
        self._signal(service, worker, signal.SIGSTOP)

    def resume(self, service: str, worker: int = 1) -> None:
        """Let a worker that was held go on."""
        self._signal(service, worker, signal.SIGCONT)

    def _signal(self, service: str, worker: int, number: signal.Signals) -> None:
        pid = self._workers[f"{service}-{worker}"].pid
        if pid is not None:  # else it ended by itself
            os.killpg(pid, number)

    def stop_all(self) -> None:
        """Ask every worker that is running to end, side by side, and wait until all have."""
        if self._workers:
            with ThreadPoolExecutor(len(self._workers)) as threads:
                list(threads.map(lambda child: child.stop(STOP_SECONDS), self._workers.values()))
        self._workers.clear()

    def close(self) -> None:
        """End every worker at once, when a test is over: what it does at a stop is nobody's question any more."""
        while self._workers:
            self._workers.popitem()[1].kill()

    def is_running(self, service: str, worker: int = 1) -> bool:
        """Whether a worker was started and its process has not ended."""
        name = f"{service}-{worker}"
        return name in self._workers and self._workers[name].running

    def pid(self, service: str, worker: int = 1) -> int:
        """Return the id of a worker's process, which is running."""
        pid = self._workers[f"{service}-{worker}"].pid
        assert pid is not None, f"{service}-{worker} has ended"
        return pid

    def log_of(self, service: str, worker: int = 1) -> str:
        """Return what a worker has logged so far."""
        return (self._folder / f"{service}-{worker}.log").read_text(errors="replace")

    def address(self, service: str, worker: int = 1) -> str:
        """Return host and port of a worker's pages."""
        return f"127.0.0.1:{self._ports[f'{service}-{worker}']}"

    def page(self, service: str, page: str, worker: int = 1) -> tuple[int, str]:
        """Return status and body of one of a worker's pages."""
        try:
            with urlopen(f"http://{self.address(service, worker)}/{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except OSError as fault:  # an HTTPError with a status, or nobody there
            return getattr(fault, "code", 0), fault.read().decode() if hasattr(fault, "read") else str(fault)

    @staticmethod
    def _is_ready(port: int) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/ready", timeout=2):
                return True
        except OSError:
            return False

    # --- what goes in ------------------------------------------------------------------------

    def apply(self, model: Mapping[str, Any]) -> int:
        """Apply a model as `territory apply` does; return its revision."""
        applied = asyncio.run(apply(self.settings, check_model(json.dumps(model))))
        return applied.revision

    def publish(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Publish changes of records in their order."""
        self.send(
            Message(RECORDS.name, key, change, self.partitioner(key, self.settings.kafka_partitions))
            for change in changes
            for key in [f"{change['org_id']}/{change['object']}/{change['id']}"]
        )

    def send(self, messages: Iterable[Message]) -> None:
        """Send messages as they are."""
        asyncio.run(self._send(list(messages)))

    async def _send(self, messages: list[Message]) -> None:
        async with started(clients.producer(self.settings)) as producer:
            await BatchProducer(producer, self.settings.kafka_partitions).send(messages)

    def publish_raw(self, key: str, value: bytes | None) -> None:
        """Publish bytes that may be anything, or none."""
        asyncio.run(self._send_raw(key, value))

    async def _send_raw(self, key: str, value: bytes | None) -> None:
        async with started(clients.producer(self.settings)) as producer:
            partition = self.partitioner(key, self.settings.kafka_partitions)
            await producer.send_and_wait(RECORDS.name, value, key=key.encode(), partition=partition)

    def wait(self, seconds: float = QUIET_SECONDS) -> None:
        """Wait until all that went in has come through. Fails with what is behind, and with what the workers say."""
        waited = asyncio.run(progress.wait(self.settings, seconds, lambda *_: None))
        assert waited.done, self._state(waited)

    def _state(self, waited: progress.Waited) -> str:
        """Return what is behind after a wait, and of every worker its page and the end of its log."""
        lines = [f"not through after {waited.seconds:g} s", *map(str, waited.behind)]
        lines += [f"{stage}: its group has no members" for stage in waited.absent]
        for name in self._ports:
            service, worker = name.rsplit("-", 1)
            runs = "runs" if self.is_running(service, int(worker)) else "does not run"
            status, page = self.page(service, "ready", int(worker))
            lines += [f"--- {name} {runs}; /ready: {status} {page.strip()}; the end of its log:"]
            lines += self.log_of(service, int(worker)).splitlines()[-LOG_LINES:]
        return "\n".join(lines)

    # --- what comes out ----------------------------------------------------------------------

    def found(self, org_id: str) -> Found:
        """Return the end state of an organisation."""
        return self.found_of([org_id])[org_id]

    def found_of(self, org_ids: Iterable[str]) -> dict[str, Found]:
        """Return the end states of organisations, each topic read once."""
        found = {org_id: Found() for org_id in org_ids}
        asyncio.run(self._read_topics(found))
        with redis.Redis.from_url(self.settings.redis_url.get_secret_value(), decode_responses=True) as client:
            for org_id, one in found.items():
                _read_redis(client, org_id, one)
        return found

    async def _read_topics(self, found: Mapping[str, Found]) -> None:
        async with started(clients.reader(self.settings)) as consumer:
            for topic in (ASSIGNMENTS, ATTAINMENTS, ACCESS_CHANGES, DEAD_LETTERS):
                places = list(partitions_of(topic, self.settings.kafka_partitions))
                consumer.assign(places)
                ends = await consumer.end_offsets(places)
                await consumer.seek_to_beginning(*places)
                for place in places:
                    while await consumer.position(place) < ends[place]:
                        for message in (await consumer.getmany(place, timeout_ms=200)).get(place, ()):
                            org_id = (message.key or b"").decode(errors="replace").split("/", 1)[0]
                            if org_id in found:
                                _take(topic.name, message, found[org_id])


def _take(topic: str, message: Any, found: Found) -> None:
    key = message.key.decode()
    if topic == DEAD_LETTERS.name:
        code = dict(message.headers).get(f"{PREFIX}code")
        if code is not None:  # else it is the receipt of one that was sent again
            found.dead_letters[code.decode()] += 1
    elif topic == ACCESS_CHANGES.name:
        found.follower.take(message.partition, message.value)
    elif topic == ASSIGNMENTS.name:
        if message.value is None:
            found.assignments.pop(key, None)
        else:
            found.assignments[key] = read_assignment(message.value)
    else:
        _, territory, period, *user = key.split("/", 3)
        place = (territory, period, user[0] if user else None)
        if message.value is None:
            found.attainments_said.pop(place, None)
        else:
            found.attainments_said[place] = decode(message.value)


def _read_redis(client: Any, org_id: str, found: Found) -> None:
    for kind, sets in (("visible", found.visible), ("editable", found.editable)):
        for key in client.scan_iter(match=f"{kind}:{{{org_id}:*"):
            _, _, user, object_type = parse_set_key(key)
            sets[user, object_type] = set(client.smembers(key))
    found.admins = set(client.smembers(f"admins:{{{org_id}}}"))
    for key in client.scan_iter(match=f"attainment:{{{org_id}}}:*"):
        _, _, territory, period, *user = key.split(":", 4)
        values = client.hgetall(key)
        found.attainments[territory, period, user[0] if user else None] = {
            name: text or None for name, text in values.items()
        }
    for deal, said in client.hgetall(f"left_out:{{{org_id}}}").items():
        found.left_out[deal] = json.loads(said)["reason"]
    for key in client.scan_iter(match=f"record:{{{org_id}:*"):
        found.records[key] = client.hgetall(key)


class Difference(NamedTuple):
    """One thing that is not as the oracle has it."""

    where: str
    """Of what kind it is: `assignments`, `visible` and so on."""
    key: Any
    found: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.where} {self.key}: found {self.found}, the oracle says {self.wanted}"


def compare(found: Found, org_id: str, expected: Any) -> list[str]:
    """Return how an end state differs from the oracle's; nothing when they agree. At most 20 lines."""
    return [str(difference) for difference in differences(found, org_id, expected)[:20]]


def differences(found: Found, org_id: str, expected: Any) -> list[Difference]:
    """Return all that is not as the oracle has it."""
    lines: list[Difference] = []
    wanted = {key: value for key, value in expected.assignments.items() if key.startswith(f"{org_id}/")}
    _differ(lines, "assignments", {key: _plain(one) for key, one in found.assignments.items()}, wanted)
    for name in ("visible", "editable"):
        sets = {key[1:]: ids for key, ids in getattr(expected, name).items() if key[0] == org_id}
        _differ(lines, name, getattr(found, name), sets)
        followed = found.follower.sets(editable=name == "editable")
        _differ(lines, f"{FOLLOWED}{name}", {key[1:]: ids for key, ids in followed.items()}, sets)
    _differ(lines, "admins", {"": found.admins}, {"": set(expected.admins.get(org_id, ()))})
    sums = {key[1:]: row for key, row in expected.attainments.items() if key[0] == org_id}
    _differ(lines, "attainments", {key: _numbers(row, sums.get(key)) for key, row in found.attainments.items()}, sums)
    said = {key: _numbers(row, sums.get(key)) for key, row in found.attainments_said.items()}
    _differ(lines, "attainments on the topic", said, sums)
    out = {deal: why for (org, deal), why in expected.left_out.items() if org == org_id}
    _differ(lines, "left out", found.left_out, out)
    hashes = {key: _stands(one) for key, one in found.assignments.items()}
    _differ(
        lines, "record hashes", {_record_key(key, org_id): _hash(one) for key, one in found.records.items()}, hashes
    )
    return lines


def _differ(lines: list[Difference], name: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
    lines += (
        Difference(name, key, found.get(key), wanted.get(key))
        for key in sorted(found.keys() | wanted.keys(), key=str)
        if found.get(key) != wanted.get(key)
    )


def _plain(assignment: Assignment) -> dict[str, Any]:
    return {
        "version": assignment.version,
        "owner_id": assignment.owner_id,
        "territories": list(assignment.territories),
        "causes": {link.territory_id: sorted(link.causes) for link in assignment.links},
        "cut": list(assignment.cut),
        "runners_up": list(assignment.runners_up),
        "dropped": sorted(assignment.dropped),
    }


def _numbers(row: Mapping[str, Any], like: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a row's figures with the types of the oracle's row."""
    figures: dict[str, Any] = {}
    for name in like if like is not None else row:
        value = row.get(name)
        if value is not None and name == "deals_won":
            value = int(value)
        elif name == "star_performer":
            value = value in (True, "1")
        elif value is not None and name not in ("attainment_pct", "coverage"):
            value = Decimal(value) if like is not None else value
        figures[name] = value
    return figures


def _record_key(redis_key: str, org_id: str) -> str:
    return redis_key.removeprefix("record:{").removesuffix("}").replace(":", "/", 2) if org_id else redis_key


def _hash(values: Mapping[str, str]) -> tuple[int, str, tuple[str, ...]]:
    return int(values["version"]), values["owner_id"], tuple(json.loads(values["territories"]))


def _stands(assignment: Assignment) -> tuple[int, str, tuple[str, ...]]:
    return assignment.version, assignment.owner_id or "", assignment.territories
