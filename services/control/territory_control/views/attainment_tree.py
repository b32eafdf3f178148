"""Attainment as a tree: a line for each territory or user, a bar for each period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from territory.model.compiled import Model
from territory.model.periods import FiscalCalendar
from territory.money import ZERO, add
from territory_admin.queries.redis_reader import AdjustedDeal, AttainmentRow
from territory_control.views.text import counted, identifying, money, named

BAR_CELLS = 8
EIGHTHS = " ▏▎▍▌▋▊▉"
CELL_COLUMNS = BAR_CELLS + 8
WON_COLUMNS = 16
NAME_COLUMNS_MAX = 48
INDENT = 4
YEARS_MAX = 3


def percent_bar(percent: Decimal, cells: int = BAR_CELLS) -> str:
    """Return a bar that is full at 100 per cent."""
    eighths = int(min(max(percent, ZERO), Decimal(100)) * cells * 8 / 100)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells, "·")


def attainment_tree(
    model: Model, rows: Iterable[AttainmentRow], columns: int, today: date | None = None
) -> list[RenderableType]:
    """Return the tree of territories with a bar for each period, and notes below it.

    When the periods do not fit into the columns, the last ones up to the present period are shown, or without a day
    the last ones at all. Without a target there is no bar.
    The column `won` adds up all periods. Fiscal years, which add up periods, are shown only if there is nothing else.
    """
    rows, years = _without_years(list(rows))
    by_line: dict[tuple[str, str | None], dict[str, AttainmentRow]] = {}
    for row in rows:
        by_line.setdefault((row.territory_id, row.user_id), {})[row.period] = row
    width = min(NAME_COLUMNS_MAX, _name_columns(model, by_line))
    periods = sorted({period for by_period in by_line.values() for period in by_period})
    present = None if today is None else model.calendar.period_of(today)
    shown = _fitting(periods, max(1, (columns - width - WON_COLUMNS) // CELL_COLUMNS), present)
    heading = "".ljust(width) + "".join(period.ljust(CELL_COLUMNS) for period in shown) + "won".rjust(WON_COLUMNS)
    root = Tree(Text(heading, style="bold", no_wrap=True))
    nodes: dict[str, Tree] = {}
    for territory_id in _with_ancestors(model, {territory_id for territory_id, _ in by_line}):
        node = model.territories[territory_id]
        parent_id = model.tree.parent_of(territory_id)
        parent = nodes.get(parent_id, root) if parent_id is not None else root
        line = _line(node.name, width - INDENT * (node.depth + 1), by_line.get((territory_id, None), {}), shown)
        nodes[territory_id] = parent.add(line)
    for territory_id, user_id in sorted((place[0], place[1]) for place in by_line if place[1] is not None):
        if territory_id in nodes:
            person = model.people.get(user_id)
            indent = INDENT * (model.territories[territory_id].depth + 2)
            name = person.name if person is not None else user_id
            nodes[territory_id].add(_line(name, width - indent, by_line[territory_id, user_id], shown, style="dim"))
    return [root, *_notes(by_line.values(), shown, [one for one in periods if one not in shown], years)]


def _without_years(rows: list[AttainmentRow]) -> tuple[list[AttainmentRow], list[str]]:
    """Return the rows of periods, and the years that are not among them; the rows of years if there are no others."""
    of_periods = [row for row in rows if not FiscalCalendar.is_year(row.period)]
    years = {row.period for row in rows} - {row.period for row in of_periods}
    return (of_periods, sorted(years)) if of_periods else (rows, [])


def _fitting(periods: list[str], count: int, present: str | None) -> list[str]:
    """Return as many periods as fit, side by side: they end with the present one where there are enough before it."""
    past = len(periods) if present is None else sum(period <= present for period in periods)
    end = max(past, min(count, len(periods)))
    return periods[max(0, end - count) : end]


def _notes(
    lines: Iterable[Mapping[str, AttainmentRow]], shown: Iterable[str], hidden: Sequence[str], years: Sequence[str]
) -> list[Text]:
    notes = []
    if any(by_period[period].frozen for by_period in lines for period in shown if period in by_period):
        notes.append(
            Text("* closed: the figures of when it was closed; --adjustments lists the deals that changed since")
        )
    if years:
        notes.append(Text(f"fiscal years: {', '.join(f'--period {year}' for year in years[-YEARS_MAX:])}"))
    if hidden:
        count = counted(len(hidden), "period")
        notes.append(Text(f"{count} not shown, for lack of columns; --period shows one: {named(hidden)}"))
    return notes


def _with_ancestors(model: Model, territory_ids: set[str]) -> list[str]:
    """Return territories and their ancestors, parents first; without those that the model does not have."""
    wanted = {above for found in territory_ids if found in model.tree for above in model.tree.path_of(found)}
    return [territory_id for territory_id in model.tree if territory_id in wanted]


def _name_columns(model: Model, by_line: Iterable[tuple[str, str | None]]) -> int:
    widths = [20]
    for territory_id, user_id in by_line:
        if territory_id not in model.territories:
            continue
        node = model.territories[territory_id]
        name, depth = node.name, node.depth + 1
        if user_id is not None:
            name, depth = model.people[user_id].name if user_id in model.people else user_id, depth + 1
        widths.append(INDENT * depth + len(name) + 2)
    return max(widths)


def _line(name: str, columns: int, by_period: dict[str, AttainmentRow], shown: list[str], style: str = "") -> Text:
    columns = max(columns, 4)
    clipped = name if len(name) < columns else name[: columns - 2] + "… "
    line = Text(clipped.ljust(columns), style=style, no_wrap=True)
    for period in shown:
        text, colour = _cell(by_period.get(period))
        line.append(text.ljust(CELL_COLUMNS), style=colour)
    won = ZERO
    for row in by_period.values():
        won = add(won, Decimal(row.won or 0))
    return line.append((money(won) if by_period else "").rjust(WON_COLUMNS))


def _cell(row: AttainmentRow | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    mark = "*" if row.frozen else ""
    if row.attainment_pct is None:
        return "no target".rjust(BAR_CELLS + 6) + mark, "dim"
    percent = Decimal(row.attainment_pct)
    colour = "green" if percent >= 100 else "yellow" if percent >= 80 else "red"
    return f"{percent_bar(percent)}{percent:>5.0f}%{mark}", colour


def adjustments_table(deals: Iterable[AdjustedDeal]) -> Table:
    """Return a line for each deal that counts differently since its period was closed (F12)."""
    listed, table = list(deals), Table()
    identifying(table, "period", (deal.period for deal in listed))
    identifying(table, "deal", (deal.id for deal in listed))
    for heading in ("when it was closed", "now"):
        table.add_column(heading, overflow="fold")
    for deal in listed:
        table.add_row(deal.period, deal.id, _side(deal.frozen), _side(deal.now))
    return table


def _side(side: Mapping[str, Any] | None) -> str:
    return "nothing" if side is None else f"{money(side['amount'])} {side['category']} in {side['path'][0]}"
