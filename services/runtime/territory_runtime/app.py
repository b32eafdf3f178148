"""A service's process: a Faust app around its stages, its HTTP server and its periodic checks."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NoReturn

import faust
import structlog
from faust.app.base import BootStrategy
from mode import Service
from yarl import URL

from territory_runtime.gc_tuning import shorten_thread_switches, tune_gc
from territory_runtime.health import Health
from territory_runtime.http_server import HttpServer, Lookup, PortTaken, QueriedStage
from territory_runtime.kafka.embedded_broker_workaround import pause_after_empty_fetches
from territory_runtime.kafka.ports import kafka_ports
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.kafka.topic_health import CHECK_SECONDS, TopicHealth
from territory_runtime.logs import configure_logs
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.stage_service import StageService
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.settings import Settings, SettingsRefused, read_settings
from territory_runtime.startup_checks import CannotStart, check_surroundings

log = structlog.get_logger("territory")

EXIT_REFUSED = 1
EXIT_BROKEN = 70


class _WithoutKafka(BootStrategy):
    """Starts none of Faust's own Kafka clients: the stages bring theirs."""

    enable_kafka = False


class _HostApp(faust.App):
    """A Faust app that runs services and timers, and connects to nothing itself."""

    BootStrategy: ClassVar[type[BootStrategy]] = _WithoutKafka
    temporary: tempfile.TemporaryDirectory[str] | None = None
    """Where Faust keeps its files, if no setting names a folder; removed when the process ends."""


def build_app(name: str, settings: Settings) -> _HostApp:
    """Return a Faust app for services and timers."""
    temporary: tempfile.TemporaryDirectory[str] | None = None
    if not settings.data_dir:
        temporary = tempfile.TemporaryDirectory(prefix="territory-")
    folder = Path(temporary.name if temporary is not None else str(settings.data_dir)) / name
    folder.mkdir(parents=True, exist_ok=True)
    app = _HostApp(
        name,
        broker=[URL(f"kafka://{address}") for address in settings.kafka_bootstrap_servers.split(",")],
        store=URL("memory://"),
        datadir=str(folder),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        logging_config=None,
    )
    app.producer_only = True
    app.temporary = temporary
    return app


class _Pages(HttpServer):
    """The HTTP server, without which a worker must not run: no orchestrator would see its state."""

    async def on_start(self) -> None:
        """Listen, or end the process with one line."""
        try:
            await super().on_start()
        except PortTaken as fault:
            abort(str(fault))


def abort(why: str) -> NoReturn:
    """End the process at once, without another commit."""
    log.critical("aborted", why=why)
    logging.shutdown()
    os._exit(EXIT_BROKEN)


class ServiceApp:
    """One service: the parts that every service has, around its stages."""

    def __init__(self, name: str, settings: Settings, provisioned: Provisioned) -> None:
        self.settings = settings
        self.partitions = provisioned.partitions
        self.health = Health()
        self.app = build_app(name, settings)
        self.models = ModelWatcher(settings, self.health)
        self._queried: list[QueriedStage] = []
        self.http = _Pages(settings, self.health, self._queried)
        self._services: list[Service] = [self.http, self.models]
        self._topics = TopicHealth(
            settings, self.health, provisioned.partitions, stopping=lambda: bool(self.app.should_stop)
        )
        # Faust's timers: an exception in one ends the process, as in any other part.
        self.app.timer(interval=CHECK_SECONDS, name="topics")(self._topics.check)
        self.app.timer(interval=settings.day_check_seconds, name="day")(self.models.check_day)
        self.app.on_before_shutdown.connect(self._disconnect)

    async def _disconnect(self, *_: object, **__: object) -> None:
        await self._topics.close()

    def add_stage(self, stage: Stage, *, lookup: Lookup | None = None) -> TaskLoop:
        """Run a stage on this service's partitions; return its loop.

        Args:
            stage: What to run.
            lookup: Answers point queries from one of the stage's folds; none: the stage does not.
        """
        self.models.prepare_with(stage.prepare, follows_days=stage.follows_days)
        ports = kafka_ports(self.settings, stage.name, self.partitions, lambda: self.http.address)
        loop = TaskLoop(
            stage, self.settings, models=self.models, health=self.health, partitions=self.partitions, ports=ports
        )
        if lookup is not None:
            self._queried.append(QueriedStage(stage.name, loop, lookup, self.partitions))
        self.add_service(StageService(loop))
        return loop

    def add_service(self, service: Service) -> None:
        """Start and stop a service with the app."""
        self._services.append(service)

    def run(self) -> None:
        """Run until a signal; a crash of any part ends the process with an error."""
        faust.Worker(
            self.app, *self._services, loglevel="WARNING", redirect_stdouts=False, quiet=True, override_logging=False
        ).execute_from_commandline()


def main(name: str, build: Callable[[Settings, Provisioned], ServiceApp], *, with_redis: bool) -> None:
    """Run one service with the settings of the environment; exit 1 with one line when it cannot start."""
    configure_logs()
    try:
        settings = read_settings()
        provisioned = check_surroundings(settings, with_redis=with_redis)
        service = build(settings, provisioned)
    except (SettingsRefused, CannotStart) as fault:
        log.error("startup failed", service=name, fault=str(fault))  # noqa: TRY400 -- one line, no traceback
        sys.exit(EXIT_REFUSED)
    if provisioned.created:
        log.info("topics created", topics=provisioned.created)
    pause_after_empty_fetches(settings.kafka_fetch_pause_seconds)
    tune_gc()
    shorten_thread_switches()
    service.run()
