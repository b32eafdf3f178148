"""The command `territory attainment`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from territory_admin.queries.adjustments import adjustments as read_adjustments
from territory_admin.queries.attainment import attainment as read_attainment
from territory_admin.queries.attainment_history import attainment_history
from territory_control.commands.arguments import AsJson
from territory_control.output import Output
from territory_control.views import attainment_history as history_view
from territory_control.views.attainment_tree import adjustments_table, attainment_tree
from territory_runtime.settings import read_settings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def attainment(
    *,
    territory: Annotated[str | None, typer.Option(help="Only this territory, and those below it.")] = None,
    period: Annotated[
        str | None, typer.Option(help="Only this period, such as 2017-Q1, or fiscal year, such as 2017.")
    ] = None,
    users: Annotated[bool, typer.Option("--users", help="Also what each user won in each territory.")] = False,
    over_time: Annotated[
        bool,
        typer.Option(
            "--history",
            help="The value at the end of each day, of one territory or of the roots. The log keeps at least one day; "
            "min.compaction.lag.ms on territory.attainments.v1 sets how many.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Draw the history to a file such as out.png (needs the extra `plot`)."),
    ] = None,
    adjustments: Annotated[
        bool, typer.Option("--adjustments", help="List the deals that changed after their period was closed, instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show each territory against its target, everything below it included.

    Example: territory attainment --period 2017-Q1 --users
    """
    output = Output(as_json=as_json)
    if adjustments:
        if over_time or plot is not None or users:
            raise typer.BadParameter("expected --adjustments without --history, --plot and --users")
        deals = asyncio.run(read_adjustments(read_settings(), territory, period))
        no_deal = Text("no deal has changed since its period was closed")
        output.result(deals, adjustments_table(deals) if deals else no_deal)
        return
    if over_time or plot is not None:
        if users:
            raise typer.BadParameter("expected either --history or --users")
        _show_history(output, territory, period, plot)
        return
    model, rows = asyncio.run(read_attainment(read_settings(), territory, period, users=users))
    nothing = Text("no territory has a target or a deal there")
    today = model.calendar.day_of(datetime.now(UTC))
    output.result(rows, *(attainment_tree(model, rows, output.columns, today) if rows else [nothing]))


def _show_history(output: Output, territory: str | None, period: str | None, plot: Path | None) -> None:
    settings = read_settings()
    drawing = None if plot is None else history_view.Plot(plot)
    with output.bar("reading attainments") as bar:
        model, points = asyncio.run(attainment_history(settings, territory, period, bar.at))
    if drawing is not None:
        drawing.draw(model, points)
        output.note(f"plot written to {plot}")
    output.result(points, *history_view.history(model, points))
