"""The commands `territory report star-performers | revenue | sales-cycle | pipeline | custom`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.reports.custom import ATTRIBUTES
from territory_admin.reports.measures import MEASURES
from territory_admin.reports.run import ReportFilter, custom_report, standard_report
from territory_admin.reports.standard import OpenPipeline, Revenue, SalesCycle, StarPerformers
from territory_admin.reports.table import Cell, Report, ReportTable
from territory_control.options import AsJson
from territory_control.output import Output
from territory_control.views.results import counted
from territory_runtime.settings import read_settings

app = typer.Typer(
    help="Count the deals on the log, as they are now: who is ahead, what was won, what is open, how long sales take.",
    no_args_is_help=True,
)

Period = Annotated[str | None, typer.Option(help="Only this one, such as 2017-Q1. Default: each.")]
Territory = Annotated[str | None, typer.Option(help="Only this one and everything below it.")]
Format = Annotated[
    Literal["table", "csv", "json"],
    typer.Option("--format", help="csv: the rows on stdout, totals on stderr; json: as --json."),
]


@app.command("star-performers")
def star_performers(
    period: Period = None, territory: Territory = None, format_: Format = "table", as_json: AsJson = False
) -> None:
    """Territories and users who won at least their target, in each period; who won the most of it first."""
    _standard(StarPerformers, ReportFilter(period, territory), format_, as_json)


@app.command()
def revenue(
    period: Period = None, territory: Territory = None, format_: Format = "table", as_json: AsJson = False
) -> None:
    """What was won, by period and territory: its own deals, and with everything below it."""
    _standard(Revenue, ReportFilter(period, territory), format_, as_json)


@app.command("sales-cycle")
def sales_cycle(
    period: Period = None, territory: Territory = None, format_: Format = "table", as_json: AsJson = False
) -> None:
    """Days from the creation of won deals to their close, by territory: own deals, and with everything below.

    The mean is rounded to two decimals. The 90th percentile is the shortest time within which
    at least 90 % of the deals were won. Periods are those of the close date.
    """
    _standard(SalesCycle, ReportFilter(period, territory), format_, as_json)


@app.command()
def pipeline(
    period: Period = None, territory: Territory = None, format_: Format = "table", as_json: AsJson = False
) -> None:
    """What is open, by period, territory and category: its own deals, and with everything below it."""
    _standard(OpenPipeline, ReportFilter(period, territory), format_, as_json)


@app.command()
def custom(
    *,
    measure: Annotated[list[str], typer.Option("--measure", help=f"Of {', '.join(MEASURES)}; once or more.")],
    by: Annotated[
        list[str],
        typer.Option(
            "--by",
            help=f"Of {', '.join(ATTRIBUTES)}, a declared field of the deal (product), or of its account "
            "(account.sector); once or more.",
        ),
    ],
    period: Period = None,
    territory: Territory = None,
    format_: Format = "table",
    as_json: AsJson = False,
) -> None:
    """Any measures by any groups. A territory is the deal's own, so that rows add up to the totals."""
    output, settings = _output(format_, as_json), read_settings()
    with output.bar("reading") as bar:
        found = asyncio.run(custom_report(settings, measure, by, ReportFilter(period, territory), bar.at))
    _say(output, format_, found)


def _standard(kind: type[Report], part: ReportFilter, format_: str, as_json: bool) -> None:
    output, settings = _output(format_, as_json), read_settings()
    with output.bar("reading") as bar:
        found = asyncio.run(standard_report(settings, kind, part, bar.at))
    _say(output, format_, found)


def _output(format_: str, as_json: bool) -> Output:
    if as_json and format_ == "csv":
        raise typer.BadParameter("expected either --json or --format csv")
    return Output(as_json=as_json or format_ == "json")


# --- what people read ------------------------------------------------------------------------


def _say(output: Output, format_: str, found: ReportTable) -> None:
    if format_ == "csv":
        output.csv([*found.labels, *found.figures], found.rows)
        output.note(*beneath(found))
    else:
        output.result(found, *shown(found))


def shown(found: ReportTable) -> Iterable[RenderableType]:
    """Return a report as a table with its totals."""
    if found.rows:
        table = Table(box=None, padding=(0, 1), show_footer=any(name in found.totals for name in found.figures))
        for place, name in enumerate(found.labels):
            table.add_column(_heading(name), Text("" if place else "in all"), overflow="fold")
        for name in found.figures:
            total = Text(_figure(found.totals.get(name)), style="bold")
            table.add_column(_heading(name), total, justify="right", no_wrap=True)
        for row in found.rows:
            labels = [Text(str(cell)) if (cell := row[name]) is not None else Text("") for name in found.labels]
            table.add_row(*labels, *(Text(_figure(row[name])) for name in found.figures))
        yield table
    else:
        yield Text("no deal to report there")
    yield from beneath(found)


def beneath(found: ReportTable) -> Iterable[Text]:
    """Return what is said below a report: totals that have no column, the currency, and what is left out."""
    totals = [f"{_heading(name)}: {_figure(total)}" for name, total in found.totals.items()]
    yield Text(f"{', '.join(totals)} (amounts in {found.currency}, model revision {found.model_revision})")
    if found.left_out:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in found.left_out.items())
        yield Text(f"{counted(sum(found.left_out.values()), 'deal')} left out, of any period: {reasons}")


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _figure(cell: Cell) -> str:
    return "" if cell is None else f"{Decimal(cell):,}"
