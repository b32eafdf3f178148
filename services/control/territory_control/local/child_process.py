"""A server that we start ourselves: awaited, stopped in order, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from territory_admin.errors import StackFailed

POLL_SECONDS = 0.02
TAIL_LINES = 20
GUARD_PATIENCE_SECONDS = 10

# A closed terminal or a kill -9 leaves us no turn to clean up. The guard holds the other end of a pipe:
# when we are gone it closes, and the guard ends the child's whole process group, if need be by force.
GUARD = f"""
read -r _
kill -s TERM -- "-$1"
for _ in $(seq {GUARD_PATIENCE_SECONDS}); do kill -s 0 -- "-$1" || exit 0; sleep 1; done
kill -s KILL -- "-$1"
"""


class ChildProcess:
    """One child process, in a process group of its own so that Ctrl-C reaches it through us, in our order.

    What it prints goes to the end of a log file, which is quoted when the child fails.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def exit_code(self) -> int | None:
        """What it ended with, minus the signal where one ended it; None while it runs or was never started."""
        return self._child.poll() if self._child is not None else None

    def start(self, ready: Callable[[], bool], seconds: float) -> None:
        """Start it and return when `ready` says so; harmless when it runs already.

        Raises: StackFailed with the end of the log, when it ends or is not ready within `seconds`.
        """
        if self.running:
            return
        self._let_go()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                self._child = self._open(log)
        except OSError as fault:
            raise StackFailed(f"{self.name} can't be started: {fault.filename}: {fault.strerror}") from fault
        self._guard = _guard_of(self._child.pid)
        try:
            self._await(ready, seconds)
        except BaseException:
            self.kill()
            raise

    def stop(self, seconds: float = 30.0) -> None:
        """Ask it to end (SIGTERM) and wait; kill it when it has not ended within `seconds`. Repeatable."""
        if self._child is not None and self.running:
            _signal_group(self._child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it at once, with all that it started (SIGKILL): a crash, as seen from outside. Repeatable."""
        if self._child is not None and self.running:
            _signal_group(self._child.pid, signal.SIGKILL)
            self._child.wait()
        self._let_go()

    def tail(self) -> str:
        """Return the last lines that it printed since it was last started, to show why it failed."""
        printed = self.log.read_bytes()[self._log_start :] if self.log.exists() else b""
        return "\n".join(printed.decode(errors="replace").splitlines()[-TAIL_LINES:]) or "(it printed nothing)"

    def _open(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- our own command, without a shell
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
        )

    def _await(self, ready: Callable[[], bool], seconds: float) -> None:
        if not until(lambda: self._is_ready(ready), seconds):
            raise StackFailed(f"{self.name} was not ready within {seconds:g} s; see {self.log}:\n{self.tail()}")

    def _is_ready(self, ready: Callable[[], bool]) -> bool:
        if not self.running:
            code = self._child.returncode if self._child is not None else None
            raise StackFailed(f"{self.name} ended while it started (exit code {code}):\n{self.tail()}")
        return ready()

    def _let_go(self) -> None:
        """Dismiss the guard, before anything else can have the child's process id."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
        self._guard = None


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until something holds; return whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _guard_of(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 -- our own command, and a number
        ("/bin/sh", "-c", GUARD, "guard", str(pid)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended a moment ago
        os.killpg(pid, number)
