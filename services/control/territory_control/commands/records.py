"""The commands `territory publish | wait | link`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from territory.wire.events import LinkKind
from territory_admin.errors import NotFound
from territory_admin.models.refusal import refusal
from territory_admin.records import link as linking
from territory_admin.records import publish as publishing
from territory_admin.records import wait as waiting
from territory_control.commands.arguments import WAIT_SECONDS, AsJson, RecordArgument, TimeoutSeconds
from territory_control.failures import EXIT_REFUSED
from territory_control.input_files import STDIN
from territory_control.output import Output
from territory_control.views import records as records_view
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl", help="One RecordChange a line; - reads standard input.")],
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Send every line unchecked; bad ones become dead letters.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish record changes to Kafka, one JSON object a line.

    Lines that are no valid RecordChange are listed and not sent; then the exit code is 1.

    Example: territory publish changes.jsonl
    """
    output, settings = Output(as_json=as_json), read_settings()
    with _opened(file) as (lines, size), output.bar("publishing", size) as bar:
        done = asyncio.run(
            publishing.publish(settings, lines, as_is=as_is, report=lambda _, bytes_sent: bar.at(bytes_sent))
        )
    output.result(done, *records_view.published(done))
    if done.refused:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def wait(timeout: TimeoutSeconds = WAIT_SECONDS, as_json: AsJson = False) -> None:
    """Wait until everything published so far is in Redis.

    Changes that are published later are not waited for. The exit code is 1 after the timeout,
    and when the services refused the newest model.

    Example: territory wait --timeout 60
    """
    output, settings = Output(as_json=as_json), read_settings()
    with output.bar("waiting") as bar:
        done = asyncio.run(waiting.wait(settings, timeout, lambda stage, done, total: bar.at(done, total, stage)))
    refused = asyncio.run(refusal(settings))
    output.result({**asdict(done), "refused": refused}, *records_view.waited(done, refused))
    if refused is not None or not done.done:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def link(
    record: RecordArgument,
    territory: Annotated[str, typer.Argument(metavar="TERRITORY", help="The territory's id in the model.")],
    *,
    assign: Annotated[bool, typer.Option("--assign", help="Assign the record, whatever the rules say.")] = False,
    exclude: Annotated[bool, typer.Option("--exclude", help="Keep the record out, whatever the rules say.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Undo either; the rules decide again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pin a record to a territory, or keep it out.

    Example: territory link account/A-1 emea-north --assign
    """
    options: dict[LinkKind, bool] = {"assign": assign, "exclude": exclude, "none": none}
    chosen = [kind for kind, is_on in options.items() if is_on]
    if len(chosen) != 1:
        raise typer.BadParameter("expected exactly one of --assign, --exclude and --none")
    output, settings = Output(as_json=as_json), read_settings()
    done = asyncio.run(linking.link(settings, record, territory, chosen[0]))
    output.result(done, *records_view.linked(done))


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a file of lines, `-` for stdin, with its size in bytes where it has one."""
    if file == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 -- closed below; only opening it may fail this way
    except OSError as fault:
        raise NotFound(f"can't read {file}: {fault.strerror or fault}") from fault
    with opened:
        yield opened, os.fstat(opened.fileno()).st_size or None
