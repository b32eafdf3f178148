"""The commands `territory verify | rebuild | top`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from territory_admin.consistency.rebuild import rebuild as rebuild_index
from territory_admin.consistency.repair import repair as repair_redis
from territory_admin.consistency.verify import verify as compare_with_log
from territory_admin.queries.worker_metrics import fetch_pages, summarise
from territory_control.commands.arguments import AsJson, TimeoutSeconds
from territory_control.failures import EXIT_REFUSED
from territory_control.local.registry import RunningStack, running_stacks
from territory_control.output import Output
from territory_control.views import consistency as consistency_view
from territory_control.views import top as top_view
from territory_runtime.settings import PREFIX, read_settings

VERIFY_SECONDS = 60.0
WORKERS = ["127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466"]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def verify(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write what the topics imply to Redis; removals come first.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, metavar="RECORDS_PER_SECOND", help="Records compared a second; 0: no limit.")
    ] = 20_000.0,
    timeout: TimeoutSeconds = VERIFY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Compare Redis with what the Kafka topics imply; exit 1 when anything differs.

    The services may go on meanwhile: an entry that changes during the comparison is compared again.

    Example: territory verify --repair
    """
    output, settings = Output(as_json=as_json), read_settings()
    with output.bar("comparing") as bar:
        compare = repair_redis if repair else compare_with_log
        done = asyncio.run(compare(settings, per_second=rate, timeout_seconds=timeout, report=bar.at))
    output.result(done, *consistency_view.verified(done))
    if not done.is_clean:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def rebuild(
    *,
    org: Annotated[str | None, typer.Option(help="The organisation; TERRITORY_ORG_ID by default.")] = None,
    timeout: TimeoutSeconds = VERIFY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Rebuild an organisation's index of who sees what, and switch to it in one step.

    Readers see the old index until the switch.

    Example: territory rebuild --org acme
    """
    output, settings = Output(as_json=as_json), read_settings()
    if org is not None:
        settings = settings.model_copy(update={"org_id": org})
    with output.bar("rebuilding") as bar:
        done = asyncio.run(rebuild_index(settings, timeout_seconds=timeout, report=bar.at))
    output.result(done, *consistency_view.rebuilt(done))


@app.command()
def top(
    worker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A worker's metrics address; repeat it for each worker. Those of territory up by default.",
        ),
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two refreshes.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the figures once and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch the workers live: state, throughput, freshness.

    The figures come from the workers' own metrics pages, without Prometheus. Ctrl-C ends it.

    Example: territory top --worker 10.0.0.7:9464 --worker 10.0.0.8:9464
    """
    output = Output(as_json=as_json)
    workers = worker or local_workers(running_stacks(), os.environ) or WORKERS
    if output.is_live and not once:
        try:
            top_view.follow(workers, output.console, every)
        except KeyboardInterrupt:
            return
    pages = fetch_pages(workers)
    current = summarise(pages, (), time.time())
    output.result(current, top_view.workers(current))
    if all(page.fault is not None for page in pages):
        raise typer.Exit(EXIT_REFUSED)


def local_workers(stacks: Sequence[RunningStack], environment: Mapping[str, str]) -> list[str]:
    """Return the workers of the stack on the servers that the environment names; of all stacks if it names none."""
    kafka = environment.get(f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS")
    return [
        url.removeprefix("http://")
        for stack in stacks
        if kafka in (None, "", stack.kafka)
        for url in stack.metrics.values()
    ]
