"""A worker stands still right before it writes, and goes on when another has taken its partitions over."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from territory_control.local.child_process import until
from tests.e2e.conftest import SESSION_TIMEOUT_SECONDS
from tests.e2e.test_faults import MODEL, ORG
from tests.support.house import House, command_of, compare
from tests.support.oracle import expected
from tests.support.servers import Kafka, Redis

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

ACCOUNTS = 60
DEADLINE_SECONDS = 60.0
LOST = "partitions lost, restoring"


def _changes(version: int, op: str, **content: Any) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{version}-{number}", "org_id": ORG, "object": "account", "id": f"A-{number}",
            "version": version, "op": op, "occurred_at": "2017-03-01T10:00:00Z", **content,
        }
        for number in range(ACCOUNTS)
    ]  # fmt: skip


class Zombie:
    """A house where the first worker of one service stops itself when it is told to."""

    def __init__(self, kafka: Kafka, redis: Redis, folder: Path, is_about: tuple[str, str, str]) -> None:
        """Take a service, what it stops before, and the guard that it is without."""
        self.service, stops_before, without = is_about
        self._when = folder / "when"
        self._told = ["--stops-before", stops_before, "--when", str(self._when)]
        self._told += ["--without", without] if without else []
        self.house = House(
            kafka.bootstrap_servers, redis.url, folder / "house", self._command,
            kafka_session_timeout_seconds=SESSION_TIMEOUT_SECONDS,
        )  # fmt: skip
        self.history: list[dict[str, Any]] = []

    def _command(self, service: str, worker: int) -> Sequence[str]:
        if (service, worker) == (self.service, 1):
            return (sys.executable, "-m", "tests.chaos.worker", service, *self._told)
        return command_of(service, worker)

    def say(self, *changes: dict[str, Any]) -> None:
        self.history += changes
        self.house.publish(changes)

    def stand_still(self, *changes: dict[str, Any]) -> None:
        """Publish changes, in the middle of whose turn the worker stops."""
        self._when.touch()
        self.say(*changes)
        stat = Path(f"/proc/{self.house.pid(self.service)}/stat")
        assert until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", DEADLINE_SECONDS)

    def is_succeeded(self) -> None:
        """Have it stand still, another take its partitions over and change all again, and then wake it."""
        self.stand_still(*_changes(2, "upsert", owner_id="u1", fields={"country": "DE", "revenue": "1"}))
        self.house.start(self.service, worker=2)
        self.say(*_changes(3, "upsert", owner_id="u2", fields={"country": "US", "revenue": "900000"}))
        self.house.wait()
        assert self.differences() == []
        self.wake()

    def wake(self) -> None:
        """Let it go on, and return when it has found out that it was taken for dead."""
        before = self.house.log_of(self.service).count(LOST)
        self.house.resume(self.service)
        assert until(lambda: self.house.log_of(self.service).count(LOST) > before, DEADLINE_SECONDS)

    def differences(self) -> list[str]:
        return compare(self.house.found(ORG), ORG, expected({ORG: MODEL}, self.history))


@pytest.fixture
def zombie(request: pytest.FixtureRequest, kafka: Kafka, redis: Redis, tmp_path: Path) -> Iterator[Zombie]:
    """Give a house with a worker that can stand still; the parameter says which, before what, and without what."""
    made = Zombie(kafka, redis, tmp_path, request.param)
    made.house.apply(MODEL)
    made.house.start_all()
    made.say(*_changes(1, "upsert", owner_id="u0", fields={"country": "US", "revenue": "1"}))
    made.house.wait()
    yield made
    made.house.close()


@pytest.mark.parametrize(
    ("zombie", "is_right"),
    [
        pytest.param(("access_indexer", "redis", ""), True, id="as it is"),
        pytest.param(("access_indexer", "redis", "fence"), False, id="without terms"),
    ],
    indirect=["zombie"],
)
def test_nothing_is_written_over_a_successors_work_in_redis(zombie: Zombie, is_right: bool) -> None:
    """Its sets stay as the successor left them; without the terms they would not (A9, V8)."""
    zombie.is_succeeded()
    assert (zombie.differences() == []) is is_right


@pytest.mark.parametrize(
    ("zombie", "is_right"),
    [
        pytest.param(("assigner", "kafka", ""), True, id="as it is"),
        pytest.param(("assigner", "kafka", "lease"), False, id="without a lease"),
    ],
    indirect=["zombie"],
)
def test_nothing_is_sent_after_a_successors_words(zombie: Zombie, is_right: bool) -> None:
    """What was kept last is the successor's: a patch is merged into it. Without the lease it is not (A9)."""
    zombie.is_succeeded()
    for worker in (1, 2):
        zombie.house.stop(zombie.service, worker)
    zombie.house.start(zombie.service, worker=2)  # from what is on the topics, and nothing else
    zombie.say(*_changes(4, "patch", owner_id="u3"))
    zombie.house.wait()
    assert (zombie.differences() == []) is is_right
