"""The broker or Redis away, at the start and later: said plainly, waited for, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import redis

from territory_control.local.child_process import until
from territory_control.local.embedded_broker import free_ports
from tests.e2e.test_faults import MODEL, ORG, histories
from tests.support.house import SERVICES, House, compare
from tests.support.oracle import expected
from tests.support.servers import Kafka, Redis

DEADLINE_SECONDS = 60.0


def _run_alone(service: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TERRITORY_")}
    return subprocess.run(
        (sys.executable, "-m", service),
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _faults(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [json.loads(line)["fault"] for line in run.stderr.splitlines() if line.startswith("{") and "fault" in line]


@pytest.mark.parametrize("service", SERVICES)
def test_no_broker_is_one_clear_line(service: str) -> None:
    """A missing broker at the start: one line that says where and what to do, exit 1."""
    [port] = free_ports(1)
    run = _run_alone(service, TERRITORY_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}", TERRITORY_METRICS_PORT="0")
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert f"no Kafka broker answers at 127.0.0.1:{port}" in _faults(run)[0]


@pytest.mark.embedded
def test_no_redis_is_one_clear_line(embedded_house: House) -> None:
    """A missing Redis at the start: one line, exit 1, and no password in it."""
    [port] = free_ports(1)
    run = _run_alone(
        "access_indexer",
        TERRITORY_KAFKA_BOOTSTRAP_SERVERS=embedded_house.settings.kafka_bootstrap_servers,
        TERRITORY_REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0",
        TERRITORY_METRICS_PORT="0",
    )
    assert run.returncode == 1
    assert "Redis does not answer" in _faults(run)[0]
    assert "hunter2" not in run.stdout + run.stderr


def test_an_unknown_setting_is_one_clear_line() -> None:
    """An unknown TERRITORY_ name is refused at the start, exit 1."""
    run = _run_alone("assigner", TERRITORY_REDIS_ULR="x")
    assert run.returncode == 1
    assert "did you mean TERRITORY_REDIS_URL" in _faults(run)[0]


@pytest.mark.kafka
@pytest.mark.chaos
def test_redis_away_is_waited_for(kafka_house: House, redis: Redis) -> None:
    """Redis stopped while records flow: /ready says so, and when it is back, emptied, a restart fills it."""
    changes = histories(seed=3)
    history = [next(changes) for _ in range(2_000)]
    kafka_house.apply(MODEL)
    kafka_house.start_all()
    kafka_house.publish(history[:1_000])
    kafka_house.wait()
    redis.stop()
    kafka_house.publish(history[1_000:])
    assert until(lambda: kafka_house.page("access_indexer", "ready")[0] == 503, DEADLINE_SECONDS)
    assert "Redis is away" in kafka_house.page("access_indexer", "ready")[1]
    assert kafka_house.page("access_indexer", "live")[0] == 200
    redis.start()  # it keeps nothing
    assert until(lambda: kafka_house.page("access_indexer", "ready")[0] == 200, DEADLINE_SECONDS)
    kafka_house.wait()
    kafka_house.stop_all()
    kafka_house.start_all()
    kafka_house.wait()
    assert compare(kafka_house.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


@pytest.mark.kafka
@pytest.mark.chaos
def test_broker_away_is_waited_for(kafka_house: House, kafka: Kafka) -> None:
    """The broker stopped and started again while the services run: they wait and go on; nothing is lost."""
    changes = histories(seed=4)
    history = [next(changes) for _ in range(2_000)]
    kafka_house.apply(MODEL)
    kafka_house.start_all()
    kafka_house.publish(history[:1_000])
    kafka.stop()
    kafka.start()
    kafka_house.publish(history[1_000:])
    kafka_house.wait()
    assert all(kafka_house.is_running(service) for service in SERVICES)
    assert compare(kafka_house.found(ORG), ORG, expected({ORG: MODEL}, history)) == []


def test_emptied_redis_fills_itself(house: House) -> None:
    """Without a restart or another change: an idle worker notices, and says everything again (A9, V8)."""
    house.apply(MODEL)
    house.start_all()
    changes = histories(seed=5)
    history = [next(changes) for _ in range(300)]
    house.publish(history)
    house.wait()
    wanted = expected({ORG: MODEL}, history)
    assert compare(house.found(ORG), ORG, wanted) == []
    with redis.Redis.from_url(house.settings.redis_url.get_secret_value()) as client:
        client.flushall()
    assert compare(house.found(ORG), ORG, wanted) != []
    assert until(lambda: compare(house.found(ORG), ORG, wanted) == [], DEADLINE_SECONDS)
