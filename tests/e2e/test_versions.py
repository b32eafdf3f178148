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
from typing import Any

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
CHANGES = 1_000
"""Of each organisation, at first; as many come again while two services are replaced."""
ALIKE = "alike"
"""An organisation of which both versions decide everything alike."""
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
    """Return an end state without what the previous version does not publish: some figures, and fiscal years (F14)."""
    rows = {
        place: {name: figure for name, figure in row.items() if name in figures}
        for place, row in state.attainments.items()
        if "-" in place[2]
    }
    return replace(state, attainments=rows)


def decided_alike(change: dict[str, Any]) -> dict[str, Any]:
    """Return a change of another organisation, such that both versions decide its records alike.

    A contact belongs to the account with its number, for ever, and a deal that names a contact to the contact's
    account: the previous version passes over contacts of other accounts (A6).
    The rest is so already. All values can be read (C2), all close dates are plain days (C8), all money is in the
    organisation's currency (C9, F10), and the models have no groups, no zone and no targets of fiscal years.
    """
    names = change["id"] if change["object"] == "contact" else change.get("contact_id")
    of_contact = {} if names is None or "account_id" not in change else {
        "account_id": f"A-{int(names.removeprefix('C-')) % 400}"
    }  # fmt: skip
    return change | of_contact | {"org_id": ALIKE}


def test_workers_of_the_previous_version_are_other_code(previous: Path) -> None:
    """What the workers from 100 on import is the previous version's code, not what is installed."""
    files = said_by(previous, "import territory, territory_runtime as r; print(territory.__file__, r.__file__)")
    assert all(word.startswith(str(previous)) for word in files)


def test_upgrade_and_rollback_under_load(mixed: House, previous: Path) -> None:
    """Workers are replaced one after another while changes come in: by this version, by the previous one, by this one.

    Meanwhile models are activated, too. Nothing is lost or doubled, and nobody has to do anything. After an upgrade
    the end state is the oracle's, which knows today's rules (A9, ADR 0019).

    After a rollback it is what the previous version makes of the same records. The oracle can't say that where a rule
    has changed since. So it is asked about an organisation whose records both versions decide alike, and about figures
    that both publish; rows that only this version knows are gone. The second upgrade shows that the rollback left
    nothing behind in the other organisation either.
    """
    figures = said_by(previous, FIGURES)
    changes = histories(seed=7)
    history: list[dict[str, Any]] = []

    def publish(count: int) -> None:
        part = [each for change in islice(changes, count) for each in (change, decided_alike(change))]
        history.extend(part)
        mixed.publish(part)

    def activate(model: dict[str, Any]) -> None:
        for org_id in (ORG, ALIKE):
            mixed.apply(model | {"org": org_id})

    activate(MODEL)
    mixed.start_all(PREVIOUS[0])
    publish(CHANGES)
    mixed.wait()
    steps = ((PREVIOUS[0], 1, OTHER_MODEL), (1, PREVIOUS[1], MODEL), (PREVIOUS[1], 2, OTHER_MODEL))
    for leaving, coming, model in steps:
        for service in SERVICES:
            publish(CHANGES // 4)
            mixed.start(service, coming)  # beside the one that leaves, which has other partitions then
            if service == SERVICES[1]:
                activate(model)
            publish(CHANGES // 4)
            assert mixed.stop(service, leaving) == 0
        mixed.wait()
        wanted = expected({org_id: model | {"org": org_id} for org_id in (ORG, ALIKE)}, history)
        found = mixed.found_of((ORG, ALIKE))
        if coming in PREVIOUS:
            assert compare(found[ALIKE], ALIKE, both_say(wanted, figures)) == []
        else:
            assert [line for org_id in (ORG, ALIKE) for line in compare(found[org_id], org_id, wanted)] == []
    for service in SERVICES:  # neither version took what the other wrote for a loss of Redis: nothing was rebuilt
        logs = "".join(mixed.log_of(service, worker) for worker in (PREVIOUS[0], 1, PREVIOUS[1], 2))
        assert "Redis lacks" not in logs
        assert "is an older copy" not in logs
