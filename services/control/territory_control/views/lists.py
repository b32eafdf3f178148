"""Lists of records: a row each, and where the next page begins."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.queries.records import RecordPage
from territory_control.views.text import counted, identifying, named

COLUMNS = ("object", "id", "owner_id", "owner", "territories", "reason")
"""Of CSV and of a spreadsheet."""


def rows(found: RecordPage) -> Iterator[dict[str, object]]:
    """Yield the rows of CSV and of a spreadsheet; the territories of a record are separated by blanks."""
    for each in found.records:
        yield {
            "object": each.object,
            "id": each.id,
            "owner_id": each.owner_id,
            "owner": each.owner,
            "territories": " ".join(each.territories),
            "reason": each.reason,
        }


def records(found: RecordPage) -> Iterator[RenderableType]:
    """Yield the list as a table, and below it how many there are and how to see more."""
    if found.records:
        table = Table(box=None, padding=(0, 2, 0, 0))
        identifying(table, "record", (f"{each.object}/{each.id}" for each in found.records))
        table.add_column("owner", overflow="fold")
        table.add_column("territories", overflow="fold")
        if any(each.reason for each in found.records):
            table.add_column("why", overflow="fold")
        for each in found.records:
            cells = [f"{each.object}/{each.id}", each.owner or each.owner_id or "", named(each.territories)]
            cells += [each.reason or ""] * (len(table.columns) - len(cells))
            table.add_row(*map(Text, cells))
        yield table
    yield Text(counted(found.total, "record") if found.total else "no record")
    yield from next_page(found)


def next_page(found: RecordPage) -> Iterator[Text]:
    """Yield how to see the next page, if there is one."""
    if found.next is not None:
        yield Text(f"more: --after {found.next}")
