"""Values that cannot be read: of all records by field, and those of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.queries.unreadable import UnreadableValue, UnreadableValues
from territory_control.views.text import counted


def unreadable(found: UnreadableValues) -> Iterator[RenderableType]:
    """Yield how many values of each field cannot be read, and those of a page."""
    if not found.total:
        yield Text("every value can be read")
        return
    counts = Table(box=None, padding=(0, 2), title=counted(found.total, "unreadable value"), title_justify="left")
    for heading in ("field", "values"):
        counts.add_column(heading)
    for field in found.fields:
        counts.add_row(Text(f"{field.object}.{field.field}"), f"{field.values:,}")
    yield counts
    if not found.values:
        return
    table = Table(box=None, padding=(0, 2))
    for heading in ("record", "field", "found", "expected"):
        table.add_column(heading, overflow="fold")
    for value in found.values:
        table.add_row(Text(value.record), Text(value.field), Text(value.found), Text(value.expected))
    yield table
    if found.next is not None:
        yield Text(f"more with --after {found.next}")


def of_record(values: Iterable[UnreadableValue]) -> Iterator[Text]:
    """Yield a line for each unreadable value of one record."""
    for value in values:
        yield Text(f"{value.field} can't be read: found {value.found}, expected {value.expected}", style="yellow")
