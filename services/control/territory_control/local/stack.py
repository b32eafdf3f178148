"""The services on this machine, each a child process, with the embedded broker and Redis or with given servers."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from territory_admin.errors import StackFailed
from territory_control.local.child_process import ChildProcess
from territory_control.local.embedded_broker import EmbeddedServer, free_ports
from territory_control.local.ports import choose_ports
from territory_control.local.registry import RunningStack, StackRegistry, locked_folder, registry_folder
from territory_runtime.settings import PREFIX, Settings

SERVICES = {"assigner": "assigner", "access-indexer": "access_indexer", "forecast-aggregator": "forecast_aggregator"}
"""The module that runs each service."""

OWN_SERVER_SETTINGS = (
    "kafka_security_protocol",
    "kafka_sasl_mechanism",
    "kafka_sasl_username",
    "kafka_sasl_password",
    "kafka_ssl_cafile",
    "kafka_replication_factor",
    "redis_cluster",
)
"""Settings for servers of one's own; the embedded servers support none of them."""

FETCH_PAUSE_SECONDS = 0.02
"""The embedded broker answers an empty fetch at once; without a pause idle services would poll it all the time."""

READY_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 20.0
WATCH_SECONDS = 0.2
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers and services listen."""

    kafka: str
    redis: str
    metrics: dict[str, str]
    """By service, the base address of /metrics, /live and /ready."""
    data_dir: str


class Stack:
    """The three services as child processes, with their logs in the data directory."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        environment: Mapping[str, str],
        ports: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare the services; `ports` has each one's for its metrics page, free ones by default."""
        ports = ports or dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.addresses = Addresses(
            kafka=settings.kafka_bootstrap_servers,
            redis=_without_password(settings.redis_url.get_secret_value()),
            metrics={name: f"http://{settings.metrics_host}:{port}" for name, port in ports.items()},
            data_dir=str(data_dir),
        )
        self._aborted = False
        self._processes: list[tuple[ChildProcess, Callable[[], bool]]] = []
        for name, module in SERVICES.items():
            own = {f"{PREFIX}METRICS_PORT": str(ports[name]), f"{PREFIX}DATA_DIR": str(data_dir / "faust")}
            command = (sys.executable, "-m", module)
            process = ChildProcess(name, command, data_dir / f"{name}.log", {**environment, **own})
            self._processes.append((process, partial(self._is_ready, settings.metrics_host, ports[name])))

    def start(self) -> None:
        """Start all services at the same time, and return when all are ready. Raises: StackFailed."""
        with ThreadPoolExecutor(len(self._processes)) as threads:
            starting = [
                threads.submit(process.start, is_ready, READY_SECONDS_MAX) for process, is_ready in self._processes
            ]
            try:
                for one in starting:
                    one.result()
            except BaseException:
                self._aborted = True  # services that are still starting give up, too
                raise

    def check(self) -> None:
        """Raises: StackFailed when a service has ended."""
        for process, _ in self._processes:
            if not process.running:
                raise StackFailed(f"{process.name} ended unexpectedly:\n{process.tail()}")

    def stop(self) -> None:
        """Stop all services at the same time, and kill those that take too long. Repeatable."""
        with ThreadPoolExecutor(len(self._processes)) as threads:
            for one in [threads.submit(process.stop, STOP_SECONDS_MAX) for process, _ in self._processes]:
                one.result()

    def _is_ready(self, host: str, port: int) -> bool:
        if self._aborted:
            raise StackFailed("stopped, because another service did not start")
        return answers_ready(host, port)


def answers_ready(host: str, port: int) -> bool:
    """Whether a service serves its metrics there and says that it is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _without_password(url: str) -> str:
    before, at, address = url.rpartition("@")
    return f"{before.split('://', 1)[0]}://{address}" if at else url


def names_own_servers(environment: Mapping[str, str]) -> bool:
    """Return True if the environment names a Kafka and a Redis to use instead of the embedded ones.

    Raises: StackFailed when it names only one of the two.
    """
    names = (f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS", f"{PREFIX}REDIS_URL")
    given = [name for name in names if environment.get(name)]
    if len(given) == 1:
        missing = next(name for name in names if name not in given)
        raise StackFailed(
            f"{given[0]} is set and {missing} is not: set both to run the services on servers of your own, "
            "or neither to run them on the embedded ones"
        )
    return bool(given)


@contextmanager
def running_stack(
    settings: Settings,
    *,
    embedded: bool,
    data_dir: Path | None = None,
    kafka_port: int | None = None,
    redis_port: int | None = None,
) -> Iterator[tuple[Stack, Settings]]:
    """Run the services while the block runs, and with `embedded` the broker and Redis, too.

    Yields the stack and the settings that reach it. SIGINT, SIGTERM and SIGHUP interrupt the block.
    Afterwards the services stop first and the servers last. A temporary data directory is removed.

    Raises: StackFailed, also when another stack of this machine has the ports, the data directory or the servers;
        then nothing was started. KeyboardInterrupt.
    """
    with _restored_handlers(), ExitStack() as cleanup, _interruptible():
        folder = data_dir
        if folder is None:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="territory-")))
        folder = folder.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise StackFailed(f"the data directory {folder} can't be created: {fault.strerror}") from fault
        cleanup.enter_context(locked_folder(folder))
        environment = dict(os.environ)
        registry, server = StackRegistry(registry_folder()), None
        with registry.exclusive():
            others = registry.running()
            wanted: dict[str, int | None] = dict.fromkeys(SERVICES)
            if embedded:
                wanted = {"kafka": kafka_port, "redis": redis_port, **wanted}
            else:
                refuse_servers_in_use(settings, others)
            taken = frozenset(port for other in others for port in other.ports)
            refuse_ports_in_use(wanted, others)
            ports = choose_ports(wanted, folder / "ports.json", taken)
            if embedded:
                server = EmbeddedServer(folder / "server", ports.pop("kafka"), ports.pop("redis"))
                server.refuse_taken_ports()
                settings, environment = _reaching(server, settings, environment)
            stack = Stack(settings, folder, environment, ports)
            registry.enter(RunningStack(os.getpid(), **asdict(stack.addresses)), cleanup)
        if server is not None:
            cleanup.callback(server.stop)
            server.start()
        cleanup.callback(stack.stop)
        stack.start()
        yield stack, settings


def refuse_servers_in_use(settings: Settings, others: Iterable[RunningStack]) -> None:
    """Raises: StackFailed when a running stack uses a server that the settings name.

    The embedded broker can't give partitions to several workers of a service: both stacks would stand still.
    """
    kafka = frozenset(_hosts(settings.kafka_bootstrap_servers))
    redis_server = frozenset(_hosts(_without_password(settings.redis_url.get_secret_value())))
    for other in others:
        if kafka.intersection(_hosts(other.kafka)) or redis_server.intersection(_hosts(other.redis)):
            raise StackFailed(
                f"another territory up, process {other.pid}, runs on {other.kafka} and {other.redis} already, and a "
                f"second one would disturb it: use that one, or unset {PREFIX}KAFKA_BOOTSTRAP_SERVERS and "
                f"{PREFIX}REDIS_URL to start one on servers of its own"
            )


def refuse_ports_in_use(wanted: Mapping[str, int | None], others: Iterable[RunningStack]) -> None:
    """Raises: StackFailed when a running stack has a port that was asked for, also if it does not listen yet."""
    for other in others:
        for name, port in wanted.items():
            if port in other.ports:
                raise StackFailed(
                    f"port {port} for {name.capitalize()} is taken by another territory up, process {other.pid}; "
                    f"choose another port with --{name}-port, or leave the option out for a free one"
                )


def _hosts(addresses: str) -> Iterator[str]:
    """Yield HOST:PORT of each address of a list of Kafka's, or of a Redis URL."""
    for address in addresses.rpartition("://")[2].split(","):
        yield address.strip().split("/", 1)[0].replace("localhost:", "127.0.0.1:")


def watch(stack: Stack) -> None:
    """Check the stack until a signal arrives. Raises: StackFailed when a service ends by itself; KeyboardInterrupt."""
    while True:
        stack.check()
        time.sleep(WATCH_SECONDS)


def _reaching(
    server: EmbeddedServer, settings: Settings, environment: Mapping[str, str]
) -> tuple[Settings, dict[str, str]]:
    """Return the settings and the environment that reach the embedded servers."""
    defaults = {name: Settings.model_fields[name].default for name in OWN_SERVER_SETTINGS}
    reached = settings.model_copy(
        update={
            **defaults,
            "kafka_bootstrap_servers": server.bootstrap_servers,
            "redis_url": SecretStr(server.redis_url),
        }
    )
    dropped = {f"{PREFIX}{name.upper()}" for name in OWN_SERVER_SETTINGS}
    kept = {name: value for name, value in environment.items() if name.upper() not in dropped}
    kept[f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS"] = server.bootstrap_servers
    kept[f"{PREFIX}REDIS_URL"] = server.redis_url
    kept.setdefault(f"{PREFIX}KAFKA_FETCH_PAUSE_SECONDS", str(FETCH_PAUSE_SECONDS))
    return reached, kept


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _restored_handlers() -> Iterator[None]:
    """Restore the handlers of the ending signals after the block."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the ending signals into a KeyboardInterrupt in the block, and ignore them afterwards, during cleanup."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup a hangup stays ignored
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
