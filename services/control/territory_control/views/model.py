"""A model: its faults, its size, and what `territory apply` changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text

from territory.errors import Fault
from territory.model.compiled import Model
from territory_admin.models.apply import Applied
from territory_admin.models.changes import removed_territories
from territory_control.views.text import counted, named

_NOUNS = {
    "territory": ("territory", "territories"),
    "fields": ("object's fields", "objects' fields"),
    "frozen": ("closed period", "closed periods"),
    "sharing": ("sharing rule", "sharing rules"),
    "organisation": ("organisation's settings", "organisations' settings"),
}
"""By kind of piece, singular and plural; the kind and an s for the others."""


def faults(found: Iterable[Fault]) -> list[RenderableType]:
    """Return a line for each fault of a model."""
    return [Text(str(fault)) for fault in found]


def model_size(model: Model) -> str:
    """Return how many territories, rules, users, roles, groups and targets a model has."""
    rules = sum(len(node.rules) for node in model.territories.values())
    groups = f"{counted(len(model.groups), 'group')}, " if model.groups else ""
    return (
        f"{counted(len(model.territories), 'territory', 'territories')} with {counted(rules, 'rule')}, "
        f"{counted(len(model.people), 'user')}, {counted(len(model.roles), 'role')}, {groups}"
        f"{counted(len(model.targets), 'target')}"
    )


def group_warnings(without_members: Sequence[str]) -> list[RenderableType]:
    """Return a warning about groups that have no active member (V10)."""
    if not without_members:
        return []
    which = f"{counted(len(without_members), 'group')} without an active member: {named(without_members)}"
    return [Text(f"warning: {which}; nobody sees what a group without members owns")]


def applied(done: Applied) -> list[RenderableType]:
    """Return what was applied, and what happens to the records of removed territories."""
    if not done.activated:
        return [Text(f"nothing changed: revision {done.revision} of {done.org_id} stays in effect")]
    lines = [f"revision {done.revision} of {done.org_id} is activated"]
    for verb, keys in (("added", done.changes.added), ("changed", done.changes.changed)):
        kinds = Counter(kind for kind, _ in keys)
        if kinds:
            named_kinds = [counted(count, *_NOUNS.get(kind, (kind,))) for kind, count in sorted(kinds.items())]
            lines.append(f"  {verb}: {', '.join(named_kinds)}")
    if done.changes.removed:
        lines.append("  removed: " + named(["/".join(key) for key in done.changes.removed]))
    territories = removed_territories(done.changes)
    if territories:
        lines.append(
            f"  no longer in the model: {named(territories)}; their records leave them. A manual link to one of them "
            "is kept and takes effect again if the territory returns"
        )
    return [Text(line) for line in lines]
