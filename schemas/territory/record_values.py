"""A record's values as rules compare them: money in the organisation's currency (C6, C8, C9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from territory.criteria.values import FieldType, Unreadable, Value, is_blank, read_fields
from territory.deals import UnreadableFact, currency_of, day_of
from territory.model.compiled import Model
from territory.model.pieces import ObjectType
from territory.money import times


def record_values(
    model: Model, kind: ObjectType, types: Mapping[str, FieldType], fields: Mapping[str, object]
) -> tuple[dict[str, Value | Unreadable], int]:
    """Return the values of the declared fields that are not missing, and the number of unreadable ones (C2, C6).

    Money is converted to the organisation's currency, exactly: a deal's at the rate of its close date, another
    record's at the rate that holds today. Without a rate it is unreadable (C9).

    Args:
        model: The model that the values are read under, on its day.
        kind: The record's object.
        types: The declared types by field.
        fields: The record's JSON values.

    Raises: AmountOutOfRange.
    """
    values, unreadable = read_fields(types, fields, model.calendar.zone)
    if not has_foreign_money(model, fields):
        return values, unreadable
    money = [name for name in values if types[name] == "money"]
    rate = _rate(model, kind, fields) if money else None
    for name in money:
        amount = values[name]
        if isinstance(amount, Unreadable):
            continue
        if rate is None:
            values[name] = Unreadable(f"{fields[name]} {fields['currency']}", "money")
            unreadable += 1
        else:
            values[name] = times(Decimal(amount), rate)  # type: ignore[arg-type]  # money is a number
    return values, unreadable


def has_foreign_money(model: Model, fields: Mapping[str, object]) -> bool:
    """Whether a record's money is not known to be in the organisation's currency."""
    raw = fields.get("currency")
    return raw is not None and raw != model.organisation.currency and not is_blank(raw)


def _rate(model: Model, kind: ObjectType, fields: Mapping[str, object]) -> Decimal | None:
    currency = currency_of(fields.get("currency"), model)
    if isinstance(currency, UnreadableFact):
        return None
    if kind != "deal":
        return model.current_rate_of(currency)
    closes = day_of(fields.get("close_date"), model.calendar)
    return model.rate_of(currency, model.calendar.period_of(closes)) if isinstance(closes, date) else None
