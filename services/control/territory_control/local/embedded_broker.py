"""The embedded broker and Redis: noida-db, one small binary that speaks both, as a child process.

For a laptop. Everything is in memory and written to the data directory within a second; a clean
stop writes all. Members of consumer groups are forgotten when it starts, their offsets are not.
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
    """Raised when the package of the embedded broker is not installed."""


class EmbeddedServer:
    """A broker and a Redis on this machine alone; ports that are not given are chosen free ones and kept.

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
        """Where Kafka's clients connect to."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def redis_url(self) -> str:
        """Where Redis' clients connect to."""
        return f"redis://{HOST}:{self.redis_port}/0"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.running

    @property
    def log(self) -> Path:
        """The file with what it printed."""
        return self._process.log

    def start(self) -> None:
        """Start it on what its data directory holds and return when both answer; repeatable.

        Raises: StackFailed, when a port is taken, the data directory is in use, or it does not answer.
        """
        if not self.running:
            self._refuse_taken_ports()
        self._process.start(self._answers, START_SECONDS)

    def stop(self) -> None:
        """End it in order: everything is on disk afterwards. Repeatable."""
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would: what came in the last second is lost. Repeatable."""
        self._process.kill()

    def _answers(self) -> bool:
        return kafka_answers(HOST, self.kafka_port) and redis_answers(HOST, self.redis_port)

    def _refuse_taken_ports(self) -> None:
        """Say so before a stranger's answer is taken for ours."""
        for what, port in (("Kafka", self.kafka_port), ("Redis", self.redis_port)):
            if _listens(HOST, port):
                raise StackFailed(
                    f"port {port} for {what} is taken: another server listens there; "
                    f"stop it, or choose another port with --{what.lower()}-port"
                )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on, each different.

    They are held together while they are chosen, else the same could come twice.
    """
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def kafka_answers(host: str, port: int) -> bool:
    """Whether something there speaks Kafka's protocol; an open port alone may be a broker still starting."""
    return _answer(host, port, API_VERSIONS)[4:8] == API_VERSIONS[8:12]


def redis_answers(host: str, port: int) -> bool:
    """Whether something there speaks Redis' protocol and is done with loading."""
    return _answer(host, port, b"PING\r\n").startswith(b"+PONG")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _answer(host: str, port: int, question: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(question)
            return connection.recv(64)
    except OSError:
        return b""


def _binary() -> Path:
    """Return the binary itself: the script around it does not pass signals on."""
    found = importlib.util.find_spec("noida_db")
    folder = Path(found.origin).parent if found is not None and found.origin is not None else None
    name = "noida-db.exe" if os.name == "nt" else "noida-db"
    if folder is None or not (folder / name).is_file():
        raise EmbeddedMissing(
            "the embedded broker (package noida-db) is not installed: install territory with its extra `embedded`, "
            "or let TERRITORY_KAFKA_BOOTSTRAP_SERVERS and TERRITORY_REDIS_URL name servers of your own"
        )
    binary = folder / name
    if not os.access(binary, os.X_OK):  # wheels unpacked by some installers lose the bit
        binary.chmod(0o755)
    return binary
