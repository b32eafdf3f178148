"""The command `territory records`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from territory.model.document import OBJECTS, ObjectType
from territory_admin.arguments import RecordName
from territory_admin.queries import records as listing
from territory_control.commands.arguments import AsJson, parse_record
from territory_control.tables import TableFile, TableFormat, table_output
from territory_control.views import lists as lists_view
from territory_runtime.settings import read_settings

TABLE_LIMIT = 100

app = typer.Typer(rich_markup_mode=None)


@app.command()
def records(
    *,
    territory: Annotated[str | None, typer.Option(help="Records in this territory, and in those below it.")] = None,
    own: Annotated[bool, typer.Option("--own", help="With --territory: only records in the territory itself.")] = False,
    owner: Annotated[
        str | None, typer.Option(help="Records of this user or group, also of a user who has left the model.")
    ] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Records in no territory.")] = False,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Deals that are in no forecast sum, with the reason.")
    ] = False,
    only: Annotated[ObjectType | None, typer.Option("--object", help="Only this object; all four by default.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"Records on a page; {TABLE_LIMIT} in a table, otherwise all by default."),
    ] = None,
    after: Annotated[
        RecordName | None,
        typer.Option(metavar="OBJECT/ID", parser=parse_record, help="Go on after this record, the last of a page."),
    ] = None,
    format_: TableFormat = "table",
    file: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List records by territory, by owner, without a territory, or left out of the sums.

    Each record has its owner, its territories and, where it is missing somewhere, the reason.
    A spreadsheet (xlsx) opens in any language's Excel, with long ids and amounts unharmed.

    Example: territory records --owner ann --format xlsx --output anns-records.xlsx
    """
    if sum((territory is not None, owner is not None, unassigned, left_out)) != 1:
        raise typer.BadParameter("expected exactly one of --territory, --owner, --unassigned and --left-out")
    if own and territory is None:
        raise typer.BadParameter("expected --own only with --territory")
    if left_out and only not in (None, "deal"):
        raise typer.BadParameter("expected no --object but deal with --left-out: only deals are in sums")
    table = table_output(format_, file, as_json=as_json)
    objects = OBJECTS if only is None else (only,)
    settings = read_settings()
    if limit is None and table.is_text:
        limit = TABLE_LIMIT
    page = listing.ListPart(after, limit)
    with table.output.bar("reading assignments") as bar:
        if territory is not None:
            asked = listing.records_of_territory(
                settings, territory, own=own, objects=objects, page=page, report=bar.at
            )
        elif owner is not None:
            asked = listing.records_of_owner(settings, owner, objects=objects, page=page, report=bar.at)
        elif unassigned:
            asked = listing.unassigned_records(settings, objects=objects, page=page, report=bar.at)
        else:
            asked = listing.left_out_records(settings, page)
        found = asyncio.run(asked)
    table.write(found, "records", lists_view.COLUMNS, lists_view.rows(found), (), *lists_view.records(found))
    if not table.is_text:
        table.output.note(*lists_view.next_page(found))
