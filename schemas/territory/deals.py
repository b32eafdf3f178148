"""Reads the fields of a deal that forecasts use, under a model: what CRMs write, and what cannot be read (F1, F10, C8).

A field is missing if it is empty. A value that cannot be read is never taken for another, and never for a missing one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from territory.criteria.values import date_of, excerpt_of, is_blank
from territory.model.categories import comparable_name
from territory.model.compiled import Model
from territory.model.periods import FiscalCalendar
from territory.model.pieces import Category, DealStage
from territory.money import amount_of, times
from territory.wire.events.assignment import DealFacts

_HUNDREDTH = Decimal("0.01")
_PER_CENT, _WHOLE = Decimal(100), Decimal(1)


@dataclass(frozen=True, slots=True)
class UnreadableFact:
    """A value that is present and cannot be read."""

    found: Any
    expected: str

    def __str__(self) -> str:
        return f"found {excerpt_of(self.found)}, expected {self.expected}"


def stage_of(facts: DealFacts, model: Model) -> DealStage | None:
    """Return the deal's stage; None: the model does not have it. Names of stages are compared letter by letter."""
    return model.stages.get(facts.stage) if isinstance(facts.stage, str) else None


def category_of(raw: Any, stage: DealStage | None, model: Model) -> Category | UnreadableFact | None:
    """Return the category that the deal itself names; None: it names none (F1).

    `Closed` is `won` for a deal in a won stage. It contradicts any other stage, and then counts as unreadable.
    """
    if is_blank(raw):
        return None
    text = str(raw) if type(raw) is int else raw
    named = None
    if isinstance(text, str):
        named = model.category_names.get(text) or model.category_names.get(comparable_name(text))
    if named is None:
        return UnreadableFact(raw, "a forecast category of the CRMs, or one of the model's forecast_categories")
    if named != "closed":
        return named
    if stage is not None and stage.category == "won":
        return "won"
    return UnreadableFact(raw, "another category: the deal's stage is not won")


def probability_of(raw: Any, model: Model) -> Decimal | UnreadableFact | None:
    """Return the deal's own probability from 0 to 1; None: it has none (F1).

    A text that ends in `%` is in per cent, whatever the unit of the model.
    """
    if is_blank(raw):
        return None
    in_percent = model.organisation.settings.probability == "percent"
    written = raw
    if isinstance(raw, str) and raw.rstrip().endswith("%"):
        written, in_percent = raw.rstrip()[:-1], True
    number, most = amount_of(written), _PER_CENT if in_percent else _WHOLE
    if number is None or not 0 <= number <= most:
        return UnreadableFact(raw, f"a number from 0 to {most}")
    return times(number, _HUNDREDTH) if in_percent else number


def deal_amount_of(raw: Any) -> Decimal | UnreadableFact | None:
    """Return the deal's amount in its own currency; None: it has none."""
    if is_blank(raw):
        return None
    amount = amount_of(raw)
    return UnreadableFact(raw, "a number such as 1054.50") if amount is None else amount


def day_of(raw: Any, calendar: FiscalCalendar) -> date | UnreadableFact | None:
    """Return a date as it is written, or an instant's day in the organisation's time zone (C8); None: it is empty."""
    if is_blank(raw):
        return None
    day = date_of(raw, calendar.zone)
    if day is not None:
        return day
    return UnreadableFact(raw, "a date such as 2017-03-31, or an instant such as 2017-03-31T08:00:00Z")


def currency_of(raw: Any, model: Model) -> str | UnreadableFact:
    """Return the code of the deal's currency in upper case; an empty one is the organisation's (F10)."""
    if is_blank(raw):
        return model.organisation.currency
    code = raw.strip() if isinstance(raw, str) else ""
    if len(code) == 3 and code.isascii() and code.isalpha():
        return code.upper()
    return UnreadableFact(raw, "a currency's code such as EUR")


def unreadable_of(facts: DealFacts, model: Model) -> Iterator[tuple[str, UnreadableFact]]:
    """Yield the forecast fields of a deal that cannot be read, by name."""
    found = {
        "amount": deal_amount_of(facts.amount),
        "currency": currency_of(facts.currency, model),
        "close_date": day_of(facts.close_date, model.calendar),
        "created_at": day_of(facts.created_at, model.calendar),
        "probability": probability_of(facts.probability, model),
        "forecast_category": category_of(facts.forecast_category, stage_of(facts, model), model),
    }
    for name, value in found.items():
        if isinstance(value, UnreadableFact):
            yield name, value
