"""Tests report their own failures, and leave nothing behind: `tests/conftest.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

FINALIZERS = """
import ast
import gc

class Garbage:
    def __init__(self):
        self.me = self  # only the garbage collector finds it

    def __del__(self):
        parse_deep_down(60)
        if not has_failed:
            Garbage()  # for the next collection

has_failed = False

def parse_deep_down(depth):
    if depth:
        parse_deep_down(depth - 1)
    else:
        ast.parse("f(1)")  # as formatting a traceback does

def test_that_fails():
    gc.set_threshold(50)
    Garbage()
    assert 1 == "the bottom"

def test_after_it():
    global has_failed
    has_failed = True
    gc.set_threshold(700)
""" + "\n".join(f"VALUE_{number} = (1, 2, 3)" for number in range(500))

RECURSION = """
def fall(depth):
    return fall(depth + 1) + 1

def test_that_fails():
    fall(0)

def test_after_it():
    pass
"""

HOUSE = """
import atexit
from tests.support.memory import MemoryHouse

def test_of_a_house():
    house = MemoryHouse(1)
    tasks = [task for worker in house._workers.values() for task in worker.process.tasks]
    atexit.register(lambda: print(sum(not task.done() for task in tasks), "of", len(tasks), "tasks are left"))
"""


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a test file under the repository's conftest."""
    test = folder / "test_it.py"
    test.write_text(text, encoding="utf-8")
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    options = ["--rootdir", str(folder), "-c", "/dev/null", str(test)]
    return subprocess.run([*command, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_failure_is_reported_while_garbage_is_finalized(tmp_path: Path) -> None:
    """A finalizer that parses source does not end the run: the failure is reported, and the next test runs."""
    done = run(FINALIZERS, tmp_path)
    assert "INTERNALERROR" not in done.stdout, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "'the bottom'" in done.stdout


def test_deep_recursion_is_reported(tmp_path: Path) -> None:
    """A test that recurses for ever reports itself, and the next test runs."""
    done = run(RECURSION, tmp_path)
    assert "1 failed, 1 passed" in done.stdout
    assert "RecursionError" in done.stdout


def test_houses_in_memory_are_closed_at_the_end(tmp_path: Path) -> None:
    """No worker of a house is left to be destroyed at exit."""
    done = run(HOUSE, tmp_path)
    assert "1 passed" in done.stdout, done.stdout
    assert "0 of 5 tasks are left" in done.stdout
    assert "destroyed" not in done.stderr
