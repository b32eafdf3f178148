"""The oracle's forecast: sums over deals, one by one, against targets (F1 to F10, F12, F14)."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .oracle_records import Record
from .oracle_tree import Model, entries, members_of, owners_of, path_of
from .oracle_values import EXACT, Converted, product, read, read_date, read_name, read_number, total

OPEN_CATEGORIES = ("pipeline", "best_case", "committed")
ADJUSTED = ("target", "won", *OPEN_CATEGORIES, "weighted", "won_by_others", "deals_won")
ADJUSTED_OF_USER = ("target", "won", "deals_won")
CATEGORIES = (*OPEN_CATEGORIES, "won", "omitted")
CRM_NAMES = {
    "omitted": "omitted",
    "pipeline": "pipeline",
    "bestcase": "best_case",
    "mostlikely": "best_case",
    "commit": "committed",
    "committed": "committed",
    "forecast": "committed",
    "won": "won",
}
"""The CRMs' names and ours, without case, white space, hyphens and underscores (F1). `Closed` depends on the stage."""

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
    """Return the deal's contribution to its period, or the reason why it is left out, or None if it is omitted.

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
    period = close_period_of(deal, model)
    if period is None:
        return "no_close_date"
    rate = rate_of(deal.fields.get("currency"), period, model)
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


def close_period_of(deal: Record, model: Model) -> str | None:
    """Return the period of the close date's day in the organisation's time zone (F10, C8)."""
    closes = read_date(deal.fields.get("close_date"), zone_of(model))
    if closes is None:
        return None
    return period_of(closes, model.get("period", "quarter"), model.get("fiscal_year_start", 1))


def zone_of(model: Model) -> str:
    """Return the name of the organisation's time zone."""
    return (model.get("settings") or {}).get("time_zone") or "UTC"


def category_of(deal: Record, model: Model) -> str | None:
    """Return the deal's own category if it can be read, else its stage's, else None (F1)."""
    return _own_category(deal, model) or _stage_of(deal, model).get("category")


def _own_category(deal: Record, model: Model) -> str | None:
    name = _category_name(deal.fields.get("forecast_category"))
    named = {_category_name(each): category for each, category in (model.get("forecast_categories") or {}).items()}
    if name is None or name in named:
        return named.get(name)
    if name == "closed":  # won, where the stage is won; else it contradicts the stage
        return "won" if _stage_of(deal, model).get("category") == "won" else None
    return CRM_NAMES.get(name)


def _category_name(raw: Any) -> str | None:
    """Return a category's name as it is compared. Integers read as their digits (C6)."""
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(text, str):
        return None
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(each for each in folded if each not in "-_" and not each.isspace()) or None


def probability_of(deal: Record, model: Model) -> Decimal:
    """Return the deal's own probability if it can be read, else its stage's, else 0; from 0 to 1 (F1)."""
    own = _read_probability(deal.fields.get("probability"), model)
    if own is not None:
        return own
    return _read_probability(_stage_of(deal, model).get("probability"), model) or Decimal(0)


def _read_probability(raw: Any, model: Model) -> Decimal | None:
    """Return a probability from 0 to 1: as a fraction, or in percent where the model says so or the value does."""
    in_percent = (model.get("settings") or {}).get("probability") == "percent"
    if isinstance(raw, str) and raw.strip().endswith("%"):
        raw, in_percent = raw.strip()[:-1], True
    number = read_number(raw)
    if number is None or not 0 <= number <= (100 if in_percent else 1):
        return None
    return product(number, Decimal("0.01")) if in_percent else number


def _stage_of(deal: Record, model: Model) -> dict[str, Any]:
    stages: dict[str, dict[str, Any]] = model.get("stages") or {}
    stage = read_name(deal.fields.get("stage"))
    return stages.get(stage, {}) if stage is not None else {}


def rate_of(currency: Any, period: str | None, model: Model) -> Decimal | None:
    """Return the rate to the model's currency that holds in a period: the last one given up to then (F10).

    An empty currency is the organisation's. One that is no code of three letters has no rate. No period: no rate of
    another currency holds.
    """
    if read("text", currency) is None:
        return Decimal(1)
    if not isinstance(currency, str) or not re.fullmatch("[A-Za-z]{3}", currency.strip()):
        return None
    code = currency.strip().upper()
    if code == model["currency"]:
        return Decimal(1)
    if period is None:
        return None
    rates = {rate["period"]: rate["rate"] for rate in model.get("rates") or [] if rate["from"] == code}
    earlier = [each for each in rates if _by_time(each) <= _by_time(period)]
    return _given(rates[max(earlier, key=_by_time)]) if earlier else None


def _by_time(period: str) -> tuple[int, str]:
    """Return the order of periods of one kind; the last day of the calendar may be in the fiscal year 10000."""
    year, _, part = period.partition("-")
    return int(year), part


def compared_fields(record: Record, field_types: Mapping[str, str], model: Model) -> dict[str, Any]:
    """Return a record's fields as rules compare them: money in the organisation's currency (C9).

    A deal's rate is that of its close date, another record's the one that holds today. Without a rate, money becomes
    something that cannot be read.
    """
    currency, money = record.fields.get("currency"), [name for name, kind in field_types.items() if kind == "money"]
    rate = rate_of(currency, None, model)
    if rate is None:  # another currency than the organisation's
        period = close_period_of(record, model) if record.object == "deal" else _current_period(model)
        rate = None if period is None else rate_of(currency, period, model)
    fields = dict(record.fields)
    for name in money:
        amount = read_number(fields.get(name))
        if amount is not None:
            fields[name] = {"amount": amount, "rate": None} if rate is None else Converted(product(amount, rate))
    return fields


def _current_period(model: Model) -> str:
    """Return the period of today; without a day the last one of all."""
    if model.get("today") is None:
        return "9999"
    return period_of(model["today"], model.get("period", "quarter"), model.get("fiscal_year_start", 1))


def left_out(deals: Iterable[PlacedDeal], model: Model) -> dict[str, str]:
    """Return, by deal id, the reason why a deal is left out of all sums (F2, F10)."""
    verdicts = {deal.id: judge(deal, territory, model) for deal, territory in deals}
    return {deal_id: verdict for deal_id, verdict in verdicts.items() if isinstance(verdict, str)}


def attainments(deals: Iterable[PlacedDeal], model: Model) -> dict[RowKey, dict[str, Any]]:
    """Return the rows of all territories and of all users, by territory, period or year, user or None (F14)."""
    verdicts = [judge(deal, territory, model) for deal, territory in deals]
    counted = [verdict for verdict in verdicts if isinstance(verdict, Counted)]
    of_years = [replace(deal, period=year_of(deal.period)) for deal in counted]
    every = [*counted, *of_years]
    return {**_territory_rows(every, model), **_user_rows(every, model)}


def year_of(period: str) -> str:
    """Return the fiscal year of a period."""
    return period.partition("-")[0]


def places_of(verdicts: Iterable[Counted | str | None], model: Model) -> set[RowKey]:
    """Return the rows that deals enter, without those of years."""
    found: set[RowKey] = set()
    for deal in verdicts:
        if isinstance(deal, Counted):
            found |= {(territory, deal.period, None) for territory in path_of(model, deal.territory)}
            user = credited_user(deal, model) if deal.category == "won" else None
            if user is not None:
                found.add((deal.territory, deal.period, user))
    return found


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


def years_after_closing(
    rows: Mapping[RowKey, dict[str, Any]], closed: Set[str], places: Set[RowKey], model: Model
) -> dict[RowKey, dict[str, Any]]:
    """Return the rows with those of years as the sums of their periods, closed ones as they were closed (F12, F14).

    Args:
        rows: What `after_closing` returns.
        closed: The closed periods.
        places: Where deals count: in an open period now, in a closed one when it was closed (`places_of`).
        model: The present model, which has the targets.
    """
    years = {year_of(period) for period in closed}
    found = {key: row for key, row in rows.items() if key[1] not in years}
    targets = _targets(model)
    of_year = [(territory, year_of(period), user) for territory, period, user in places if year_of(period) in years]
    for key in {*of_year, *(key for key in targets if key[1] in years)}:
        territory, year, user = key
        parts = [
            row
            for (place, period, who), row in rows.items()
            if (place, who) == (territory, user) and period != year and year_of(period) == year
        ]
        target, won = targets.get(key), total(part["won"] for part in parts)
        row = empty_row(key) | {"target": target, "won": won, "deals_won": sum(part["deals_won"] for part in parts)}
        row |= {"attainment_pct": attainment_pct(won, target), "star_performer": is_star_performer(won, target)}
        if user is None:
            for name in (*OPEN_CATEGORIES, "weighted", "won_by_others"):
                row[name] = total(part[name] for part in parts)
            gap, pipeline = _still_missing(target, won), row["pipeline"]
            row |= {"gap": gap, "shortage": _still_missing(target, won, pipeline), "coverage": coverage(pipeline, gap)}
            row["target_mismatch"] = target_mismatch(territory, year, model)
        found[key] = row
    return found


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
