"""The command `territory show`, in a module of its own so that it starts fast."""

from __future__ import annotations

import asyncio

import typer

from territory_admin.queries.show import show as show_record
from territory_control.commands.arguments import AsJson, RecordArgument
from territory_control.output import Output
from territory_control.views import record as record_view
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def show(record: RecordArgument, as_json: AsJson = False) -> None:
    """Show a record's owner, its territories and why, and how many users see it.

    Example: territory show account/A-1
    """
    output = Output(as_json=as_json)
    found = asyncio.run(show_record(read_settings(), record))
    output.result(found, *record_view.record(found))
