"""Records on their way in: published, waited for, linked by hand."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from territory_admin.models.refusal import Refusal
from territory_admin.records.link import Linked
from territory_admin.records.publish import Published
from territory_admin.records.wait import Waited
from territory_control.views.text import NAMED_MAX, counted, named

REFUSALS_LISTED_MAX = 20

LINKED_STATES = {
    "assign": "pinned to {territory}",
    "exclude": "kept out of {territory}",
    "none": "neither pinned to {territory} nor kept out of it",
}


def published(done: Published) -> list[RenderableType]:
    """Return how many lines were sent, and which were refused."""
    lines = [f"{done.published:,} published, {done.refused:,} refused, in {done.seconds:.1f} s"]
    lines += [
        f"  line {refusal.line}: {refusal.code}: {refusal.reason}" for refusal in done.refusals[:REFUSALS_LISTED_MAX]
    ]
    listed = min(len(done.refusals), REFUSALS_LISTED_MAX)
    if done.refused > listed:
        lines.append(f"  … {done.refused - listed:,} more; --json lists up to 1,000")
    lines += [
        f"  {counted(count, 'record')} of {org_id}, another organisation than TERRITORY_ORG_ID"
        for org_id, count in done.other_organisations.items()
    ]
    lines += [f"  {org_id} has no model yet: its records wait for one" for org_id in done.without_model]
    if done.unknown_owners:
        records = counted(sum(done.unknown_owners.values()), "record")
        lines.append(
            f"  {records} with an owner who is neither a user nor a group of the model: "
            f"{named(list(done.unknown_owners))}"
        )
    if done.unreadable:
        lines.append(f"  {counted(done.unreadable, 'change')} with values that the model can't read, among them:")
        lines += [
            f"    {value.record} {value.field}: found {value.found}, expected {value.expected}"
            for value in done.unreadable_examples
        ]
    return [Text(line) for line in lines]


def waited(done: Waited, refused: Refusal | None) -> list[RenderableType]:
    """Return whether everything is in Redis, what is missing, and whether the newest model was refused."""
    if done.done:
        lines = [f"everything is in Redis, after {done.seconds:.1f} s"]
    else:
        lines = [f"not everything is in Redis after {done.seconds:.0f} s; these stages are behind:"]
        lines += [f"  {item}" for item in done.behind]
    if done.absent:
        lines.append(f"  no service is running for {', '.join(done.absent)}: start it")
    if refused is not None:
        lines.append(f"revision {refused.revision} was refused; the model before it stays in effect:")
        lines += [f"  {fault}" for fault in refused.faults[:NAMED_MAX]]
    return [Text(line) for line in lines]


def linked(done: Linked) -> list[RenderableType]:
    """Return what was decided by hand, and how to see its effect."""
    state = LINKED_STATES[done.kind].format(territory=done.territory_id)
    return [Text(f"{done.record} is {state}; territory wait waits until that is in effect")]
