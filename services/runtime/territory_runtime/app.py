"""Hosting a service: a Faust app with the partition loops, the model watcher and the pages an SRE asks."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import faust
import kafka.errors
import redis
import redis.exceptions
import structlog
from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from yarl import URL

from territory.wire.codec import encode
from territory_runtime import metrics
from territory_runtime.gc_tuning import shorten_thread_switches, tune_gc
from territory_runtime.health import Health
from territory_runtime.kafka.clients import sasl_options, ssl_context_of, topic_admin
from territory_runtime.kafka.connection_diagnosis import diagnose_connection
from territory_runtime.kafka.embedded_broker_workaround import pause_after_empty_fetches
from territory_runtime.kafka.topic_admin import Provisioned, TopicsUnfit, provision
from territory_runtime.kafka.topic_health import TopicWatcher
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.loop.stage import Stage
from territory_runtime.loop.task_loop import TaskLoop
from territory_runtime.settings import Settings, SettingsRefused, read_settings

log = structlog.get_logger("territory")

SAID_AGAIN_AND_AGAIN = ("Unable connect to ", "Unable to update metadata from ", "Group Coordinator Request failed: ")
"""Beginnings of what aiokafka says ten times a second, for each of its clients, while a broker is away."""

EXIT_REFUSED = 1
EXIT_BROKEN = 70


class CannotStart(Exception):
    """Raised when something that a service needs is not there at its start; one line says what."""


def configure_logs() -> None:
    """Send all logs, the libraries' too, to stderr as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # Ours go to the logger "territory"; loggers named for our modules are mode's, on each service's life.
    for noisy in ("aiokafka", "faust", "mode", "aiohttp", "asyncio", "territory_runtime"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("mode.timers").setLevel(logging.ERROR)  # a late timer is no trouble here, and often said
    # These write lines by the dozen while a broker is away; what is away is said once, by `waiting`.
    for repeating in ("kafka", "aiokafka.conn", "aiokafka.consumer.fetcher", "aiokafka.cluster"):
        logging.getLogger(repeating).setLevel(logging.CRITICAL)
    for name in ("aiokafka", "aiokafka.consumer.group_coordinator"):  # they have other things to say, too
        logging.getLogger(name).addFilter(_is_no_repetition)


def _is_no_repetition(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(SAID_AGAIN_AND_AGAIN)


def check_surroundings(settings: Settings, *, with_redis: bool) -> Provisioned:
    """Return how the topics are, created where they were missing; see that Redis answers.

    Raises: CannotStart with one line that says what is not there and what to do.
    """
    try:
        admin = topic_admin(settings)
    except kafka.errors.KafkaError as fault:
        raise CannotStart(
            asyncio.run(diagnose_connection(settings))
            or f"no Kafka broker answers at {settings.kafka_bootstrap_servers} "
            f"({type(fault).__name__}); start one or set TERRITORY_KAFKA_BOOTSTRAP_SERVERS"
        ) from fault
    try:
        provisioned = provision(admin, settings)
    except TopicsUnfit as unfit:
        raise CannotStart(str(unfit)) from unfit
    except kafka.errors.KafkaError as fault:
        raise CannotStart(f"the topics can't be seen to: {type(fault).__name__}: {fault}") from fault
    finally:
        admin.close()
    if with_redis:
        check_redis(settings)
    return provisioned


def check_redis(settings: Settings) -> None:
    """See that Redis answers, and is what the settings say. Raises: CannotStart."""
    address = settings.redis_url.get_secret_value()
    try:
        client = redis.Redis.from_url(address, socket_connect_timeout=5, decode_responses=True)
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as fault:  # no address, or an option that its scheme does not have
        raise CannotStart(f"TERRITORY_REDIS_URL can't be used: {fault}") from fault
    try:
        client.ping()
        is_cluster = _is_cluster(client)
    except redis.exceptions.RedisError as fault:
        raise CannotStart(
            f"Redis does not answer as TERRITORY_REDIS_URL says ({type(fault).__name__}: {fault}); "
            "start it or correct the address and password"
        ) from fault
    finally:
        client.close()
    if is_cluster != settings.redis_cluster:
        found, wanted = ("a cluster", "true") if is_cluster else ("no cluster", "false")
        raise CannotStart(f"Redis at TERRITORY_REDIS_URL is {found}; set TERRITORY_REDIS_CLUSTER={wanted}")


def _is_cluster(client: Any) -> bool:
    """Whether a Redis says that it is a node of a cluster; every user may ask that."""
    try:
        said = client.execute_command("HELLO")
    except redis.exceptions.ResponseError:  # it does not know the question
        return False
    pairs = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
    return pairs.get("mode") == "cluster"


def build_app(name: str, settings: Settings) -> faust.App:
    """Return a Faust app that hosts services: it produces, serves no pages and consumes nothing itself."""
    folder = Path(settings.data_dir or tempfile.mkdtemp(prefix="territory-")) / name
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        name,
        broker=[URL(f"kafka://{address}") for address in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_faust_credentials(settings),
        store=URL("memory://"),
        datadir=str(folder),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        logging_config=None,
    )
    app.producer_only = True
    return app


class Pages(Service):
    """/metrics, /live and /ready."""

    def __init__(self, settings: Settings, health: Health) -> None:
        super().__init__()
        self._settings = settings
        self._health = health
        self._runner: web.AppRunner

    async def on_start(self) -> None:
        """Begin to listen, before anything else starts: /ready is asked early."""
        pages = web.Application()
        pages.add_routes(
            [web.get("/metrics", self._metrics), web.get("/live", self._live), web.get("/ready", self._ready)]
        )
        self._runner = web.AppRunner(pages, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.metrics_host, self._settings.metrics_port)
        try:
            await site.start()
        except OSError as fault:
            stop_at_once(f"port {self._settings.metrics_port} can't be opened: {fault}; set TERRITORY_METRICS_PORT")
        log.info("listening", port=self._runner.addresses[0][1])

    async def on_stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        metrics.READY.set(self._health.ready)
        metrics.STUCK.set(len(self._health.stuck()))
        body = generate_latest(metrics.REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _live(self, _: web.Request) -> web.Response:
        stuck = self._health.stuck()
        return _answer(200 if not stuck else 503, {"live": not stuck, "stuck": stuck})

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._health.ready
        return _answer(200 if ready else 503, {"ready": ready, "because": self._health.hindrances})


def _answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")


def stop_at_once(why: str) -> NoReturn:
    """End the process without another commit: a promise of our own is broken."""
    log.critical("stopped at once", why=why)
    logging.shutdown()
    os._exit(EXIT_BROKEN)


class ServiceApp:
    """One service of the house: the parts that every one has, around its stages."""

    def __init__(self, name: str, settings: Settings, provisioned: Provisioned) -> None:
        self.settings = settings
        self.partitions = provisioned.partitions
        self.health = Health()
        self.app = build_app(name, settings)
        self.models = ModelWatcher(settings, self.health)
        watcher = TopicWatcher(settings, self.health, provisioned.partitions)
        self._services: list[Service] = [Pages(settings, self.health), watcher, self.models]

    def add_stage(self, stage: Stage) -> TaskLoop:
        """Have a stage run on this service's partitions; return what runs it."""
        self.models.prepare_with(stage.prepare, follows_days=stage.follows_days)
        loop = TaskLoop(stage, self.settings, self.models, self.health, self.partitions)
        self.add_service(loop)
        return loop

    def add_service(self, service: Service) -> None:
        """Have a service started and stopped with the app."""
        self._services.append(service)

    def run(self) -> None:
        """Run until a signal ends it; a crash of any part ends the process with an error."""
        faust.Worker(
            self.app, *self._services, loglevel="WARNING", redirect_stdouts=False, quiet=True, override_logging=False
        ).execute_from_commandline()


def main(name: str, build: Callable[[Settings, Provisioned], ServiceApp], *, with_redis: bool) -> None:
    """Run one service with the settings of the environment; exit 1 with one line when it can't start."""
    configure_logs()
    try:
        settings = read_settings()
        provisioned = check_surroundings(settings, with_redis=with_redis)
        host = build(settings, provisioned)
    except (SettingsRefused, CannotStart) as fault:
        log.error("can't start", service=name, fault=str(fault))  # noqa: TRY400 -- one line, no traceback
        sys.exit(EXIT_REFUSED)
    if provisioned.created:
        log.info("topics created", topics=provisioned.created)
    pause_after_empty_fetches(settings.kafka_fetch_pause_seconds)
    tune_gc()
    shorten_thread_switches()
    host.run()


def _faust_credentials(settings: Settings) -> faust.auth.Credentials | None:
    """Return the credentials of Faust's own producer, which sends nothing."""
    context = ssl_context_of(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        options = sasl_options(settings)
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
