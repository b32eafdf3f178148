"""One record: its present state, and why it is in its territories."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from territory.wire.events import Link
from territory_admin.queries.explain_assignment import ExplainedAssignment
from territory_admin.queries.explainer import NearTerritory, Reason
from territory_admin.queries.show import ShownRecord
from territory_control.views.text import clipped, counted, named
from territory_control.views.unreadable import of_record

_OUTCOMES = {
    "linked": "is in",
    "cut": "would be in, but is cut from",
    "runner_up": "could be in",
    "excluded": "is excluded from",
    "dropped": "was assigned to",
}


def record(found: ShownRecord) -> list[RenderableType]:
    """Return a record's owner, its territories with the reasons, and how many users see it."""
    lines = [
        Text.assemble((found.record, "bold"), f"  version {found.version}, owned by {found.owner_id or 'nobody'}"),
        *(_link(link) for link in found.links),
        *_without_link(found),
        *of_record(found.unreadable),
        Text(f"seen by {counted(found.viewers, 'user')}"),
    ]
    if found.index_is_behind:
        lines.append(
            Text("Redis does not have the latest decision yet; try again after territory wait", style="yellow")
        )
    return list(lines)


def assignment(found: ExplainedAssignment) -> list[RenderableType]:
    """Return why a record is in its territories, or why it is or is not in the one that was asked about."""
    head = f"  version {found.version}, under revision {found.model_revision} of the model"
    lines: list[Text] = [Text.assemble((found.record, "bold"), head)]
    if found.asked is not None:
        lines.append(_reason(found.asked))
    else:
        lines += [_reason(reason) for reason in found.links]
        lines += _without_link(found)
        lines += [_near_miss(near) for near in found.near_misses]
    lines += of_record(found.unreadable)
    if found.log_is_behind:
        lines.append(
            Text("the services have not published this decision yet; try again after territory wait", style="yellow")
        )
    return list(lines)


def _link(link: Link) -> Text:
    return _reason(Reason(link.territory_id, "linked", link.why, link.causes))


def _reason(reason: Reason) -> Text:
    causes = f" ({' and '.join(reason.causes)})" if reason.causes else ""
    text = Text.assemble(f"{_OUTCOMES.get(reason.outcome, 'is not in')} ", (reason.territory_id, "cyan"), causes)
    for line in reason.why:
        text.append(f"\n    {clipped(line)}")
    return text


def _near_miss(near: NearTerritory) -> Text:
    text = Text.assemble("nearly in ", (near.territory_id, "cyan"), ": one condition fails")
    return text.append(f"\n    {clipped(f'{near.failing_territory}: {near.why}')}")


def _without_link(found: ShownRecord | ExplainedAssignment) -> list[Text]:
    """Return the territories that an assignment names without a link to them."""
    lines: list[Text] = []
    if not found.links:
        lines.append(Text(f"is in no territory{f': {found.unassigned}' if found.unassigned else ''}"))
    for heading, ids in (
        ("cut, because a record can be in only so many territories", found.cut),
        ("runners-up", found.runners_up),
        ("assigned by hand to territories that are not in the model", found.dropped),
    ):
        if ids:
            lines.append(Text(f"{heading}: {named(ids)}"))
    return lines
