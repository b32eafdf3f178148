"""A worker's pages, asked over HTTP on a port of the loopback interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from territory_runtime import http_server
from territory_runtime.health import Health
from territory_runtime.http_server import HttpServer, PortTaken, QueriedStage
from territory_runtime.settings import read_settings

KEY = "acme/deal/D-1"
PARTITIONS = 2


class Loop:
    """A task loop with some restored partitions, whose folds are dictionaries."""

    def __init__(self, folds: Mapping[int, dict[str, object]]) -> None:
        self.folds = folds
        self.owners: Mapping[str, list[int]] = {}
        self.is_busy = False

    async def between_batches(self, look: Callable[[Mapping[int, Any]], Awaitable[None]]) -> None:
        if self.is_busy:
            await asyncio.get_running_loop().create_future()
        if self.folds:
            await look(self.folds)


def stage(loop: Loop, name: str = "assigner-intake") -> QueriedStage:
    return QueriedStage(name, loop, lambda fold, key: fold.get(key), PARTITIONS)


class Answer:
    """A response, read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def asked(path: str, *stages: QueriedStage, health: Health | None = None, **environment: str) -> Answer:
    """Start a server, ask it for a page, and stop it."""
    given = {"TERRITORY_METRICS_PORT": "0", "TERRITORY_POINT_QUERIES": "true"}
    given |= {f"TERRITORY_{name.upper()}": value for name, value in environment.items()}

    async def play() -> Answer:
        server = HttpServer(read_settings(given), health or Health(), stages)
        async with server, aiohttp.request("GET", f"http://127.0.0.1:{server.port}{path}") as response:
            return Answer(response.status, response.headers, await response.read())

    return asyncio.run(play())


def test_a_worker_is_ready_when_nothing_hinders_it() -> None:
    """/ready is 503 with the reasons until then: an orchestrator sends no traffic and an operator reads why."""
    health = Health()
    health.hinder("model", "starting")
    answer = asked("/ready", health=health)
    assert (answer.status, answer.json) == (503, {"ready": False, "because": {"model": "starting"}})
    health.clear("model")
    health.beat("model")
    answer = asked("/ready", health=health)
    assert (answer.status, answer.json) == (200, {"ready": True, "because": {}})


def test_a_worker_is_live_while_its_parts_run() -> None:
    """/live is 503 with the names of those that do not: an orchestrator restarts the process."""
    now = 0.0
    health = Health(lambda: now)
    health.beat("assigner-intake")
    assert asked("/live", health=health).json == {"live": True, "stuck": []}
    now = 1_000.0
    answer = asked("/live", health=health)
    assert (answer.status, answer.json) == (503, {"live": False, "stuck": ["assigner-intake"]})


def test_metrics_are_in_prometheus_format() -> None:
    """/metrics has ours, and the process's own."""
    answer = asked("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"territory_ready 0.0" in answer.body
    assert b"process_resident_memory_bytes" in answer.body


def test_a_port_that_is_taken_is_named() -> None:
    """One line says which, and the setting that changes it."""

    async def play() -> None:
        settings = {"TERRITORY_METRICS_PORT": "0"}
        first = HttpServer(read_settings(settings), Health())
        async with first:
            settings["TERRITORY_METRICS_PORT"] = str(first.port)
            second = HttpServer(read_settings(settings), Health())
            with pytest.raises(PortTaken, match=f"port {first.port} can't be opened.*set TERRITORY_METRICS_PORT"):
                await second.on_start()
            await second.on_stop()

    asyncio.run(play())


def test_the_worker_that_has_a_record_answers() -> None:
    """From the memory of every stage that knows it, in whichever partition."""
    intake = stage(Loop({0: {}, 1: {KEY: {"version": 7}}}))
    assignment = stage(Loop({0: {KEY: {"territories": ["north"]}}}), "assigner-assignment")
    answer = asked("/records/acme/deal/D-1", intake, assignment)
    assert answer.status == 200
    assert answer.json == {
        "key": KEY,
        "stages": {"assigner-intake": {"version": 7}, "assigner-assignment": {"territories": ["north"]}},
    }


def test_a_worker_with_all_partitions_knows_that_a_record_is_nowhere() -> None:
    """404, and no other worker is named."""
    answer = asked("/records/acme/deal/D-1", stage(Loop({0: {}, 1: {}})))
    assert (answer.status, "workers" in answer.json) == (404, False)


def test_a_worker_with_some_partitions_names_the_others() -> None:
    """421: no worker can compute where a record is, so the client asks the others."""
    loop = Loop({0: {}})
    loop.owners = {"127.0.0.1:9999": [0], "worker-1:9464": [1], "worker-2:9464": []}
    answer = asked("/records/acme/deal/D-1", stage(loop), advertised_address="127.0.0.1:9999")
    assert (answer.status, answer.json["workers"]) == (421, ["worker-1:9464", "worker-2:9464"])


@pytest.mark.parametrize("folds", [{}, {0: {}}], ids=["nothing is restored", "nobody else is known"])
def test_a_worker_that_does_not_know_answers_503(folds: dict[int, dict[str, object]]) -> None:
    """503 and when to ask again: an empty answer would say that the record is not there."""
    answer = asked("/records/acme/deal/D-1", stage(Loop(folds)))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_a_batch_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may wait for Redis for an hour; the client is told within seconds."""
    monkeypatch.setattr(http_server, "ANSWER_SECONDS_MAX", 0.01)
    loop = Loop({0: {}, 1: {}})
    loop.is_busy = True
    answer = asked("/records/acme/deal/D-1", stage(loop))
    assert (answer.status, "did not finish a batch" in answer.json["problem"]) == (503, True)


def test_records_are_shown_only_where_that_is_turned_on() -> None:
    """The pages ask for no password: nobody reads a record because a port was open (security)."""
    having = stage(Loop({0: {KEY: {"version": 7}}}))
    assert asked("/records/acme/deal/D-1", having, point_queries="false").status == 404


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1:{port}"),
        ({"METRICS_HOST": "0.0.0.0"}, None),  # noqa: S104 -- nobody connects to that
        ({"METRICS_HOST": "0.0.0.0", "ADVERTISED_ADDRESS": "worker-0:9464"}, "worker-0:9464"),  # noqa: S104
        ({"POINT_QUERIES": "false", "ADVERTISED_ADDRESS": "worker-0:9464"}, None),
    ],
)
def test_the_address_that_other_workers_name(environment: dict[str, str], address: str | None) -> None:
    """Where a client can connect to; none rather than one that leads nowhere."""
    given = {"METRICS_PORT": "0", "POINT_QUERIES": "true"} | environment

    async def play() -> tuple[str | None, int]:
        settings = read_settings({f"TERRITORY_{name}": value for name, value in given.items()})
        server = HttpServer(settings, Health())
        async with server:
            return server.address, server.port

    found, port = asyncio.run(play())
    assert found == (None if address is None else address.format(port=port))
