"""What a benchmark runs on: a broker, a Redis and the services, each a process of its own, all ended at the end."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from territory.codec import encode
from territory.topics import Topic
from territory_control.child_process import ChildProcess
from territory_control.embedded import HOST, EmbeddedServer, free_ports
from territory_control.errors import StackFailed
from territory_control.models import apply, check_model
from territory_control.topic_reading import provisioned_partitions
from territory_runtime import kafka
from territory_runtime.settings import PREFIX, Settings
from tests.support.servers import find_kafka, find_redis

PARTITIONS = 4
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
ANSWER_SECONDS = 2.0
# Long enough for a worker that is stopped for a while (SIGSTOP) to be a member all the time.
SESSION_SECONDS = 300.0
EMBEDDED_FETCH_PAUSE_SECONDS = 0.02
REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that was started for a benchmark; it is ended with the stack at the latest."""

    name: str
    process: ChildProcess

    def stop(self) -> None:
        """End it in order."""
        self.process.stop(STOP_SECONDS_MAX)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the process from running while the block does; it stays a member of its groups."""
        pid = self.process.pid
        if pid is None:
            raise StackFailed(f"{self.name} is not running:\n{self.process.tail()}")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Stack:
    """Servers that are running, and the means to run workers on them."""

    def __init__(self, settings: Settings, folder: Path, broker: str, redis: str, cleaning: ExitStack) -> None:
        self.settings = settings
        self.folder = folder
        self.broker = broker
        """Which broker it is."""
        self.redis = redis
        """Which Redis it is."""
        self._cleaning = cleaning

    def provision(self, model: Mapping[str, object]) -> None:
        """Create the topics and make a model the active one."""
        asyncio.run(provisioned_partitions(self.settings))
        asyncio.run(apply(self.settings, check_model(encode(model).decode())))

    def create(self, topics: list[Topic]) -> None:
        """Create topics of a benchmark's own, like ours."""
        from kafka.admin import NewTopic  # noqa: PLC0415 -- named like our own module

        admin = kafka.topic_admin(self.settings)
        try:
            admin.create_topics([NewTopic(name=topic.name, num_partitions=PARTITIONS, replication_factor=1) for topic in topics])
        finally:
            admin.close()

    def start_service(self, module: str) -> Worker:
        """Start one worker of a service; return when it is ready."""
        [port] = free_ports(1)
        own = {f"{PREFIX}METRICS_PORT": str(port), f"{PREFIX}DATA_DIR": str(self.folder / module)}
        return self._start(module, (module,), partial(_is_ready, port), own)

    def start_module(self, module: str, *arguments: str) -> Worker:
        """Start a module that makes the file which is its last argument when it is ready."""
        ready = self.folder / f"{module}.ready"
        ready.unlink(missing_ok=True)
        return self._start(module, (module, *arguments, str(ready)), ready.exists, {})

    def _start(self, name: str, command: tuple[str, ...], ready: object, own: Mapping[str, str]) -> Worker:
        process = ChildProcess(
            name, (sys.executable, "-m", *command), self.folder / f"{name}.log", {**environment_of(self.settings), **own}
        )
        self._cleaning.callback(process.stop, STOP_SECONDS_MAX)
        process.start(ready, READY_SECONDS_MAX)  # type: ignore[arg-type]
        return Worker(name, process)
