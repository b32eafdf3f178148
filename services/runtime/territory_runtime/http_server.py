"""The HTTP server of a worker: /metrics, /live, /ready, and point queries on request.

A plain aiohttp server and not Faust's: see docs/adr/0013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from territory.wire.codec import encode
from territory.wire.keys import record_key
from territory_runtime import metrics
from territory_runtime.health import Health
from territory_runtime.settings import Settings

log = structlog.get_logger("territory")

ANSWER_SECONDS_MAX = 5.0
"""How long a point query waits for the batch that is being processed, which itself may wait for Redis."""
EVERY_INTERFACE = ("0.0.0.0", "::", "")  # noqa: S104 -- what others cannot connect to

Lookup = Callable[[Any, str], object | None]
"""Returns what a fold knows of a record key, as something that `encode` takes; None: nothing."""


class PortTaken(Exception):
    """Raised when the port cannot be opened."""


class QueriedLoop(Protocol):
    """The part of a task loop that point queries need."""

    async def between_batches(self, look: Callable[[Mapping[int, Any]], Awaitable[None]]) -> None:
        """Call `look` with the folds of all restored partitions while no batch is processed, or not at all."""

    @property
    def owners(self) -> Mapping[str, Collection[int]]:
        """By address of a worker, the partition numbers that it owns, as of the last assignment."""


@dataclass(frozen=True, slots=True)
class QueriedStage:
    """One stage that answers point queries."""

    name: str
    loop: QueriedLoop
    lookup: Lookup
    partitions: int


class HttpServer(Service):
    """Serves a worker's pages."""

    def __init__(self, settings: Settings, health: Health, stages: Collection[QueriedStage] = ()) -> None:
        """Take what the pages show; `stages` may grow until the server starts."""
        super().__init__()
        self._settings = settings
        self._health = health
        self._stages = stages
        self._runner: web.AppRunner
        self.port = 0

    async def on_start(self) -> None:
        """Listen before anything else starts: orchestrators ask /ready early.

        Raises: PortTaken.
        """
        pages = web.Application()
        pages.add_routes(
            [web.get("/metrics", self._metrics), web.get("/live", self._live), web.get("/ready", self._ready)]
        )
        if self._settings.point_queries:
            pages.add_routes([web.get("/records/{org}/{object}/{id}", self._record)])
        self._runner = web.AppRunner(pages, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.metrics_host, self._settings.metrics_port)
        try:
            await site.start()
        except OSError as fault:
            raise PortTaken(
                f"port {self._settings.metrics_port} can't be opened: {fault}; set TERRITORY_METRICS_PORT"
            ) from fault
        self.port = int(self._runner.addresses[0][1])
        log.info("listening", port=self.port)

    async def on_stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    @property
    def address(self) -> str | None:
        """`host:port` by which others reach this server; None: not known."""
        if not self._settings.point_queries:
            return None
        if self._settings.advertised_address is not None:
            return self._settings.advertised_address
        host = self._settings.metrics_host
        return None if host in EVERY_INTERFACE else f"{host}:{self.port}"

    # --- the state of the process ------------------------------------------------------------

    async def _metrics(self, _: web.Request) -> web.Response:
        metrics.READY.set(self._health.ready)
        metrics.STUCK.set(len(self._health.stuck()))
        body = generate_latest(metrics.REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _live(self, _: web.Request) -> web.Response:
        stuck = self._health.stuck()
        return _json(200 if not stuck else 503, {"live": not stuck, "stuck": stuck})

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._health.ready
        return _json(200 if ready else 503, {"ready": ready, "because": self._health.hindrances})

    # --- point queries -----------------------------------------------------------------------

    async def _record(self, request: web.Request) -> web.Response:
        """Answer what this worker's folds know of one record.

        No worker can compute which partition a record is in: the first topic is partitioned by the
        upstream, the others by family. So a worker that lacks the record names the other workers.
        """
        key = record_key(request.match_info["org"], request.match_info["object"], request.match_info["id"])
        found: dict[str, object] = {}
        seen: dict[str, int] = {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                for stage in self._stages:
                    seen[stage.name] = await _look_up(stage, key, found)
        except TimeoutError:
            return _unavailable(f"this worker did not finish a batch within {ANSWER_SECONDS_MAX:g} s")
        if found:
            return _json(200, {"key": key, "stages": found})
        if all(seen[stage.name] == stage.partitions for stage in self._stages):
            return _json(404, {"problem": f"{key} is on no partition; this worker has them all"})
        workers = sorted({address for stage in self._stages for address in stage.loop.owners} - {self.address})
        if workers:
            return _json(421, {"problem": f"{key} is not on this worker; ask the others", "workers": workers})
        return _unavailable(f"{key} is not on this worker, whose partitions are not all restored")


async def _look_up(stage: QueriedStage, key: str, found: dict[str, object]) -> int:
    """Add what a stage knows of a key; return in how many partitions that was looked up."""
    looked_at = 0

    async def look(folds: Mapping[int, Any]) -> None:
        nonlocal looked_at
        looked_at = len(folds)
        for fold in folds.values():
            state = stage.lookup(fold, key)
            if state is not None:
                found[stage.name] = state
                return

    await stage.loop.between_batches(look)
    return looked_at


def _unavailable(problem: str) -> web.Response:
    answer = _json(503, {"problem": problem})
    answer.headers["Retry-After"] = "1"
    return answer


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")
