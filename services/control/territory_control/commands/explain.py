"""The commands `territory explain assignment | access`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from territory_admin.queries.explain_access import explain_access
from territory_admin.queries.explain_assignment import explain_assignment
from territory_control.commands.arguments import AsJson, RecordArgument, UserArgument
from territory_control.output import Output
from territory_control.views import access as access_view
from territory_control.views import record as record_view
from territory_runtime.settings import read_settings

NEAR_MISSES = 5

app = typer.Typer(
    name="explain",
    help="Explain why a record is in a territory, or why a user sees it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def assignment(
    record: RecordArgument,
    territory: Annotated[
        str | None, typer.Option(help="Explain only why the record is, or is not, in this territory.")
    ] = None,
    near: Annotated[
        int, typer.Option(min=0, help="List this many territories that the record misses by one condition.")
    ] = NEAR_MISSES,
    as_json: AsJson = False,
) -> None:
    """Explain why a record is in its territories, and which it nearly is in.

    Example: territory explain assignment account/A-1 --territory emea-north
    """
    output = Output(as_json=as_json)
    found = asyncio.run(explain_assignment(read_settings(), record, territory, near))
    output.result(found, *record_view.assignment(found))


@app.command()
def access(user: UserArgument, record: RecordArgument, as_json: AsJson = False) -> None:
    """Explain by which paths a user sees a record, or that there is none.

    Example: territory explain access ann account/A-1
    """
    output = Output(as_json=as_json)
    found = asyncio.run(explain_access(read_settings(), user, record))
    output.result(found, *access_view.paths_of_user(found))
