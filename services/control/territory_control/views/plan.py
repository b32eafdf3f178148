"""What applying a model would change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.models.changes import PieceChanges
from territory_admin.planning.emptied import EmptiedTerritory
from territory_admin.planning.plan import Planned
from territory_control.views.text import clipped, counted, identifying, money, named

ROWS_MAX = 40
"""In each table; `--json` has all rows."""


def plan_view(planned: Planned) -> Iterator[RenderableType]:
    """Yield what applying a model would change, the most important first."""
    plan = planned.plan
    yield Text(_heading(planned))
    yield from _pieces(planned.changes)
    moved = ", ".join(counted(count, kind) for kind, count in plan.moved.items())
    yield Text(f"of {counted(plan.records, 'record')}, in other territories: {moved or 'none'}")
    for record in plan.examples:
        yield Text(
            f"  {record.object}/{record.id}: {named(record.before) or 'none'} -> {named(record.after) or 'none'}"
        )
    yield from _emptied(plan.emptied)
    if plan.territories:
        yield _table(
            "territories",
            ("territory", "records now", "then", "enter", "leave"),
            [(each.territory_id, each.records_before, each.records_after, each.come, each.leave)
             for each in sorted(plan.territories, key=lambda each: -each.come - each.leave)],
        )  # fmt: skip
    if plan.users:
        yield _table(
            "who sees what",
            ("user", "sees more", "sees less", "edits more", "edits less"),
            [(each.user_id, each.sees_more, each.sees_less, each.edits_more, each.edits_less)
             for each in sorted(plan.users, key=lambda each: -each.sees_more - each.sees_less)],
        )  # fmt: skip
    for heading, users in (
        ("new administrators", plan.admins_added),
        ("administrators no longer", plan.admins_removed),
    ):
        if users:
            yield Text(f"{heading}: {named(users)}")
    if plan.sums:
        yield _table(
            "sums, everything below included",
            ("period", "territory", "measure", "now", "then"),
            [(each.period, each.territory_id, each.measure, money(each.before), money(each.after))
             for each in plan.sums],
        )  # fmt: skip
    if plan.left_out_before != plan.left_out_after:
        yield Text(f"deals in no sum: now {_reasons(plan.left_out_before)}; then {_reasons(plan.left_out_after)}")
    yield from _other_changes(planned.changes)
    if _is_empty(planned):
        yield Text("no record, no user's view and no sum would change")


def _emptied(emptied: Sequence[EmptiedTerritory]) -> Iterator[RenderableType]:
    if not emptied:
        return
    territories = counted(len(emptied), "territory loses", "territories lose")
    yield Text(
        f"\nwarning: {territories} all records, or can match none by rule; look at the rules above, or move back"
    )
    table = Table(box=None, padding=(0, 2))
    identifying(table, "territory", (each.territory_id for each in emptied[:ROWS_MAX]))
    for heading in ("records now", "then", "because"):
        table.add_column(heading, overflow="fold")
    for each in emptied[:ROWS_MAX]:
        cells = (each.territory_id, f"{each.records_before:,}", f"{each.records_after:,}", _because(each))
        table.add_row(*map(Text, cells))
    yield table
    if len(emptied) > ROWS_MAX:
        yield Text(f"  … {len(emptied) - ROWS_MAX:,} more (--json has all)")


def _because(emptied: EmptiedTerritory) -> str:
    moved = f"its parent was {emptied.moved_from or 'none'}" if emptied.moved_from is not None else ""
    return "; ".join(filter(None, (moved, clipped(emptied.why or "")))) or "no record matches its rule now"


def _heading(planned: Planned) -> str:
    if not planned.revision:
        return f"{planned.org_id} has no model yet; territory apply makes this its first"
    if not planned.changes:
        return f"{planned.org_id}: the model is the same as revision {planned.revision}, which is in effect"
    return f"{planned.org_id}: compared with revision {planned.revision}, which stays in effect until territory apply"


def _pieces(changes: PieceChanges) -> Iterator[Text]:
    for verb, keys in (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed)):
        if keys:
            yield Text(f"  {verb}: {named(['/'.join(key) for key in keys])}")


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> Table:
    more = len(rows) - ROWS_MAX
    table = Table(title=title, title_justify="left", caption=f"… {more} more (--json)" if more > 0 else None)
    for number, column in enumerate(columns):
        if column in ("territory", "user", "period"):
            identifying(table, column, (str(row[number]) for row in rows[:ROWS_MAX]))
        else:
            table.add_column(column, overflow="fold", justify="left" if column == "measure" else "right")
    for row in rows[:ROWS_MAX]:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    return table


def _reasons(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "none"


def _other_changes(changes: PieceChanges) -> Iterator[Text]:
    """Yield what the tables do not show: periods closed or opened (F12), and changed targets (F5)."""
    targets = [key for key in (*changes.added, *changes.changed, *changes.removed) if key[0] == "target"]
    for heading, names in (
        ("periods closed", [name for kind, name in changes.added if kind == "frozen"]),
        ("periods opened", [name for kind, name in changes.removed if kind == "frozen"]),
        ("targets changed", [name for _, name in sorted(targets)]),
    ):
        if names:
            yield Text(f"{heading}: {named(names)}")


def _is_empty(planned: Planned) -> bool:
    plan = planned.plan
    return not (
        [*_other_changes(planned.changes)]
        or plan.moved
        or plan.emptied
        or plan.users
        or plan.sums
        or plan.admins_added
        or plan.admins_removed
    )
