"""Who sees what: the paths of one user, the records of a user, the users of a record."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from territory_admin.queries.explain_access import ExplainedAccess
from territory_admin.queries.viewers import RecordViewers
from territory_admin.queries.visible import VisibleRecords
from territory_control.views.text import counted, identifying, named


def paths_of_user(found: ExplainedAccess) -> list[RenderableType]:
    """Return every path by which a user sees a record, or why there is none."""
    lines = [Text.assemble((found.user_id, "bold"), " and ", (found.record, "bold"))]
    lines += [Text(f"    {path}") for path in found.paths]
    if not found.sees:
        territories = named(found.territories) or "no territory"
        reason = "is deactivated and sees nothing" if not found.active else (
            f"no path: the record is owned by {_owner(found)} and in {territories}"
        )  # fmt: skip
        lines.append(Text(f"    {reason}"))
    membership = found.index
    level = (
        "administrator" if membership.admin
        else "may edit" if membership.editable
        else "may read" if membership.visible
        else "does not see it"
    )  # fmt: skip
    lines.append(Text(f"in Redis: {level}"))
    if found.index_is_behind:
        lines.append(Text("Redis does not have the latest change yet; try again after territory wait", style="yellow"))
    return list(lines)


def _owner(found: ExplainedAccess) -> str:
    match found.owner_kind:
        case None:
            return "nobody"
        case "user":
            return str(found.owner_id)
        case "group":
            return f"group {found.owner_id}, which the user is no active member of,"
        case "unknown":
            return f"{found.owner_id}, which is neither a user nor a group of the model,"


def visible_records(found: VisibleRecords) -> list[RenderableType]:
    """Return the records that a user sees, counted by object and listed."""
    if found.admin:
        return [Text(f"{found.user_id} is an administrator and sees and edits everything")]
    may = "may edit" if found.level == "edit" else "sees"
    lines: list[RenderableType] = []
    for kind, ids in found.records.items():
        lines.append(Text.assemble((found.user_id, "bold"), f" {may} ", (counted(len(ids), kind), "bold")))
        lines += [Text(f"    {kind}/{record_id}") for record_id in ids]
    return lines


def viewers(found: RecordViewers) -> list[RenderableType]:
    """Return a table of the users who see a record, each with every path (V9)."""
    table = Table(
        box=None, padding=(0, 2), title=f"{found.record}: {counted(len(found.viewers), 'user')}", title_justify="left"
    )
    identifying(table, "user", (viewer.user_id for viewer in found.viewers))
    for heading in ("name", "level", "by"):
        table.add_column(heading, overflow="fold")
    for viewer in found.viewers:
        by = Text("\n".join(map(str, viewer.paths)))
        table.add_row(Text(viewer.user_id), Text(viewer.name), viewer.level, by)
    return [table]
