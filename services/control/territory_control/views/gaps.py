"""The gaps of a model: what is missing, why it matters, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.text import Text

from territory_admin.lint.gaps import ModelGaps, UnequalTarget
from territory_control.views.text import counted, money, named

ROWS_MAX = 10


def model_gaps(gaps: ModelGaps) -> list[Text]:
    """Return a warning for each kind of gap; an empty list for a model without gaps."""
    lines: list[str] = []
    if gaps.no_territories:
        lines.append(
            "warning: the organisation has no territories: no record gets one, and no deal is in a forecast. "
            "Add territories, or look whether this is the right file"
        )
    by_watcher = sorted(gaps.unstaffed, key=lambda each: each.seen_from or "")
    for seen_from, group in groupby(by_watcher, key=lambda each: each.seen_from):
        ids = [each.territory_id for each in group]
        who = "nobody sees their records by territory" if seen_from is None else f"only those in {seen_from} see them"
        lines.append(
            f"warning: {counted(len(ids), 'territory', 'territories')} without an active user: {named(ids)}: {who}. "
            "Add users or a manager"
        )
    if gaps.without_territory:
        lines.append(
            f"warning: {counted(len(gaps.without_territory), 'active user')} in no territory: "
            f"{named(gaps.without_territory)}: they see records as owners, by role or by sharing only. "
            "Add them to a territory, or set active: false for those who left"
        )
    lines += _targets(gaps.unequal_targets)
    return [Text(line) for line in lines]


def _targets(unequal: Sequence[UnequalTarget]) -> Iterable[str]:
    if not unequal:
        return
    verb = "is not the sum" if len(unequal) == 1 else "are not the sums"
    yield (
        f"warning: {counted(len(unequal), 'target')} of territories {verb} of the targets below (children and users), "
        "so reports of the parts and of the whole disagree. Correct one of them"
    )
    for each in unequal[:ROWS_MAX]:
        yield f"  {each.territory_id} {each.period}: {money(each.target)}, below it {money(each.parts)}"
    if len(unequal) > ROWS_MAX:
        yield f"  … {len(unequal) - ROWS_MAX:,} more (--json has all)"
