"""The command `territory unreadable`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from territory_admin.queries.unreadable import list_unreadable
from territory_control.commands.arguments import AsJson
from territory_control.output import Output
from territory_control.views import unreadable as unreadable_view
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def unreadable(
    *,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Values of one page; it ends with a whole record.")
    ] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="OBJECT/ID", help="Begin behind this record: the next page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the values of records that can't be read as their fields' types.

    They take part in no rule and in no sum until the CRM sends them mended. `found` is the value, cut; it may be
    personal data.

    Example: territory unreadable --limit 20
    """
    output, settings = Output(as_json=as_json), read_settings()
    with output.bar("reading") as bar:
        found = asyncio.run(list_unreadable(settings, limit, after, bar.at))
    output.result(found, *unreadable_view.unreadable(found))
