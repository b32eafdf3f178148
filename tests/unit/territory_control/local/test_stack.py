from __future__ import annotations

import sys
from pathlib import Path

import pytest

from territory_admin.errors import StackFailed
from territory_control.local.registry import RunningStack
from territory_control.local.stack import SERVICES, Stack, names_own_servers, refuse_ports_in_use, refuse_servers_in_use
from territory_runtime.settings import Settings, read_settings

KAFKA, REDIS = "TERRITORY_KAFKA_BOOTSTRAP_SERVERS", "TERRITORY_REDIS_URL"


def settings(**values: str) -> Settings:
    return read_settings({f"TERRITORY_{name.upper()}": value for name, value in values.items()})


def test_own_servers_are_both_or_none() -> None:
    """Services on given servers need a Kafka and a Redis; one alone is refused."""
    assert not names_own_servers({})
    assert not names_own_servers({KAFKA: "", REDIS: ""})
    assert names_own_servers({KAFKA: "a:1", REDIS: "redis://b"})
    with pytest.raises(StackFailed, match=f"{KAFKA} is set and {REDIS} is not"):
        names_own_servers({KAFKA: "a:1"})
    with pytest.raises(StackFailed, match=f"{REDIS} is set and {KAFKA} is not"):
        names_own_servers({REDIS: "redis://b"})


@pytest.mark.parametrize(
    ("kafka", "redis_url"),
    [
        ("127.0.0.1:9092", "redis://elsewhere:1/0"),
        ("localhost:9092", "redis://elsewhere:1/0"),
        ("a:1, 127.0.0.1:9092", "redis://elsewhere:1/0"),
        ("a:1", "redis://user:secret@127.0.0.1:6379/5"),
    ],
)
def test_servers_of_a_running_stack_are_refused(kafka: str, redis_url: str) -> None:
    """A second stack on a Kafka or Redis of a running one would disturb it: refused, with that one's process."""
    running = RunningStack(4711, "127.0.0.1:9092", "redis://127.0.0.1:6379/0", {}, "")
    with pytest.raises(StackFailed, match=r"process 4711, runs on 127\.0\.0\.1:9092") as refused:
        refuse_servers_in_use(settings(kafka_bootstrap_servers=kafka, redis_url=redis_url), [running])
    assert "secret" not in str(refused.value)
    refuse_servers_in_use(settings(kafka_bootstrap_servers="a:1", redis_url="redis://b:1/0"), [running])


def test_a_port_of_a_running_stack_is_refused() -> None:
    """A port that another stack has chosen is refused before that one listens on it; others are not."""
    running = RunningStack(4711, "127.0.0.1:9092", "redis://127.0.0.1:6379/0", {}, "")
    with pytest.raises(StackFailed, match="port 6379 for Redis is taken by another territory up, process 4711"):
        refuse_ports_in_use({"kafka": None, "redis": 6379}, [running])
    refuse_ports_in_use({"kafka": None, "redis": 6380}, [running])


def test_a_password_is_not_printed(tmp_path: Path) -> None:
    """The address of Redis is printed without its password."""
    stack = Stack(settings(redis_url="rediss://user:secret@host:6380/1"), tmp_path, {})
    assert stack.addresses.redis == "rediss://host:6380/1"


def test_every_service_has_a_port_of_its_own(tmp_path: Path) -> None:
    """The services' metrics pages have different ports."""
    stack = Stack(settings(), tmp_path, {})
    assert list(stack.addresses.metrics) == list(SERVICES)
    assert len(set(stack.addresses.metrics.values())) == len(SERVICES)


def test_a_service_that_can_not_start_is_quoted(tmp_path: Path) -> None:
    """The error quotes the service's output, and no other service is left running."""
    stack = Stack(settings(), tmp_path, {"TERRITORY_NONSENSE": "1", "PATH": str(Path(sys.executable).parent)})
    with pytest.raises(StackFailed, match="TERRITORY_NONSENSE"):
        stack.start()
    with pytest.raises(StackFailed, match="ended unexpectedly"):
        stack.check()
    stack.stop()
