"""How territories stand, as a tree that people read: a line each, a bar for every period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from territory.model.compiled import Model
from territory.money import ZERO, add
from territory_admin.queries.redis_reader import AdjustedDeal, AttainmentRow

BAR_CELLS = 8
EIGHTHS = " ▏▎▍▌▋▊▉"
CELL_COLUMNS = BAR_CELLS + 8
WON_COLUMNS = 16
NAME_COLUMNS_MAX = 48
INDENT = 4


def bar(percent: Decimal, cells: int = BAR_CELLS) -> str:
    """Return a bar that is full at 100 per cent."""
    eighths = int(min(max(percent, ZERO), Decimal(100)) * cells * 8 / 100)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells, "·")


def money(amount: str | Decimal | None) -> str:
    """Return an amount as people read it; nothing for none."""
    return "" if amount is None else f"{Decimal(amount):,}"


def tree_of(model: Model, rows: Iterable[AttainmentRow], columns: int) -> Tree:
    """Return the territories with what they attained in each period, and what they won in all of them.

    Of more periods than fit into the columns the last ones are shown; without a target there is no bar.
    """
    placed: dict[tuple[str, str | None], dict[str, AttainmentRow]] = {}
    for row in rows:
        placed.setdefault((row.territory_id, row.user_id), {})[row.period] = row
    width = min(NAME_COLUMNS_MAX, _name_columns(model, placed))
    periods = sorted({period for by_period in placed.values() for period in by_period})
    fitting = max(1, (columns - width - WON_COLUMNS) // CELL_COLUMNS)
    shown = periods[-fitting:]
    head = "".ljust(width) + "".join(period.ljust(CELL_COLUMNS) for period in shown) + "won".rjust(WON_COLUMNS)
    root = Tree(Text(head, style="bold", no_wrap=True))
    if any(row.frozen for by_period in placed.values() for period, row in by_period.items() if period in shown):
        root.add(Text("* closed, with its figures of then; --adjustments lists the deals that changed since"))
    if len(shown) < len(periods):
        root.add(Text(f"{len(periods) - len(shown)} earlier periods do not fit here; --period shows one"))
    nodes: dict[str, Tree] = {}
    for territory_id in _with_their_ancestors(model, {territory_id for territory_id, _ in placed}):
        node = model.territories[territory_id]
        above = nodes.get(node_parent) if (node_parent := model.tree.parent_of(territory_id)) is not None else root
        line = _line(node.name, width - INDENT * (node.depth + 1), placed.get((territory_id, None), {}), shown)
        nodes[territory_id] = (above or root).add(line)
    for territory_id, user_id in sorted((place[0], place[1]) for place in placed if place[1] is not None):
        if territory_id in nodes:
            person = model.people.get(user_id)
            indent = INDENT * (model.territories[territory_id].depth + 2)
            name = person.name if person is not None else user_id
            nodes[territory_id].add(_line(name, width - indent, placed[territory_id, user_id], shown, style="dim"))
    return root


def _with_their_ancestors(model: Model, territory_ids: set[str]) -> list[str]:
    """Return territories and those above them, parents first; what the model lacks is left out."""
    wanted = {above for found in territory_ids if found in model.tree for above in model.tree.path_of(found)}
    return [territory_id for territory_id in model.tree if territory_id in wanted]


def _name_columns(model: Model, placed: Iterable[tuple[str, str | None]]) -> int:
    widths = [20]
    for territory_id, user_id in placed:
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
    return f"{bar(percent)}{percent:>5.0f}%{mark}", colour


def adjustments_table(deals: Iterable[AdjustedDeal]) -> Table:
    """Return the deals that count for something else than when their period was closed, a line each."""
    table = Table("period", "deal", "when it was closed", "now")
    for deal in deals:
        table.add_row(deal.period, deal.id, _counted(deal.frozen), _counted(deal.now))
    return table


def _counted(side: Mapping[str, Any] | None) -> str:
    return "nothing" if side is None else f"{money(side['amount'])} {side['category']} in {side['path'][0]}"
