"""The arithmetic of an attainment: adds up the partials of all partitions (F1 to F8, F12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from territory.money import ZERO, add, percent_of, ratio_of, text_of
from territory.wire.events import SUMS, Attainment, FrozenPart, Partial

Parts = Mapping[int, Partial]
"""The last partial of each source partition for one attainment."""


def with_part(parts: Parts, source: int, partial: Partial | None) -> dict[int, Partial]:
    """Return a copy of the parts with one source's partial replaced; None removes it."""
    after = {other: part for other, part in parts.items() if other != source}
    if partial is not None:
        after[source] = partial
    return after


def total_of(parts: Parts) -> Attainment | None:
    """Return the attainment that parts add up to; None if there are none.

    For a closed period the figures are the frozen ones, and each adjustment is the live figure minus the frozen
    one (F12). The attainment is closed as soon as one part is; a part that is not closed yet adds its live figures.

    Exact: sums are never rounded. attainment_pct and coverage have two decimals, rounded half to even.
    """
    if not parts:
        return None
    some = next(iter(parts.values()))
    live = _total(map(_live, parts.values()))
    is_frozen = any(part.frozen is not None for part in parts.values())
    shown = _total(part.frozen or _live(part) for part in parts.values()) if is_frozen else live
    target, won, pipeline = shown.target, shown.sums["won"], shown.sums["pipeline"]
    gap = shortage = None
    if target is not None:
        missing = _difference(target, won)
        gap = max(ZERO, missing)
        shortage = max(ZERO, _difference(missing, pipeline))
    return Attainment(
        org_id=some.org_id,
        territory_id=some.territory_id,
        period=some.period,
        user_id=some.user_id,
        model_revision=max(part.model_revision for part in parts.values()),
        target=_text(target),
        deals_won=shown.deals_won,
        attainment_pct=percent_of(won, target),
        gap=_text(gap),
        shortage=_text(shortage),
        coverage=ratio_of(pipeline, gap),
        target_mismatch=_text(shown.target_mismatch),
        star_performer=bool(target) and won >= (target or ZERO),
        frozen=is_frozen,
        **_sums(shown, live if is_frozen else None),
    )


def _live(part: Partial) -> FrozenPart:
    return FrozenPart(part.sums, part.deals_won, part.target, part.target_mismatch)


def _total(parts: Iterable[FrozenPart]) -> FrozenPart:
    sums = dict.fromkeys(SUMS, ZERO)
    deals_won = 0
    target: Decimal | None = None
    mismatch: Decimal | None = None
    for part in parts:
        for name in SUMS:
            sums[name] = add(sums[name], part.sums[name])
        deals_won += part.deals_won
        if part.target is not None:
            target, mismatch = part.target, part.target_mismatch
    return FrozenPart(sums, deals_won, target, mismatch)


def _sums(shown: FrozenPart, live: FrozenPart | None) -> dict[str, Any]:
    """Return the sums as text and, for a closed period, the adjustments."""
    sums: dict[str, Any] = {name: text_of(amount) for name, amount in shown.sums.items()}
    if live is None:
        return sums
    return sums | {
        "adjustment_target": text_of(_difference(live.target or ZERO, shown.target or ZERO)),
        **{f"adjustment_{name}": text_of(_difference(live.sums[name], shown.sums[name])) for name in SUMS},
        "adjustment_deals_won": live.deals_won - shown.deals_won,
    }


def _difference(one: Decimal, other: Decimal) -> Decimal:
    return add(one, other.copy_negate())  # exact; unary minus rounds to 28 digits


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else text_of(amount)
