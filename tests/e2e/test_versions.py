"""A rolling upgrade and its rollback: workers of the previous version and of this one on the same topics (A9).

The previous version is the newest tag before this commit, or the commit that PREVIOUS_VERSION names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Container, Iterator
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest

from territory.wire.keys import upstream_partition_of
from tests.e2e.test_faults import MODEL, ORG, OTHER_MODEL, histories
from tests.support.house import SERVICES, House, command_of, compare
from tests.support.oracle import Expected, expected
from tests.support.servers import Kafka, Redis

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", *(f"services/{name}" for name in (
    "runtime", "client", "assigner", "access-indexer", "forecast-aggregator", "control"
)))  # fmt: skip
PREVIOUS = range(100, 200)
"""Numbers of workers that are of the previous version."""
CHANGES = 2_000
SESSION_TIMEOUT_SECONDS = 6


def git(*words: str) -> bytes | None:
    """Return what git says of this repository, None where it has nothing to say."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the code of the previous version."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD~")
    version = os.environ.get("PREVIOUS_VERSION") or (tag or b"").decode().strip()
    if not version:
        pytest.skip("no version has a tag yet; PREVIOUS_VERSION=<commit> names one to go on from")
    packed = git("archive", version, "--", "schemas", "services")
    assert packed is not None, f"git has no version {version}"
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def mixed(previous: Path, kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[House]:
    """Give a house whose workers from 100 on are of the previous version."""
    path = os.pathsep.join(str(previous / package) for package in PACKAGES)

    def command(service: str, worker: int) -> tuple[str, ...]:
        ours = command_of(service, worker)
        return ("env", f"PYTHONPATH={path}", *ours) if worker in PREVIOUS else ours

    house = House(
        kafka.bootstrap_servers, redis.url, tmp_path / "house", command,
        kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS,
    )  # fmt: skip
    house.partitioner = upstream_partition_of  # the previous version reads nothing that was sent home (ADR 0110)
    yield house
    house.close()


FIGURES = """
try:
    from territory.wire.events import Attainment
except ImportError:  # the modules before schemas had folders
    from territory.events import Attainment
print(*getattr(Attainment, "__struct_fields__", None) or Attainment.__dataclass_fields__)
"""


def said_by(previous: Path, script: str) -> list[str]:
    """Return the words that a script prints which the previous version's code runs."""
    path = os.pathsep.join(str(previous / package) for package in PACKAGES)
    done = subprocess.run(
        (sys.executable, "-c", script),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def both_say(state: Expected, figures: Container[str]) -> Expected:
    """Return an end state without the figures that the previous version does not know: those of fiscal years, too."""
    rows = {
        place: {name: figure for name, figure in row.items() if name in figures}
        for place, row in state.attainments.items()
        if "-" in place[2]
    }
    return replace(state, attainments=rows)


def test_workers_of_the_previous_version_are_other_code(previous: Path) -> None:
    """What the workers from 100 on import is the previous version's code, not what is installed."""
    files = said_by(previous, "import territory, territory_runtime as r; print(territory.__file__, r.__file__)")
    assert all(word.startswith(str(previous)) for word in files)


def test_upgrade_and_rollback_under_load(mixed: House, previous: Path) -> None:
    """One worker after another is replaced, first by this version, then by the previous one, while changes come in.

    Meanwhile a model is activated, too. Nothing is lost or doubled: the end state is the oracle's, both times (A9).
    """
    figures = said_by(previous, FIGURES)
    changes = histories(seed=7)
    history = list(islice(changes, CHANGES))
    mixed.apply(MODEL)
    mixed.start_all(PREVIOUS[0])
    mixed.publish(history)
    mixed.wait()
    steps = ((PREVIOUS[0], 1, OTHER_MODEL), (1, PREVIOUS[1], MODEL))
    for leaving, coming, model in steps:
        for service in SERVICES:
            part = list(islice(changes, CHANGES // 4))
            history += part
            mixed.publish(part)
            mixed.start(service, coming)  # beside the one that leaves, which has other partitions then
            if service == SERVICES[1]:
                mixed.apply(model)
            part = list(islice(changes, CHANGES // 4))
            history += part
            mixed.publish(part)
            assert mixed.stop(service, leaving) == 0
        mixed.wait()
        wanted = both_say(expected({ORG: model}, history), figures)
        assert compare(mixed.found(ORG), ORG, wanted) == []
    for service in SERVICES:  # neither version took what the other wrote for a loss of Redis: nothing was rebuilt
        logs = "".join(mixed.log_of(service, worker) for worker in (PREVIOUS[0], 1, PREVIOUS[1]))
        assert "Redis lacks" not in logs
        assert "is an older copy" not in logs
