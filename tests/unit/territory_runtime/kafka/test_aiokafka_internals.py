"""The parts of aiokafka that it does not promise to keep are as our one module expects them.

A failure here after an upgrade means: read `kafka/aiokafka_internals.py` against the new version.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.conn
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import group_coordinator
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v5
from aiokafka.protocol.produce import ProduceRequest

from territory_runtime.kafka import aiokafka_internals as internals
from territory_runtime.kafka.assignor import CopartitionedAssignor

ROOT = Path(__file__).parents[4]
SERVICES = ROOT / "services"


def names(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_version_is_bounded_and_the_installed_one_within() -> None:
    """A newer aiokafka is not installed before somebody has looked at what it changed."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [one for one in dependencies if one.startswith("aiokafka")]
    assert "<0.15" in bound
    assert version("aiokafka").startswith("0.14.")


def test_no_other_module_uses_parts_of_aiokafka_that_are_not_documented() -> None:
    """Each private attribute of a client, and each undocumented module, is reached from one place (B12)."""
    undocumented = ("aiokafka.conn", "aiokafka.client", "aiokafka.protocol", "aiokafka.consumer.", "aiokafka.producer.")
    found = [
        (path.name, node.module)
        for path in SERVICES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(undocumented)
    ]
    assert found
    assert {name for name, _ in found} == {"aiokafka_internals.py"}


def test_a_consumer_knows_its_generation() -> None:
    """-1 as long as it belongs to no group: `is_member` reads that (B12)."""
    coordinator = object.__new__(group_coordinator.GroupCoordinator)
    coordinator._rejoin_needed_fut = SimpleNamespace(done=lambda: True)
    consumer = SimpleNamespace(_coordinator=coordinator)
    coordinator.reset_generation()
    assert not internals.is_member(consumer)
    coordinator.generation = 1
    assert internals.is_member(consumer)
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(AIOKafkaConsumer.start)


class Stopped(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """Raised by a check."""


@pytest.mark.parametrize("stops", [True, False])
def test_aiokafkas_own_sender_goes_through_the_check(stops: bool) -> None:
    """Its sender makes the request class that we recognise, and hands it to the method that we wrap (B12, A9)."""

    async def play() -> list[Any]:
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        written: list[Any] = []

        async def write(node_id: int, request: Any, **_: Any) -> Any:
            written.append(request)
            return SimpleNamespace(API_VERSION=3, topics=[])

        def check() -> None:
            if stops:
                raise Stopped

        producer.client.send = write
        internals.before_each_produce(producer, check)
        await SendProduceReqHandler(producer._sender, {}).do(0)
        producer._closed = True
        return written

    assert [type(request) for request in asyncio.run(play())] == ([] if stops else [ProduceRequest])


def test_methods_that_we_wrap_or_call_have_their_parameters() -> None:
    """By the names and in the order in which our module passes them (B12)."""
    assert names(AIOKafkaClient.send) == ["self", "node_id", "request", "group"]
    assert names(AIOKafkaClient.get_random_node) == ["self"]
    assert names(Fetcher._proc_fetch_request) == ["self", "assignment", "node_id", "request"]
    assert names(aiokafka.conn.collect_hosts)[0] == "hosts"
    options = {"client_id", "security_protocol", "ssl_context", "request_timeout_ms"}
    options |= {"sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}
    assert options <= {*names(aiokafka.conn.create_conn)}
    assert names(aiokafka.conn.create_conn)[:2] == ["host", "port"]
    assert internals.hosts_of("a:1,b:2") in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)])


def test_a_fetch_that_finds_nothing_is_false() -> None:
    """The embedded broker's workaround pauses after those alone (B12)."""

    async def play() -> Any:
        async def send(node_id: int, request: Any) -> Any:
            return SimpleNamespace(API_VERSION=4, topics=[])

        fetcher = object.__new__(Fetcher)
        fetcher._client = SimpleNamespace(send=send)
        fetcher._client_rack = None
        return await fetcher._proc_fetch_request(SimpleNamespace(active=True), 0, SimpleNamespace(topics=[]))

    assert asyncio.run(play()) is False


def test_every_consumer_uses_the_wrapped_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced on the class, and the one before is called through."""
    monkeypatch.setattr(Fetcher, "_proc_fetch_request", Fetcher._proc_fetch_request)
    before = Fetcher._proc_fetch_request
    internals.wrap_fetches(lambda fetch: (fetch, "wrapped"))  # type: ignore[arg-type, return-value]  # to be seen
    assert Fetcher._proc_fetch_request == (before, "wrapped")


def test_topics_are_described_without_creating_them() -> None:
    """The request says so in every version that a broker since Kafka 0.11 speaks (B11)."""
    request = MetadataRequest(["a"], allow_auto_topic_creation=False)
    assert request.build(MetadataRequest_v5).allow_auto_topic_creation is False
    admin = AIOKafkaAdminClient.__new__(AIOKafkaAdminClient)
    assert "self._client = AIOKafkaClient(" in inspect.getsource(type(admin).__init__)


def test_a_batch_takes_its_first_message_whatever_its_size() -> None:
    """The producer relies on it: a message larger than a batch has a batch of its own."""

    async def play() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", max_batch_size=1_000)
        batch = producer.create_batch()
        assert batch.append(key=b"k", value=b"x" * 5_000, timestamp=None, headers=[]) is not None
        assert batch.append(key=b"k", value=b"x", timestamp=None, headers=[]) is None
        assert batch.record_count() == 1
        producer._closed = True

    asyncio.run(play())


def test_an_assignor_is_what_we_implement() -> None:
    """A name and three methods, called on the object that a consumer was given."""
    assert AbstractPartitionAssignor.__abstractmethods__ == {"name", "assign", "metadata", "on_assignment"}
    assert names(CopartitionedAssignor.assign) == ["self", *names(AbstractPartitionAssignor.assign)]
    source = inspect.getsource(group_coordinator)
    for call in ("assignor.metadata(", "assignor.assign(self._cluster,", "assignor.on_assignment(assignment)"):
        assert call in source
