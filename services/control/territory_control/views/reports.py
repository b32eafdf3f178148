"""A report as tables with totals; columns that do not fit go to a further table with the same first columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.reports.table import Cell, ReportTable
from territory_control.views.text import counted, money

LABEL_COLUMNS_MAX = 32
NOTHING = {"star-performers": "no territory and no user has reached a target"}
PADDING = 2
"""Characters that a column takes beside its text."""


def report(found: ReportTable, columns: int) -> Iterator[RenderableType]:
    """Yield a report's tables, each with the columns that identify a row, and the footer."""
    if not found.rows:
        yield Text(NOTHING.get(found.report, "no deal to report"))
    else:
        for number, figures in enumerate(_blocks(found, columns)):
            if number:
                yield Text()
            yield _table(found, figures)
    yield from notes(found)


def notes(found: ReportTable) -> Iterator[Text]:
    """Yield a report's footer: its totals, its currency, and the deals that were left out."""
    totals = [f"{_heading(name)}: {_number(total)}" for name, total in found.totals.items()]
    yield Text(f"{', '.join(totals)} (amounts in {found.currency}, model revision {found.model_revision})")
    if found.left_out:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in found.left_out.items())
        yield Text(f"{counted(sum(found.left_out.values()), 'deal')} left out, of any period: {reasons}")


def _blocks(found: ReportTable, columns: int) -> Iterator[list[str]]:
    """Yield the figures of each table, as many as fit beside the labels; at least one."""
    free = columns - sum(min(LABEL_COLUMNS_MAX, _width(found, name)) + PADDING for name in found.labels)
    block: list[str] = []
    used = 0
    for name in found.figures:
        width = _width(found, name) + PADDING
        if block and used + width > free:
            yield block
            block, used = [], 0
        block.append(name)
        used += width
    if block:
        yield block


def _width(found: ReportTable, name: str) -> int:
    cells: list[Cell] = [row[name] for row in found.rows]
    texts: Iterable[str] = map(str, cells) if name in found.labels else map(_number, [*cells, found.totals.get(name)])
    return max(len(_heading(name)), *map(len, texts))


def _table(found: ReportTable, figures: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1), show_footer=any(name in found.totals for name in figures))
    for position, name in enumerate(found.labels):
        # Labels fold when the terminal is too narrow for them beside one figure: a figure is never cut.
        total = Text("" if position else "in all")
        table.add_column(_heading(name), total, overflow="fold", max_width=LABEL_COLUMNS_MAX)
    for name in figures:
        total = Text(_number(found.totals.get(name)), style="bold")
        table.add_column(_heading(name), total, justify="right", no_wrap=True)
    for row in found.rows:
        labels = [Text("" if row[name] is None else str(row[name])) for name in found.labels]
        table.add_row(*labels, *(Text(_number(row[name])) for name in figures))
    return table


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _number(cell: Cell) -> str:
    """Return a count, or an amount, days or per cent with two decimals."""
    return f"{cell:,}" if isinstance(cell, int) else money(cell)
