"""A short form of chaos, for every test run; `make chaos` runs the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import find_kafka_of_jars, find_redis_that_keeps, needed

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

SEED = 5
SECONDS = 21
TIMEOUT_SECONDS = 600.0
"""On a busy machine; a third of it is plenty when idle."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _servers() -> None:
    needed("kafka", find_kafka_of_jars())
    needed("redis", find_redis_that_keeps())


def chaos(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run chaos in a process of its own, so that its threads and clients do not touch this one."""
    return subprocess.run(
        (sys.executable, "-m", "tests.chaos", "--folder", str(folder), *arguments),
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip


def test_faults_end_in_the_right_answer(tmp_path: Path) -> None:
    """Workers, broker and Redis fail while records flow: in the end every key equals what the log implies (A9)."""
    done = chaos(tmp_path, "--seed", str(SEED), "--seconds", str(SECONDS))
    assert done.returncode == 0, done.stdout + done.stderr
