"""The commands `territory visible | viewers`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from territory.model.document import OBJECTS, Level, ObjectType
from territory_admin.queries.viewers import viewers as viewers_of_record
from territory_admin.queries.visible import visible as visible_to_user
from territory_control.commands.arguments import AsJson, RecordArgument, UserArgument
from territory_control.output import Output
from territory_control.views import access as access_view
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def visible(
    user: UserArgument,
    only: Annotated[ObjectType | None, typer.Option("--object", help="Only this object; all four by default.")] = None,
    level: Annotated[Level, typer.Option(help="The least that the user may do with them.")] = "read",
    as_json: AsJson = False,
) -> None:
    """List the records that a user sees.

    Example: territory visible ann --object deal --level edit
    """
    output = Output(as_json=as_json)
    found = asyncio.run(visible_to_user(read_settings(), user, OBJECTS if only is None else (only,), level))
    output.result(found, *access_view.visible_records(found))


@app.command()
def viewers(record: RecordArgument, as_json: AsJson = False) -> None:
    """List the users who see a record.

    Example: territory viewers account/A-1
    """
    output = Output(as_json=as_json)
    found = asyncio.run(viewers_of_record(read_settings(), record))
    output.result(found, *access_view.viewers(found))
