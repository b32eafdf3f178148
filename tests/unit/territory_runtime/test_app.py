"""What Faust does for a service: it runs its parts and its timers, and connects to nothing itself."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import cast

import pytest

from territory.stage import Fold
from territory.wire import topics
from territory_runtime.app import ServiceApp, build_app
from territory_runtime.kafka.log_reader import KafkaLogReader
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.model_snapshot import ModelSnapshot
from territory_runtime.loop.stage import Stage
from territory_runtime.settings import read_settings


@pytest.fixture
def service(tmp_path: Path) -> ServiceApp:
    """Give a service without stages, on a broker that is not there."""
    settings = {
        "TERRITORY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "TERRITORY_METRICS_PORT": "0",
        "TERRITORY_DATA_DIR": str(tmp_path),
        "TERRITORY_DAY_CHECK_SECONDS": "0.01",
        "TERRITORY_POINT_QUERIES": "true",
    }
    return ServiceApp("x", read_settings(settings), Provisioned(3, ()))


def test_a_worker_without_a_data_folder_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust wants a folder; a temporary one goes when the worker ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = build_app("x", read_settings({"TERRITORY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}))
    assert app.temporary is not None
    assert [folder.name for folder in tmp_path.glob("*/*")] == ["x"]
    app.temporary.cleanup()
    assert list(tmp_path.iterdir()) == []


def test_faust_starts_no_client_of_its_own(service: ServiceApp) -> None:
    """Only the stages connect to Kafka, each with the clients that it needs (ADR 0013)."""
    assert list(service.app.boot_strategy.producer_only()) == []


def test_timers_run_the_periodic_checks(service: ServiceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day check at its setting's pace, from when the app has started; the topics' connection ends with it."""
    looked, closed = asyncio.Event(), asyncio.Event()

    async def resolve(*_: object) -> ModelSnapshot:
        looked.set()
        return service.models.today

    async def close() -> None:
        closed.set()

    monkeypatch.setattr(service.models, "_resolve", resolve)
    monkeypatch.setattr(service._topics, "close", close)

    async def play() -> None:
        async with service.app, asyncio.timeout(10):
            await looked.wait()
        assert service.app.crash_reason is None

    asyncio.run(play())
    assert closed.is_set()


class Broken(Exception):
    """Raised by a check."""


def test_an_exception_in_a_check_is_a_crash(service: ServiceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in any other part: the process ends and is started again, instead of running without its checks."""

    async def resolve(*_: object) -> ModelSnapshot:
        raise Broken

    monkeypatch.setattr(service.models, "_resolve", resolve)

    async def play() -> object:
        async with service.app, asyncio.timeout(10):
            await service.app._crashed.wait()
            return service.app.crash_reason

    assert isinstance(asyncio.run(play()), Broken)


def test_stages_answer_point_queries_at_the_servers_address(service: ServiceApp) -> None:
    """Each stage's member publishes the address; only stages with a lookup are asked."""

    def stage(name: str) -> Stage:
        return Stage(name, {topics.RECORDS: bytes}, (topics.RECORDS, bytes), make=lambda *_: cast(Fold, None))

    silent = service.add_stage(stage("silent"))
    answering = service.add_stage(stage("answering"), lookup=lambda fold, key: None)
    service.http.port = 4711
    readers = [cast(KafkaLogReader, loop._reader) for loop in (silent, answering)]
    assert [reader.assignor.address() for reader in readers] == ["127.0.0.1:4711"] * 2
    assert [queried.name for queried in service._queried] == ["answering"]
