"""Runs the servers and services of a benchmark, each in a process of its own, and ends them all."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from kafka.admin import NewTopic
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from tests.support.servers import find_kafka, find_redis

from benchmarks.processors import cpu_seconds
from territory.wire.codec import encode
from territory.wire.topics import Topic
from territory_admin.errors import StackFailed
from territory_admin.log.kafka_session import provisioned_partitions
from territory_admin.models.apply import apply
from territory_admin.models.validate import check_model
from territory_control.local.child_process import ChildProcess
from territory_control.local.embedded_broker import HOST, EmbeddedServer, free_ports
from territory_control.local.stack import answers_ready
from territory_runtime.kafka import clients
from territory_runtime.settings import PREFIX, Settings

PARTITIONS = 4
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
# Long enough for a paused worker to stay a member of its group while messages are published.
SESSION_SECONDS = 300.0
EMBEDDED_FETCH_PAUSE_SECONDS = 0.02
EMBEDDED = "noida-db (embedded)"
REPOSITORY = Path(__file__).parents[1]


class Worker:
    """A process that a benchmark measures, or that helps it."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Return the process id. Raises: StackFailed when it has ended."""
        pid = self._process.pid
        if pid is None:
            raise StackFailed(f"{self._process.name} has ended:\n{self._process.tail()}")
        return pid

    @property
    def cpu_seconds(self) -> float:
        """Return its processor seconds since its start; 0 where the system does not report it."""
        return cpu_seconds(self.pid)

    def stop(self) -> None:
        """End it in order and free its resources for the next."""
        self._process.stop(STOP_SECONDS_MAX)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause it (SIGSTOP) while the block runs."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def go(self) -> None:
        """Send the signal to start what it has prepared."""
        os.kill(self.pid, signal.SIGUSR1)

    def await_end(self, seconds_max: float) -> None:
        """Wait until it has ended by itself. Raises: StackFailed when it does not."""
        deadline = time.monotonic() + seconds_max
        while self._process.running:
            if time.monotonic() > deadline:
                raise StackFailed(f"{self._process.name} did not end within {seconds_max:g} s:\n{self._process.tail()}")
            time.sleep(0.01)


class ServiceWorker(Worker):
    """A worker of a service, with its metrics."""

    def __init__(self, process: ChildProcess, port: int) -> None:
        super().__init__(process)
        self._port = port

    def told(self, sample: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels, read from its page."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=READY_SECONDS_MAX)
        try:
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        finally:
            connection.close()
        return sum(
            one.value
            for family in text_string_to_metric_families(page)
            for one in family.samples
            if one.name == sample and labels.items() <= one.labels.items()
        )


class Stack:
    """Running servers, and the means to run workers on them."""

    def __init__(self, settings: Settings, folder: Path, broker: str, redis: str, cleaning: ExitStack) -> None:
        self.settings = settings
        self.broker = broker
        """Name and version of the broker."""
        self.redis = redis
        """Name and version of Redis."""
        self.folder = folder
        self._cleaning = cleaning

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that uses these servers."""
        return _environment(self.settings)

    def provision(self, model: Mapping[str, object], own: Sequence[Topic]) -> None:
        """Create our topics and a benchmark's own, and activate a model."""
        asyncio.run(provisioned_partitions(self.settings))
        self.create(own)
        asyncio.run(apply(self.settings, check_model(encode(model).decode())))

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics of a benchmark's own."""
        admin = clients.topic_admin(self.settings)
        try:
            for topic in topics:
                admin.create_topics([NewTopic(name=topic.name, num_partitions=PARTITIONS, replication_factor=1)])
        finally:
            admin.close()

    def start_service(self, module: str, number: int = 1) -> ServiceWorker:
        """Start a worker of a service, by its number; return when it is ready."""
        [port] = free_ports(1)
        name = f"{module}-{number}"
        own = {f"{PREFIX}METRICS_PORT": str(port), f"{PREFIX}DATA_DIR": str(self.folder / name)}
        return ServiceWorker(self._start(name, (module,), partial(answers_ready, HOST, port), own), port)

    def start_module(self, module: str, *arguments: str) -> Worker:
        """Start a module of ours; when it is ready it creates the file that is its last argument."""
        ready = self.folder / f"{module}.ready"
        ready.unlink(missing_ok=True)
        return Worker(self._start(module, (module, *arguments, str(ready)), ready.exists, {}))

    def _start(
        self, name: str, command: Sequence[str], ready: Callable[[], bool], own: Mapping[str, str]
    ) -> ChildProcess:
        environment = {**_environment(self.settings), **own}
        process = ChildProcess(name, (sys.executable, "-m", *command), self.folder / f"{name}.log", environment)
        self._cleaning.callback(process.stop, STOP_SECONDS_MAX)
        process.start(ready, READY_SECONDS_MAX)
        return process


@contextmanager
def running_stack(
    *, embedded: bool = False, partitions: int = PARTITIONS, session_seconds: float = SESSION_SECONDS
) -> Iterator[Stack]:
    """Run a broker and a Redis during the block: Apache Kafka and redis-server where available.

    Args:
        embedded: Use the embedded broker, even where Apache Kafka is available.
        partitions: Of each of our partitioned topics.
        session_seconds: How long a silent worker stays a member of its groups.
    """
    with ExitStack() as cleaning:
        folder = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="territory-bench-")))
        found_kafka, found_redis = find_kafka(), find_redis()
        pause = 0.0
        if found_kafka.make is not None and not embedded:
            broker = found_kafka.make(folder / "kafka")
            cleaning.callback(broker.close)
            broker.start()
            servers, says = broker.bootstrap_servers, _without_path(found_kafka.says)
        else:
            embedded_server = EmbeddedServer(folder / "embedded")
            cleaning.callback(embedded_server.stop)
            embedded_server.start()
            servers, says, pause = embedded_server.bootstrap_servers, EMBEDDED, EMBEDDED_FETCH_PAUSE_SECONDS
        if found_redis.make is None:
            raise StackFailed(found_redis.says)
        redis = found_redis.make(folder / "redis")
        cleaning.callback(redis.close)
        redis.start()
        settings = Settings(
            kafka_bootstrap_servers=servers,
            redis_url=SecretStr(redis.url),
            kafka_partitions=partitions,
            kafka_session_timeout_seconds=session_seconds,
            kafka_fetch_pause_seconds=pause,
        )
        yield Stack(settings, folder, says, _without_path(found_redis.says), cleaning)


def _without_path(says: str) -> str:
    return says.partition(" from ")[0]


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child process: of our settings only these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {
        **others,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        f"{PREFIX}REDIS_URL": settings.redis_url.get_secret_value(),
        f"{PREFIX}KAFKA_PARTITIONS": str(settings.kafka_partitions),
        f"{PREFIX}KAFKA_SESSION_TIMEOUT_SECONDS": str(settings.kafka_session_timeout_seconds),
        f"{PREFIX}KAFKA_FETCH_PAUSE_SECONDS": str(settings.kafka_fetch_pause_seconds),
    }
