"""The oracle's forecast: sums over deals, one by one, against targets (F1 to F10, F12)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .oracle_records import Record
from .oracle_tree import Model, entries, members_of, owners_of, path_of
from .oracle_values import EXACT, product, read_date, read_name, read_number, total

OPEN_CATEGORIES = ("pipeline", "best_case", "committed")
ADJUSTED = ("target", "won", *OPEN_CATEGORIES, "weighted", "won_by_others", "deals_won")
ADJUSTED_OF_USER = ("target", "won", "deals_won")
CATEGORIES = (*OPEN_CATEGORIES, "won", "omitted")

PlacedDeal = tuple[Record, str | None]
"""A deal and the one territory that it is in, or None."""

RowKey = tuple[str, str, str | None]
"""Territory, period, and a user or None."""


@dataclass(frozen=True)
class Counted:
    """A deal as it enters the sums; the amount is in the model's currency."""

    territory: str
    owner_id: str | None
    period: str
    category: str
    amount: Decimal
    probability: Decimal


def period_of(day: date, period_kind: str, fiscal_year_start: int) -> str:
    """Return the fiscal month or quarter of a day, such as `2017-03` or `2017-Q1`.

    A fiscal year that does not start in January bears the number of the year in which it ends.
    """
    month = (day.month - fiscal_year_start) % 12 + 1
    ends_next_year = fiscal_year_start > 1 and day.month >= fiscal_year_start
    year = day.year + 1 if ends_next_year else day.year
    if period_kind == "month":
        return f"{year:04d}-{month:02d}"
    return f"{year:04d}-Q{(month + 2) // 3}"


def judge(deal: Record, territory: str | None, model: Model) -> Counted | str | None:
    """Return the deal's contribution, or the reason why it is left out, or None if it is omitted.

    Reasons in their order: `unassigned` (F2), `unknown_stage` (F1), `no_amount`, `no_close_date`,
    `missing_rate` (F10).
    """
    if territory is None:
        return "unassigned"
    category = category_of(deal, model)
    if category == "omitted":
        return None
    if category is None:
        return "unknown_stage"
    amount = read_number(deal.fields.get("amount"))
    if amount is None:
        return "no_amount"
    closes = read_date(deal.fields.get("close_date"))
    if closes is None:
        return "no_close_date"
    period = period_of(closes, model.get("period", "quarter"), model.get("fiscal_year_start", 1))
    rate = _rate_of(deal, period, model)
    if rate is None:
        return "missing_rate"
    return Counted(
        territory=territory,
        owner_id=deal.owner_id,
        period=period,
        category=category,
        amount=product(amount, rate),
        probability=probability_of(deal, model),
    )


def category_of(deal: Record, model: Model) -> str | None:
    """Return the deal's own category if it is valid, else its stage's, else None (F1)."""
    own = read_name(deal.fields.get("forecast_category"))
    if own in CATEGORIES:
        return own
    category: str | None = _stage_of(deal, model).get("category")
    return category


def probability_of(deal: Record, model: Model) -> Decimal:
    """Return the deal's own probability if from 0 to 1, else its stage's, else 0 (F1)."""
    own = read_number(deal.fields.get("probability"))
    if own is not None and 0 <= own <= 1:
        return own
    return read_number(_stage_of(deal, model).get("probability")) or Decimal(0)


def _stage_of(deal: Record, model: Model) -> dict[str, Any]:
    stages: dict[str, dict[str, Any]] = model.get("stages") or {}
    stage = read_name(deal.fields.get("stage"))
    return stages.get(stage, {}) if stage is not None else {}


def _rate_of(deal: Record, period: str, model: Model) -> Decimal | None:
    """Return the rate to the model's currency in the close date's period (F10)."""
    currency = read_name(deal.fields.get("currency"))
    if currency is None or currency == model["currency"]:
        return Decimal(1)
    for rate in model.get("rates") or []:
        if rate["from"] == currency and rate["period"] == period:
            return _given(rate["rate"])
    return None


def left_out(deals: Iterable[PlacedDeal], model: Model) -> dict[str, str]:
    """Return, by deal id, the reason why a deal is left out of all sums (F2, F10)."""
    verdicts = {deal.id: judge(deal, territory, model) for deal, territory in deals}
    return {deal_id: verdict for deal_id, verdict in verdicts.items() if isinstance(verdict, str)}


def attainments(deals: Iterable[PlacedDeal], model: Model) -> dict[RowKey, dict[str, Any]]:
    """Return the rows of all territories and of all users, by territory, period, user or None."""
    verdicts = [judge(deal, territory, model) for deal, territory in deals]
    counted = [verdict for verdict in verdicts if isinstance(verdict, Counted)]
    return {**_territory_rows(counted, model), **_user_rows(counted, model)}


def _territory_rows(counted: Sequence[Counted], model: Model) -> dict[RowKey, dict[str, Any]]:
    """Return rows of territories with a deal, there or below, or with a target (F1)."""
    in_or_below: dict[RowKey, list[Counted]] = {}
    for deal in counted:
        for territory in path_of(model, deal.territory):
            in_or_below.setdefault((territory, deal.period, None), []).append(deal)
    targets = {key: amount for key, amount in _targets(model).items() if key[2] is None}
    return {
        key: {
            **_territory_row(in_or_below.get(key, []), targets.get(key), model),
            "target_mismatch": target_mismatch(key[0], key[1], model),
        }
        for key in in_or_below.keys() | targets.keys()
    }


def _territory_row(deals: Sequence[Counted], target: Decimal | None, model: Model) -> dict[str, Any]:
    """Return one row from the deals of a territory and of its descendants (F1, F3, F6, F7)."""
    won = [deal for deal in deals if deal.category == "won"]
    by_others = [deal for deal in won if _is_by_others(deal, model)]
    expected_parts = [product(deal.amount, deal.probability) for deal in deals if deal.category in OPEN_CATEGORIES]
    won_sum, pipeline_sum = _sum(won), _sum(_of_category(deals, "pipeline"))
    return {
        "target": target,
        "won": won_sum,
        "pipeline": pipeline_sum,
        "best_case": _sum(_of_category(deals, "best_case")),
        "committed": _sum(_of_category(deals, "committed")),
        "weighted": total(expected_parts),
        "won_by_others": _sum(by_others),
        "deals_won": len(won),
        "attainment_pct": attainment_pct(won_sum, target),
        "gap": _still_missing(target, won_sum),
        "shortage": _still_missing(target, won_sum, pipeline_sum),
        "coverage": coverage(pipeline_sum, _still_missing(target, won_sum)),
        "star_performer": is_star_performer(won_sum, target),
    }


def _user_rows(counted: Sequence[Counted], model: Model) -> dict[RowKey, dict[str, Any]]:
    """Return rows of users who won a deal of the territory itself, or have a target (F4). A group has no row."""
    own: dict[RowKey, list[Counted]] = {}
    for deal in counted:
        user = credited_user(deal, model)
        if deal.category == "won" and user is not None:
            own.setdefault((deal.territory, deal.period, user), []).append(deal)
    targets = {key: amount for key, amount in _targets(model).items() if key[2] is not None}
    return {key: _user_row(own.get(key, []), targets.get(key)) for key in own.keys() | targets.keys()}


def credited_user(deal: Counted, model: Model) -> str | None:
    """Return the user whose own sum a won deal is in: its owner, unless that is a group (F4, V10)."""
    return None if deal.owner_id in entries(model, "groups") else deal.owner_id


def _is_by_others(deal: Counted, model: Model) -> bool:
    """Return whether nobody who owns the deal is a member of its territory (F3, V10)."""
    return not owners_of(model, deal.owner_id) & members_of(model, deal.territory)


def _user_row(won: Sequence[Counted], target: Decimal | None) -> dict[str, Any]:
    won_sum = _sum(won)
    return {
        "target": target,
        "won": won_sum,
        "deals_won": len(won),
        "attainment_pct": attainment_pct(won_sum, target),
        "star_performer": is_star_performer(won_sum, target),
    }


def after_closing(
    live: Mapping[RowKey, dict[str, Any]], closed: Mapping[str, Mapping[RowKey, dict[str, Any]]]
) -> dict[RowKey, dict[str, Any]]:
    """Return the rows, with frozen figures and adjustments for closed periods (F12).

    Args:
        live: All rows as though nothing was closed.
        closed: By closed period its rows as they were when it was closed.
    """
    nothing = Decimal(0)
    rows = {key: row for key, row in live.items() if key[1] not in closed}
    for period, then in closed.items():
        keys = then.keys() | {key for key in live if key[1] == period}
        for key in keys:
            # A missing row counts as a row of zeros.
            frozen, now = then.get(key) or empty_row(key), live.get(key) or empty_row(key)
            rows[key] = frozen | {"frozen": True}
            for name in ADJUSTED if key[2] is None else ADJUSTED_OF_USER:
                rows[key][f"adjustment_{name}"] = EXACT.subtract(now[name] or nothing, frozen[name] or nothing)
    return rows


def empty_row(key: RowKey) -> dict[str, Any]:
    """Return the row of a territory or user without deals and without a target."""
    if key[2] is not None:
        return _user_row([], None)
    return {**_territory_row([], None, {}), "target_mismatch": None}


def adjustments(
    then: Mapping[str, Counted | str | None], now: Mapping[str, Counted | str | None], period: str, model: Model
) -> set[str]:
    """Return the deals whose contribution to a closed period has changed since it was closed (F12).

    Both are what `judge` says, by deal id. The trees are those of one model.
    """

    def counts(verdict: Counted | str | None) -> tuple[Any, ...] | None:
        if not isinstance(verdict, Counted) or verdict.period != period:
            return None
        weighted = product(verdict.amount, verdict.probability) if verdict.category != "won" else Decimal(0)
        owner = credited_user(verdict, model) if verdict.category == "won" else None
        by_others = verdict.category == "won" and _is_by_others(verdict, model)
        return (verdict.territory, verdict.category, verdict.amount, weighted, owner, by_others)

    return {deal for deal in then.keys() | now.keys() if counts(then.get(deal)) != counts(now.get(deal))}


def is_star_performer(won: Decimal, target: Decimal | None) -> bool:
    """Whether there is a target above 0 (F6) and at least as much was won (F8)."""
    return target is not None and target != 0 and won >= target


def target_mismatch(territory: str, period: str, model: Model) -> Decimal | None:
    """Return target(t, p) - targets of its children and of users in it; None without a target (F5)."""
    targets = _targets(model)
    target = targets.get((territory, period, None))
    if target is None:
        return None
    children = [each["id"] for each in model["territories"] if each.get("parent") == territory]
    below = [targets.get((child, period, None), Decimal(0)) for child in children]
    users = [amount for (place, when, user), amount in targets.items() if (place, when) == (territory, period) and user]
    return EXACT.subtract(target, total([*below, *users]))


def coverage(pipeline: Decimal, gap: Decimal | None) -> str | None:
    """Return pipeline / gap, half-even to 2 decimals; None if there is no gap (F7)."""
    if not gap:
        return None
    hundredths = round(Fraction(pipeline) * 100 / Fraction(gap))
    return f"{EXACT.scaleb(Decimal(hundredths), -2):f}"


def attainment_pct(won: Decimal, target: Decimal | None) -> str | None:
    """Return won / target in percent, half-even to 2 decimals; None is "no target" (F6)."""
    if target is None or target == 0:
        return None
    hundredths = round(Fraction(won) * 10_000 / Fraction(target))
    return f"{EXACT.scaleb(Decimal(hundredths), -2):f}"


def _still_missing(target: Decimal | None, *reached: Decimal) -> Decimal | None:
    """Return max(0, target - reached): the gap or the shortage (F7)."""
    if target is None:
        return None
    return max(Decimal(0), EXACT.subtract(target, total(reached)))


def _targets(model: Model) -> dict[RowKey, Decimal]:
    return {
        (target["territory"], target["period"], target.get("user")): _given(target["amount"])
        for target in model.get("targets") or []
    }


def _given(raw: Any) -> Decimal:
    number = read_number(raw)
    if number is None:
        raise ValueError(f"{raw!r} is no amount or rate; the oracle takes valid models only")
    return number


def _of_category(deals: Iterable[Counted], category: str) -> list[Counted]:
    return [deal for deal in deals if deal.category == category]


def _sum(deals: Iterable[Counted]) -> Decimal:
    return total(deal.amount for deal in deals)
