"""Real servers for tests: started here, awaited by asking them, and ended whatever a test does.

A server from this machine is a child process of its own group (`ChildProcess`), so that a test that
fails, or a test run that is killed, leaves none behind. Nothing is fetched: `make kafka` does
that beforehand. Any of them can be stopped or killed and started again, and keeps its address.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

import pytest
import redis
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from territory_admin.errors import StackFailed
from territory_control.local.child_process import ChildProcess, until
from territory_control.local.embedded_broker import (
    HOST,
    EmbeddedMissing,
    EmbeddedServer,
    free_ports,
    kafka_answers,
    redis_answers,
)

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

DEPLOY_KAFKA = Path(__file__).parents[2] / "deploy" / "kafka"
JAVA_MIN = 17
START_SECONDS = 120.0  # of a busy machine; seconds when it is idle
STOP_SECONDS = 30.0
DOCKER_SECONDS = 10.0
KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"
KAFKA_IMAGE_PORT = 9093
REDIS_IMAGE = "redis:7.2-alpine"
REDIS_IMAGE_PORT = 6379
NODES = 3
"""Of a Redis Cluster."""
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"

ONE_NODE: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "group.coordinator.append.linger.ms": "0",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
"""What a broker without fellows needs; and what makes groups and commits quick, and a start after a kill: the
controller refuses a broker until the session of the one that was killed is over."""

JAVA_OPTIONS = ("-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Half the processor time of Java's own choice until it serves: tests start many and use each for seconds."""


class Server(Protocol):
    """What a test may do to a server."""

    def start(self) -> None:
        """Start it and return when it serves clients."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it as a crash would."""

    def close(self) -> None:
        """End it for good: nothing of it runs afterwards."""


class Kafka(Server, Protocol):
    """An Apache Kafka; it keeps what it acknowledged, killed or not."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect to."""


class Redis(Server, Protocol):
    """A Redis."""

    @property
    def url(self) -> str:
        """Where clients connect to."""


ServerT = TypeVar("ServerT", bound=Server)
ServerT_co = TypeVar("ServerT_co", bound=Server, covariant=True)


@dataclass(frozen=True, slots=True)
class Found(Generic[ServerT_co]):
    """How a server can be had: `says` is for the test report, and the reason to skip when `make` is None."""

    says: str
    make: Callable[[Path], ServerT_co] | None


@contextmanager
def serving(part: str, found: Found[ServerT], folder: Path) -> Iterator[ServerT]:
    """Give a started server that ends with the test; do without the test where there is none to be had."""
    with closing(needed(part, found)(folder)) as server:
        server.start()
        yield server


def needed(part: str, found: Found[ServerT]) -> Callable[[Path], ServerT]:
    """Return what makes a server; do without the test where there is none to be had."""
    if found.make is None:
        do_without(part, found.says)
    return found.make


def program(part: str, name: str) -> str:
    """Return where a program of this machine is; do without the test where it is not on the path."""
    path = shutil.which(name)
    if path is None:
        do_without(part, f"no {name} on the path")
    return path


def embedded_server(folder: Path) -> EmbeddedServer:
    """Return an embedded broker, not started; do without the test where it is not installed."""
    try:
        return EmbeddedServer(folder)
    except EmbeddedMissing as missing:
        do_without("embedded", str(missing))


def do_without(part: str, why: str) -> NoReturn:
    """Skip the test for want of something; fail it where TESTS_REQUIRE names the part that it belongs to.

    Parts are `kafka`, `redis`, `embedded`, `prometheus` and `disk` (a small file system), with commas between them.
    """
    if part in os.environ.get("TESTS_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here: {why}")
    pytest.skip(why)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Give a folder on a file system of its own that has so much room; do without the test where none may be mounted.

    It is unmounted in the end, with all that is on it; first end what writes there.
    """
    mount, unmount = program("disk", "mount"), program("disk", "umount")
    folder.mkdir(parents=True)
    options = ("-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder))
    done = subprocess.run((mount, *options), capture_output=True, text=True, check=False)
    if done.returncode:
        do_without("disk", f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: if something still has a file there, it is gone from here all the same.
        subprocess.run((unmount, "--lazy", str(folder)), check=True)


def find_kafka() -> Found[Kafka]:
    """Return how Apache Kafka can be had here: from the jars of `make kafka`, else in a container."""
    jars = kafka_jars()
    lacking = _lacking(jars)
    if lacking is None:
        return Found(f"Apache Kafka {kafka_version()} from {jars}", lambda folder: KafkaServer(folder, jars))
    no_docker = _no_docker()
    if no_docker is None:
        return Found(f"Apache Kafka in a container, {KAFKA_IMAGE} ({lacking})", lambda _: KafkaInContainer())
    return Found(f"no Apache Kafka: {lacking}; {no_docker}", None)


def find_redis() -> Found[Redis]:
    """Return how a Redis can be had here: redis-server, else in a container, else the embedded one."""
    binary = shutil.which("redis-server")
    if binary is not None:
        return Found(f"Redis from {binary}", lambda folder: RedisServer(folder, binary))
    no_docker = _no_docker()
    if no_docker is None:
        return Found(f"Redis in a container, {REDIS_IMAGE}", lambda _: RedisInContainer())
    lacking = f"no redis-server on the path; {no_docker}"
    try:
        EmbeddedServer(Path())
    except EmbeddedMissing as missing:
        return Found(f"no Redis: {lacking}; {missing}", None)
    return Found(f"Redis of the embedded broker ({lacking})", EmbeddedRedis)


def find_embedded_redis() -> Found[EmbeddedRedis]:
    """Return how the Redis of the embedded broker can be had here."""
    try:
        EmbeddedServer(Path())
    except EmbeddedMissing as missing:
        return Found(f"no embedded Redis: {missing}", None)
    return Found("Redis of the embedded broker", EmbeddedRedis)


def find_kafka_of_jars() -> Found[KafkaServer]:
    """Return how Apache Kafka can be had here as a process of this machine, which can be held and killed."""
    jars = kafka_jars()
    lacking = _lacking(jars)
    if lacking is not None:
        return Found(f"no Apache Kafka: {lacking}", None)
    return Found(f"Apache Kafka {kafka_version()} from {jars}", lambda folder: KafkaServer(folder, jars))


def find_redis_that_keeps() -> Found[RedisServer]:
    """Return how a Redis can be had here that keeps its data when it is killed, and that can be held."""
    binary = shutil.which("redis-server")
    if binary is None:
        return Found("no Redis: no redis-server on the path", None)
    return Found(f"Redis from {binary}", lambda folder: RedisServer(folder, binary, keeps=True))


def find_redis_cluster() -> Found[RedisCluster]:
    """Return how a Redis Cluster can be had here: of nodes of this machine."""
    binary = shutil.which("redis-server")
    if binary is None:
        return Found("no Redis Cluster: no redis-server on the path", None)
    return Found(f"Redis Cluster of {NODES} nodes from {binary}", lambda folder: RedisCluster(folder, binary))


def kafka_version() -> str:
    """Return the version that deploy/kafka/pom.xml names."""
    named = re.search(r"<kafka\.version>(.+?)</kafka\.version>", (DEPLOY_KAFKA / "pom.xml").read_text())
    if named is None:
        raise LookupError(f"{DEPLOY_KAFKA / 'pom.xml'} names no kafka.version")
    return named[1]


def kafka_jars() -> Path:
    """Return the folder where deploy/kafka/fetch.sh puts Kafka's jars."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("KAFKA_JARS") or cache / "territory" / f"kafka-{kafka_version()}")


class OfThisMachine:
    """A server that is a child process."""

    def __init__(self, process: ChildProcess, ready: Callable[[], bool]) -> None:
        self._process = process
        self._ready = ready

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.running

    def start(self) -> None:
        """Start it and return when it serves clients. Raises: StackFailed with the end of its log."""
        self._process.start(self._ready, START_SECONDS)

    def stop(self) -> None:
        """End it in order."""
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def pause(self) -> None:
        """Hold it (SIGSTOP): connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self._process.pid
        if pid is not None:
            os.killpg(pid, number)

    def close(self) -> None:
        """End it for good."""
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KafkaServer(OfThisMachine):
    """Apache Kafka from jars: one node, broker and controller in one, in a folder of its own.

    `properties` go into its configuration, over those of ONE_NODE; `listeners` beside its own.
    """

    def __init__(
        self, folder: Path, jars: Path, properties: Mapping[str, str] | None = None, listeners: Sequence[str] = ()
    ) -> None:
        self._listeners = listeners
        self._port, self._controller_port = free_ports(2)
        self._folder = folder
        self._configuration = folder / "server.properties"
        self._properties = {**ONE_NODE, **(properties or {})}
        log4j = f"-Dlog4j2.configurationFile={DEPLOY_KAFKA / 'log4j2.yaml'}"
        self._java = ("java", *JAVA_OPTIONS, log4j, "-cp", f"{jars}/*")
        command = (*self._java, "kafka.Kafka", str(self._configuration))
        process = ChildProcess("Apache Kafka", command, folder / "kafka.log")
        super().__init__(process, lambda: _has_brokers(HOST, self._port))

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect to."""
        return f"{HOST}:{self._port}"

    def start(self) -> None:
        """Start it on what its folder holds and return when it serves clients.

        Raises: StackFailed with the end of its log.
        """
        if not self._configuration.exists():
            self._format()
        super().start()

    def close(self) -> None:
        """End it for good, and at once: its folder is not read again."""
        self.kill()

    def _format(self) -> None:
        plain = _settings(self.bootstrap_servers, f"{HOST}:{self._controller_port}", self._listeners)
        settings = {**plain, "log.dirs": str(self._folder / "data"), **self._properties}
        data = Path(settings["log.dirs"])
        data.mkdir(parents=True, exist_ok=True)
        for name, content in _formatted(self._java).items():
            (data / name).write_bytes(content)
        _write_properties(self._configuration, settings)


def _settings(address: str, controller: str, listeners: Sequence[str] = ()) -> dict[str, str]:
    """Return what every broker needs, which has the only vote among controllers."""
    listening = ",".join((f"PLAINTEXT://{address}", f"CONTROLLER://{controller}", *listeners))
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listening,
        "advertised.listeners": listening,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }


def _write_properties(path: Path, properties: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))


@cache
def _formatted(java: Sequence[str]) -> dict[str, bytes]:
    """Return the files of a new log directory: its identity, and the features of this version of Kafka.

    They name no address, so every broker of this process starts with the same ones. Making them takes a second.
    """
    with TemporaryDirectory(prefix="kafka-") as folder:
        configuration, data = Path(folder, "server.properties"), Path(folder, "data")
        _write_properties(configuration, _settings(f"{HOST}:1", f"{HOST}:2") | {"log.dirs": str(data)})
        tool = (*java, "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(configuration))
        done = subprocess.run(tool, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"a log directory for Kafka cannot be formatted:\n{done.stdout}{done.stderr}")
        return {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}


class RedisServer(OfThisMachine):
    """A redis-server.

    It is without persistence, so what it held is gone when it ends; unless it `keeps`: then it has all that it
    acknowledged again when it starts, killed or not.
    """

    def __init__(
        self,
        folder: Path,
        binary: str = "redis-server",
        options: Sequence[str] = (),
        ready: Callable[[str, int], bool] = redis_answers,
        *,
        keeps: bool = False,
    ) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Without a fsync: what was written before the answer is the operating system's, who does not crash here.
        kept = ("--appendonly", "yes", "--appendfsync", "no") if keeps else ("--appendonly", "no")
        command = (
            *(binary, "--port", str(self._port), "--bind", HOST, "--dir", str(folder)),
            *("--save", "", *kept, "--daemonize", "no", *options),
        )
        process = ChildProcess("Redis", command, folder / "redis.log")
        super().__init__(process, lambda: ready(HOST, self._port))

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def forget(self) -> None:
        """Throw away what it kept, while it is not running: it starts empty."""
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://{HOST}:{self._port}/0"


class RedisCluster:
    """A Redis Cluster of three masters without replicas, each with a third of the slots, in one piece."""

    def __init__(self, folder: Path, binary: str = "redis-server") -> None:
        self._bus_ports = free_ports(NODES)
        self.nodes = [
            RedisServer(
                folder / f"node-{number}",
                binary,
                ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "5000"),
            )
            for number, bus in enumerate(self._bus_ports)
        ]

    @property
    def url(self) -> str:
        """Where clients connect to first."""
        return self.nodes[0].url

    @property
    def settings(self) -> Mapping[str, str]:
        """What tells a service how to reach it."""
        return {"TERRITORY_REDIS_URL": self.url, "TERRITORY_REDIS_CLUSTER": "true"}

    def start(self) -> None:
        """Start the nodes and return when all say that the cluster is whole. Raises: StackFailed."""
        with ExitStack() as clients:
            asked: list[Any] = []
            for number, node in enumerate(self.nodes):
                node.start()
                client: Any = clients.enter_context(closing(redis.Redis(HOST, node.port, decode_responses=True)))
                if client.cluster("INFO")["cluster_slots_assigned"] == "0":
                    first, end = 16384 * number // NODES, 16384 * (number + 1) // NODES
                    client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                    client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                asked.append(client)
            for node, bus in zip(self.nodes[1:], self._bus_ports[1:], strict=True):
                asked[0].execute_command("CLUSTER MEET", HOST, node.port, bus)
            if not until(lambda: all(map(_is_whole, asked)), START_SECONDS):
                raise StackFailed(f"the nodes formed no cluster within {START_SECONDS:g} s")

    def stop(self) -> None:
        """End all nodes in order."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """End all nodes as a crash would."""
        for node in self.nodes:
            node.kill()

    def close(self) -> None:
        """End it for good."""
        self.stop()


def _is_whole(client: Any) -> bool:
    said = client.cluster("INFO")
    return bool(said["cluster_state"] == "ok" and said["cluster_known_nodes"] == str(NODES))


class EmbeddedRedis:
    """The Redis of the embedded broker, for machines without another; unlike the others it keeps its data."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)
        self.start, self.stop, self.kill = self._server.start, self._server.stop, self._server.kill
        self.close = self._server.stop

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self._server.redis_url


class InContainer:
    """A server in a container, on a port of the host that it keeps when it starts again."""

    def __init__(self, container: DockerContainer, port_inside: int, ready: Callable[[str, int], bool]) -> None:
        (self._port,) = free_ports(1)
        self._container = container.with_bind_ports(port_inside, self._port)
        self._ready = ready
        self._created = False

    @property
    def _host(self) -> str:
        return self._container.get_container_host_ip()

    def start(self) -> None:
        """Start it on what it held and return when it serves clients."""
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._created = True
            self._container.start()
        if not until(lambda: self._ready(self._host, self._port), START_SECONDS):
            raise StackFailed(f"{self._container.image} in a container was not ready within {START_SECONDS:g} s")

    def stop(self) -> None:
        """End it in order."""
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        """End it for good: the container is removed."""
        self._container.stop()


class KafkaInContainer(InContainer):
    """Apache Kafka as Confluent packs it: version 7.9 is Kafka 3.9."""

    def __init__(self) -> None:
        from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 -- slow, and seldom needed

        container = KafkaContainer(KAFKA_IMAGE, port=KAFKA_IMAGE_PORT).with_kraft()
        for key, value in ONE_NODE.items():
            container.with_env(f"KAFKA_{key.upper().replace('.', '_')}", value)
        super().__init__(container, KAFKA_IMAGE_PORT, _has_brokers)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect to."""
        return f"{self._host}:{self._port}"


class RedisInContainer(InContainer):
    """A Redis from its official image."""

    def __init__(self) -> None:
        from testcontainers.community.redis import RedisContainer  # noqa: PLC0415 -- slow, and seldom needed

        super().__init__(RedisContainer(REDIS_IMAGE, port=REDIS_IMAGE_PORT), REDIS_IMAGE_PORT, redis_answers)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://{self._host}:{self._port}/0"


def _has_brokers(host: str, port: int) -> bool:
    """Whether it names a broker that is ready for clients; it answers some time before it does."""
    if not kafka_answers(host, port):
        return False
    with suppress(KafkaError), closing(KafkaAdminClient(bootstrap_servers=f"{host}:{port}")) as admin:
        cluster: dict[str, Any] = admin.describe_cluster()
        return bool(cluster["brokers"])
    return False


def _lacking(jars: Path) -> str | None:
    """Return what a broker from jars lacks here, None when nothing."""
    if not list(jars.glob("kafka_*.jar")):
        return f"no jars in {jars} (`make kafka` fetches them)"
    java = shutil.which("java")
    if java is None:
        return "no java on the path"
    said = subprocess.run((java, "-version"), capture_output=True, text=True, timeout=START_SECONDS, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        return f"Java {JAVA_MIN} or later is needed, {java} is {version[1] if version else 'unknown'}"
    return None


def _no_docker() -> str | None:
    """Return why no container can be had here, None when one can."""
    docker = shutil.which("docker")
    if docker is None:
        return "no docker on the path"
    question = (docker, "version", "--format", "{{.Server.Version}}")
    try:
        asked = subprocess.run(question, capture_output=True, text=True, timeout=DOCKER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "no Docker engine answers"
    return "no Docker engine answers" if asked.returncode else None
