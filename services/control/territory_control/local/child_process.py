"""A server as a child process: awaited at the start, stopped cleanly, and never left behind."""

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
GUARD_GRACE_SECONDS = 10

# After kill -9 this process can't clean up. The guard reads from a pipe that closes when this process is gone;
# then it ends the child's process group, first with SIGTERM and after a grace period with SIGKILL.
GUARD = f"""
read -r _
kill -s TERM -- "-$1"
for _ in $(seq {GUARD_GRACE_SECONDS}); do kill -s 0 -- "-$1" || exit 0; sleep 1; done
kill -s KILL -- "-$1"
"""


class ChildProcess:
    """One child process in its own process group, so that Ctrl-C reaches this process alone, which stops it in order.

    Its output is appended to a log file, whose last lines are quoted when the child fails.
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
        """True from a start until it ends."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs or before it starts."""
        return self._child.poll() if self._child is not None else None

    def start(self, ready: Callable[[], bool], seconds: float) -> None:
        """Start it, and return when `ready` returns True. It does nothing when the process runs already.

        Raises: StackFailed with the end of the log when it ends or is not ready within `seconds`.
        """
        if self.running:
            return
        self._dismiss_guard()
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
        """Send SIGTERM, wait, and kill it when it has not ended within `seconds`. Repeatable."""
        if self._child is not None and self.running:
            _signal_group(self._child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to its process group, which looks like a crash from outside. Repeatable."""
        if self._child is not None and self.running:
            _signal_group(self._child.pid, signal.SIGKILL)
            self._child.wait()
        self._dismiss_guard()

    def tail(self) -> str:
        """Return the last lines of its output since the last start."""
        printed = self.log.read_bytes()[self._log_start :] if self.log.exists() else b""
        return "\n".join(printed.decode(errors="replace").splitlines()[-TAIL_LINES:]) or "(no output)"

    def _open(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- a fixed command, without a shell
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

    def _dismiss_guard(self) -> None:
        """End the guard before the system can give the child's process id to another process."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
        self._guard = None


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition; return whether it became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _guard_of(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 -- a fixed command and a number
        ("/bin/sh", "-c", GUARD, "guard", str(pid)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended already
        os.killpg(pid, number)
