"""The commands `territory report star-performers | revenue | sales-cycle | pipeline | custom`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from territory_admin.reports.custom import ATTRIBUTES
from territory_admin.reports.measures import MEASURES
from territory_admin.reports.run import ReportFilter, custom_report, standard_report
from territory_admin.reports.standard import OpenPipeline, Revenue, SalesCycle, StarPerformers
from territory_admin.reports.table import Report, ReportTable
from territory_control.commands.arguments import AsJson
from territory_control.tables import TableFile, TableFormat, TableOutput, table_output
from territory_control.views import reports as reports_view
from territory_runtime.settings import read_settings

app = typer.Typer(
    name="report",
    help="Report on the deals: who is ahead, what was won, what is open.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Period = Annotated[
    str | None, typer.Option(help="Only this period, such as 2017-Q1, or fiscal year, such as 2017; all by default.")
]
Territory = Annotated[str | None, typer.Option(help="Only this territory and everything below it.")]


@app.command("star-performers")
def star_performers(
    period: Period = None,
    territory: Territory = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List the territories and users who reached their target, by period; the furthest ahead first.

    Example: territory report star-performers --period 2017-Q1
    """
    _standard(StarPerformers, ReportFilter(period, territory), table_output(format_, file, as_json=as_json))


@app.command()
def revenue(
    period: Period = None,
    territory: Territory = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Sum up the won deals by period and territory: its own, and with everything below it.

    Example: territory report revenue --territory west --format csv
    """
    _standard(Revenue, ReportFilter(period, territory), table_output(format_, file, as_json=as_json))


@app.command("sales-cycle")
def sales_cycle(
    period: Period = None,
    territory: Territory = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure how many days won deals took, by territory: its own, and with everything below it.

    Days count from the creation to the close date, which also decides the period. Both are days of the
    organisation's time zone. The mean is rounded to two decimals. The 90th percentile is the shortest time within
    which at least 90 % of the deals were won.

    Example: territory report sales-cycle --period 2017-Q1
    """
    _standard(SalesCycle, ReportFilter(period, territory), table_output(format_, file, as_json=as_json))


@app.command()
def pipeline(
    period: Period = None,
    territory: Territory = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Sum up the open deals by period, territory and category: its own, and with everything below it.

    Example: territory report pipeline --territory west
    """
    _standard(OpenPipeline, ReportFilter(period, territory), table_output(format_, file, as_json=as_json))


@app.command()
def custom(
    *,
    measure: Annotated[list[str], typer.Option("--measure", help=f"One of {', '.join(MEASURES)}; may be repeated.")],
    by: Annotated[
        list[str],
        typer.Option(
            "--by",
            help=f"One of {', '.join(ATTRIBUTES)}, a declared field of the deal (product) or of its account "
            "(account.sector); may be repeated.",
        ),
    ],
    period: Period = None,
    territory: Territory = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Group any measures by attributes and fields of the deals.

    A deal counts only in its own territory, so that the rows add up to the totals.

    Example: territory report custom --measure won --by territory --by account.sector
    """
    table, settings = table_output(format_, file, as_json=as_json), read_settings()
    with table.output.bar("reading deals") as bar:
        found = asyncio.run(custom_report(settings, measure, by, ReportFilter(period, territory), bar.at))
    _print(table, found)


def _standard(kind: type[Report], part: ReportFilter, table: TableOutput) -> None:
    settings = read_settings()
    with table.output.bar("reading deals") as bar:
        found = asyncio.run(standard_report(settings, kind, part, bar.at))
    _print(table, found)


def _print(table: TableOutput, found: ReportTable) -> None:
    columns = [*found.labels, *found.figures]
    text = reports_view.report(found, table.output.columns) if table.is_text else ()
    table.write(found, found.report, columns, found.rows, found.figures, *text)
    if table.format in ("csv", "xlsx"):
        table.output.note(*reports_view.notes(found))
