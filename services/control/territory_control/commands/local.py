"""The commands `territory up | demo`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from territory_control.commands.arguments import AsJson
from territory_control.local import demo as demo_run
from territory_control.local.stack import names_own_servers, running_stack, watch
from territory_control.output import Output
from territory_control.views import local as local_view
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="A free port by default.")]


@app.command()
def up(
    kafka_port: Port = None,
    redis_port: Port = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep all data in this folder; by default nothing is kept after the end."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run all services on this machine until Ctrl-C.

    They use an embedded broker and Redis, unless the environment names servers:
    TERRITORY_KAFKA_BOOTSTRAP_SERVERS and TERRITORY_REDIS_URL.

    Example: territory up --data-dir ./territory-data
    """
    output, settings = Output(as_json=as_json), read_settings()
    embedded = not names_own_servers(os.environ)
    output.note("starting")
    try:
        with running_stack(
            settings, embedded=embedded, data_dir=data_dir, kafka_port=kafka_port, redis_port=redis_port
        ) as (stack, _):
            output.result(stack.addresses, *local_view.addresses(stack.addresses))
            output.note("running; Ctrl-C stops it")
            watch(stack)
    except KeyboardInterrupt:
        output.note("stopped")


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the example organisation with its 8 800 real deals through everything.

    It starts an embedded broker, a Redis and all services, and removes them at the end.

    Example: territory demo --keep
    """
    output, settings = Output(as_json=as_json), read_settings()
    output.note("starting an embedded broker and Redis, and all services")
    with running_stack(settings, embedded=True) as (stack, reached):
        with output.bar("publishing") as bar:
            run = asyncio.run(demo_run.run_demo(reached, output.note, bar))
        output.result(run.result, *local_view.demo_result(run, output.columns))
        if keep:
            try:
                output.note(*local_view.addresses(stack.addresses), "running; Ctrl-C stops it")
                watch(stack)
            except KeyboardInterrupt:
                output.note("stopping")
