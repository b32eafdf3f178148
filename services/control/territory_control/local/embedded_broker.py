"""The embedded broker and Redis: noida-db, one small binary that speaks both protocols, as a child process.

It is meant for a laptop. Data is in memory and reaches the data directory within a second; a clean stop
writes everything. After a restart it knows the committed offsets, but no members of consumer groups.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from territory_admin.errors import StackFailed
from territory_control.local.child_process import ChildProcess

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 15.0
ANSWER_SECONDS = 1.0

# Kafka's ApiVersions request, version 0: length, key, version, correlation id, no client id.
API_VERSIONS = bytes.fromhex("0000000a0012000000000001ffff")


class EmbeddedMissing(StackFailed):
    """Raised when the package noida-db is not installed."""


class EmbeddedServer:
    """A broker and a Redis that listen on the loopback; a port that is not given is a free one, kept over restarts.

    Raises: EmbeddedMissing when noida-db is not installed.
    """

    def __init__(self, data_dir: Path, kafka_port: int | None = None, redis_port: int | None = None) -> None:
        chosen = free_ports(2)
        self.data_dir = data_dir
        self.kafka_port = kafka_port or chosen[0]
        self.redis_port = redis_port or chosen[1]
        command = [str(_binary()), "start", "--only", "redis,kafka", "--host", HOST]
        command += ["--kafka-port", str(self.kafka_port), "--redis-port", str(self.redis_port)]
        command += ["--data-dir", str(data_dir)]
        self._process = ChildProcess("the embedded broker", command, data_dir / "server.log")

    @property
    def bootstrap_servers(self) -> str:
        """The address for Kafka clients."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def redis_url(self) -> str:
        """The address for Redis clients."""
        return f"redis://{HOST}:{self.redis_port}/0"

    @property
    def running(self) -> bool:
        """True from a start until it ends."""
        return self._process.running

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self._process.log

    def start(self) -> None:
        """Start it with the data of its directory, and return when both protocols answer. Repeatable.

        Raises: StackFailed when a port is taken, the data directory is in use, or it does not answer.
        """
        if not self.running:
            self.refuse_taken_ports()
        self._process.start(self._answers, START_SECONDS)

    def stop(self) -> None:
        """Stop it cleanly, with all data on disk afterwards. Repeatable."""
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """Kill it as a crash would; the writes of the last second are lost. Repeatable."""
        self._process.kill()

    def _answers(self) -> bool:
        return kafka_answers(HOST, self.kafka_port) and redis_answers(HOST, self.redis_port)

    def refuse_taken_ports(self) -> None:
        """Refuse a port where another server listens, whose answers would look like ours. Raises: StackFailed."""
        for protocol, port in (("Kafka", self.kafka_port), ("Redis", self.redis_port)):
            if _listens(HOST, port):
                raise StackFailed(
                    f"port {port} for {protocol} is taken by another server; "
                    f"stop it, or choose another port with --{protocol.lower()}-port"
                )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback that nobody listens on.

    All sockets stay bound until the last port is chosen; otherwise the system could give one port twice.
    """
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def kafka_answers(host: str, port: int) -> bool:
    """Return True if a broker answers a Kafka request there; an open port alone may be a broker that still starts."""
    return _answer(host, port, API_VERSIONS)[4:8] == API_VERSIONS[8:12]


def redis_answers(host: str, port: int) -> bool:
    """Return True if a Redis answers there and has finished loading its data."""
    return _answer(host, port, b"PING\r\n").startswith(b"+PONG")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _answer(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""


def _binary() -> Path:
    """Return the path of the binary; the package's script around it would not pass signals on."""
    found = importlib.util.find_spec("noida_db")
    folder = Path(found.origin).parent if found is not None and found.origin is not None else None
    name = "noida-db.exe" if os.name == "nt" else "noida-db"
    if folder is None or not (folder / name).is_file():
        raise EmbeddedMissing(
            "the embedded broker (package noida-db) is not installed: install territory with its extra `embedded`, "
            "or let TERRITORY_KAFKA_BOOTSTRAP_SERVERS and TERRITORY_REDIS_URL name servers of your own"
        )
    binary = folder / name
    if not os.access(binary, os.X_OK):  # some installers drop the executable bit
        binary.chmod(0o755)
    return binary
