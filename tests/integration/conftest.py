"""Servers for the tests of one adapter each: started once, when the first test asks, and shared.

Tests share them, so each names its topics, groups and keys for itself (the fixture `unique`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from territory_runtime.settings import Settings, read_settings
from tests.integration.examples import PARTITIONS
from tests.support.servers import (
    Kafka,
    RedisCluster,
    embedded_server,
    find_embedded_redis,
    find_kafka,
    find_redis,
    find_redis_cluster,
    serving,
)

RAN_ON = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Give the Apache Kafka of this test run."""
    found = find_kafka()
    _note(pytestconfig, found.says)
    with serving("kafka", found, tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of this test run's Redis."""
    found = find_redis()
    _note(pytestconfig, found.says)
    with serving("redis", found, tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_cluster(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Give this test run's Redis Cluster; a test that breaks it starts its own."""
    found = find_redis_cluster()
    _note(pytestconfig, found.says)
    with serving("redis", found, tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture(params=["redis", "cluster"])
def redis_at(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Give the settings of a store on one Redis, and on a Redis Cluster, in turn."""
    if request.param == "redis":
        return {"TERRITORY_REDIS_URL": request.getfixturevalue("redis_url")}
    cluster: RedisCluster = request.getfixturevalue("redis_cluster")
    return cluster.settings


@pytest.fixture(scope="session")
def embedded_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of the embedded Redis of this test run."""
    with serving("embedded", find_embedded_redis(), tmp_path_factory.mktemp("embedded-redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def embedded_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the embedded broker of this test run."""
    with embedded_server(tmp_path_factory.mktemp("embedded")) as server:
        yield server.bootstrap_servers


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.embedded), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def settings(request: pytest.FixtureRequest, org: str) -> Settings:
    """Give settings for an organisation of the test's own, on each of the two kinds of broker in turn."""
    if request.param == "embedded":
        servers: str = request.getfixturevalue("embedded_servers")
    else:
        kafka: Kafka = request.getfixturevalue("kafka")
        servers = kafka.bootstrap_servers
    return read_settings(
        {
            "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": servers,
            "TERRITORY_KAFKA_PARTITIONS": str(PARTITIONS),
            "TERRITORY_ORG_ID": org,
        }
    )


@pytest.fixture
def org(unique: str) -> str:
    """Give an organisation of the test's own."""
    return unique[-90:].strip("-")


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """Give a name that no other test of this run has, fit for a topic, a group or a key."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", request.node.nodeid).strip("-")[-200:]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which servers were used: what is proven depends on it."""
    for says in config.stash.get(RAN_ON, []):
        terminalreporter.line(f"integration: {says}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell which servers were used, where this is one of several processes."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["ran_on"] = session.config.stash.get(RAN_ON, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear which servers another process used."""
    for says in getattr(node, "workeroutput", {}).get("ran_on", []):
        if says not in node.config.stash.setdefault(RAN_ON, []):
            _note(node.config, says)


def _note(config: pytest.Config, says: str) -> None:
    config.stash.setdefault(RAN_ON, []).append(says)
