"""Redis beside the log: what differs, and what a rebuild replaced."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from territory_admin.consistency.comparing import Verified
from territory_admin.consistency.rebuild import Rebuilt
from territory_control.views.text import counted


def verified(done: Verified) -> list[RenderableType]:
    """Return the differences by kind with the first examples, or that there are none."""
    total = sum(done.drift.values())
    lines = []
    if done.not_compared is not None:
        lines.append(f"not comparable now: {done.not_compared}")
    compared = f"{counted(done.looked_at, 'entry', 'entries')} compared in {done.seconds:.1f} s"
    if total:
        lines.append(f"{counted(total, 'entry differs', 'entries differ')} from what the topics imply; {compared}")
        lines += [f"  {kind}: {count:,}" for kind, count in sorted(done.drift.items())]
        lines += [f"    {drift.kind}: {drift.where}: {drift.why}" for drift in done.named]
        if total > len(done.named):
            lines.append(f"    … {total - len(done.named):,} more")
        lines.append(f"repaired: {done.mended:,}" if done.mended else "nothing was repaired; --repair does it")
    elif done.not_compared is None:
        lines.append(f"Redis has what the topics imply under revision {done.model_revision}: {compared}")
    if done.unsettled:
        lines.append(f"{counted(done.unsettled, 'entry', 'entries')} kept changing and could not be compared")
    return [Text(line) for line in lines]


def rebuilt(done: Rebuilt) -> list[RenderableType]:
    """Return what the new index has, and for how long writers and readers were blocked."""
    return [
        Text(
            f"the index of {done.org_id} was rebuilt: {counted(done.records, 'record')} under revision "
            f"{done.model_revision}, {counted(done.keys, 'key')} replaced, in {done.seconds:.1f} s"
        ),
        Text(f"writes were blocked for {done.held_seconds:.2f} s, and reads for {done.switch_seconds:.2f} s of them"),
    ]
