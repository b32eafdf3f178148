"""Child processes are awaited, quoted when they fail, and stopped with their descendants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from territory_admin.errors import StackFailed
from territory_control.local.child_process import ChildProcess

SECONDS = 20.0


class Shell(ChildProcess):
    """A child that runs a line of shell and is ready when it has written to the file `ready`."""

    def __init__(self, folder: Path, line: str) -> None:
        super().__init__("the child", ("/bin/sh", "-c", line, "child", str(folder / "ready")), folder / "log")
        self._ready_file = folder / "ready"

    def ready_text(self) -> str:
        return self._ready_file.read_text() if self._ready_file.exists() else ""

    def start_and_wait(self) -> None:
        self.start(lambda: self.ready_text() != "", SECONDS)


@pytest.fixture
def children() -> Iterator[list[Shell]]:
    """Give a list whose members are killed after the test."""
    started: list[Shell] = []
    yield started
    for child in started:
        child.kill()


def test_start_returns_when_the_child_is_ready(tmp_path: Path, children: list[Shell]) -> None:
    """`ready` decides when a start returns; a second start does nothing; a stop may be repeated."""
    children.append(child := Shell(tmp_path, 'echo "$$" >"$1"; exec sleep 60'))
    child.start_and_wait()
    assert child.running
    assert child.pid == int(child.ready_text())
    child.start(lambda: False, 0)
    assert child.pid == int(child.ready_text())
    child.stop()
    child.stop()
    assert child.pid is None


def test_a_child_that_ends_at_once_is_quoted(tmp_path: Path, children: list[Shell]) -> None:
    """The error has the exit code and the output of this start, not of the one before."""
    children.append(child := Shell(tmp_path, 'test -e "$1" && echo second || echo first; : >"$1"; exit 3'))
    with pytest.raises(StackFailed, match=r"exit code 3\):\nfirst$"):
        child.start_and_wait()
    with pytest.raises(StackFailed, match=r"exit code 3\):\nsecond$"):
        child.start_and_wait()


def test_a_child_that_is_never_ready_is_ended(tmp_path: Path, children: list[Shell]) -> None:
    """After the deadline the error quotes the child, and it runs no more."""
    children.append(child := Shell(tmp_path, "echo thinking; exec sleep 60"))
    with pytest.raises(StackFailed, match=r"not ready within 0\.5 s"):
        child.start(lambda: False, 0.5)
    assert not child.running


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the missing file."""
    child = ChildProcess("the child", ("/no/such/command",), tmp_path / "log")
    with pytest.raises(StackFailed, match="/no/such/command: No such file"):
        child.start(lambda: True, SECONDS)


def test_a_child_that_will_not_stop_is_killed(tmp_path: Path, children: list[Shell]) -> None:
    """A child that ignores SIGTERM is killed after the deadline."""
    children.append(child := Shell(tmp_path, "trap '' TERM; : ready; echo ready >\"$1\"; while :; do sleep 1; done"))
    child.start_and_wait()
    began = time.monotonic()
    child.stop(seconds=0.3)
    assert not child.running
    assert time.monotonic() - began < SECONDS
