from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from territory_admin.errors import StackFailed
from territory_control.local import registry
from territory_control.local.child_process import until
from territory_control.local.registry import (
    RunningStack,
    StackRegistry,
    locked_folder,
    registry_folder,
    running_stacks,
)

STACK = RunningStack(7, "127.0.0.1:9092", "redis://127.0.0.1:6379/0", {"assigner": "http://127.0.0.1:9464"}, "/data")

HOLD = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from territory_control.local.registry import RunningStack, StackRegistry, locked_folder
with ExitStack() as cleanup:
    cleanup.enter_context(locked_folder(Path(sys.argv[1])))
    StackRegistry(Path(sys.argv[1])).enter(RunningStack(8, "b:1", "redis://b:2", {}, ""), cleanup)
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_stack_is_found_while_it_runs(tmp_path: Path) -> None:
    """Others see a stack with its addresses until it ends."""
    stacks = StackRegistry(tmp_path)
    with ExitStack() as cleanup:
        stacks.enter(STACK, cleanup)
        assert stacks.running() == [STACK]
        assert STACK.ports == {9092, 6379, 9464}
    assert stacks.running() == []
    assert list(tmp_path.glob("*.json")) == []


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    """After kill -9 the stack is forgotten, and its data directory can be used."""
    process = subprocess.Popen((sys.executable, "-c", HOLD, str(tmp_path)), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert [stack.pid for stack in StackRegistry(tmp_path).running()] == [8]
        with pytest.raises(StackFailed, match=f"in use by process {process.pid}"), locked_folder(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert until(lambda: StackRegistry(tmp_path).running() == [], 10)
    assert list(tmp_path.glob("*.json")) == []
    with locked_folder(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_an_entry_of_another_version_is_passed_over(tmp_path: Path) -> None:
    """An entry that can't be read hides no other one."""
    stacks = StackRegistry(tmp_path)
    with ExitStack() as cleanup:
        stacks.enter(STACK, cleanup)
        strange = cleanup.enter_context((tmp_path / "0-strange.json").open("xb"))
        import fcntl  # noqa: PLC0415 -- only here

        fcntl.flock(strange, fcntl.LOCK_EX)
        assert stacks.running() == [STACK]


def test_without_a_folder_there_are_no_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`territory top` works where nothing can be written, such as in a container: it finds no local stack there."""

    def refuse() -> Path:
        raise StackFailed("read-only")

    monkeypatch.setattr(registry, "registry_folder", refuse)
    assert running_stacks() == []


def test_the_folder_of_the_registry_is_private() -> None:
    """Nobody else may write to it."""
    folder = registry_folder()
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o022) == (os.getuid(), 0)
