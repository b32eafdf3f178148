"""Second step of the forecast: the partials of all partitions become attainments (F1 to F4, F6, F7)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from territory.events import SUMS, Attainment, Partial
from territory.money import ZERO, add, percent_of, text_of

Parts = Mapping[int, Partial]
"""By source partition, what each has said last of one attainment."""


def with_part(parts: Parts, source: int, partial: Partial | None) -> dict[int, Partial]:
    """Return the parts after one source has spoken; None: it adds nothing any more."""
    after = {other: part for other, part in parts.items() if other != source}
    if partial is not None:
        after[source] = partial
    return after


def total_of(parts: Parts) -> Attainment | None:
    """Return the attainment that parts add up to; None when there are none.

    Exact: the sums are never rounded; attainment_pct has two decimals, half to even.
    """
    if not parts:
        return None
    some = next(iter(parts.values()))
    sums = dict.fromkeys(SUMS, ZERO)
    target: Decimal | None = None
    for part in parts.values():
        for name in SUMS:
            sums[name] = add(sums[name], part.sums[name])
        if part.target is not None:
            target = part.target
    won, pipeline = sums["won"], sums["pipeline"]
    gap = shortage = None
    if target is not None:
        missing = add(target, won.copy_negate())  # not by unary minus: that rounds to 28 digits
        gap = max(ZERO, missing)
        shortage = max(ZERO, add(missing, pipeline.copy_negate()))
    return Attainment(
        org_id=some.org_id,
        territory_id=some.territory_id,
        period=some.period,
        user_id=some.user_id,
        model_revision=max(part.model_revision for part in parts.values()),
        target=None if target is None else text_of(target),
        **{name: text_of(amount) for name, amount in sums.items()},
        deals_won=sum(part.deals_won for part in parts.values()),
        attainment_pct=percent_of(won, target),
        gap=None if gap is None else text_of(gap),
        shortage=None if shortage is None else text_of(shortage),
    )
