"""The oracle's typed values: reads JSON values in fields of declared types (C3, C5, C6)."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

EXACT = Context(prec=5_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])
"""Decimal arithmetic that raises rather than round (F10)."""

NUMBER_LIMIT = Decimal("1e30")
DECIMAL_PLACES_MAX = 12

_PLAIN_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
    r"(?P<time>([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(\.(?P<fraction>[0-9]+))?"
    r"(?P<zone>[Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def read(field_type: str, raw: Any) -> Any:
    """Return the typed value of a field, or None if it counts as missing (C6)."""
    return _READERS[field_type](raw)


def read_text(raw: Any) -> str | None:
    """Return a text folded for comparison; a blank one is missing (C3).

    Only texts count: a number in a text field is of the wrong type.
    """
    if not isinstance(raw, str):
        return None
    return unicodedata.normalize("NFKC", raw).strip().casefold() or None


def read_name(raw: Any) -> str | None:
    """Return the unchanged name of a stage, category or currency; a blank one is missing (C3).

    Names are keys of the model, so they are compared letter by letter.
    """
    if not isinstance(raw, str) or not raw.strip():
        return None
    return raw


def read_number(raw: Any) -> Decimal | None:
    """Return a number, also from a text that reads as one (C6).

    Never by way of a binary fraction: a float is the decimal that is written for it. From 1e30 on,
    or with more than 12 decimals (trailing zeros aside), it is of the wrong type.
    """
    number = _decimal(raw)
    if number is None or not -NUMBER_LIMIT < number < NUMBER_LIMIT:
        return None
    return number if _decimal_places(number) <= DECIMAL_PLACES_MAX else None


def _decimal(raw: Any) -> Decimal | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | Decimal):
        number = Decimal(raw)
    elif isinstance(raw, float):
        number = Decimal(repr(raw))
    elif isinstance(raw, str) and _PLAIN_DECIMAL.fullmatch(raw.strip()):
        try:
            number = Decimal(raw.strip())
        except InvalidOperation:  # an exponent that no decimal can hold
            return None
    else:
        return None
    return number if number.is_finite() else None


def _decimal_places(number: Decimal) -> int:
    if number == 0:
        return 0
    _sign, digit_tuple, exponent = number.as_tuple()
    digits = "".join(str(digit) for digit in digit_tuple)
    trailing_zeros = len(digits) - len(digits.rstrip("0"))
    return max(0, -(int(exponent) + trailing_zeros))


def read_date(raw: Any) -> date | None:
    """Return a date from YYYY-MM-DD, or the UTC date of an RFC 3339 instant."""
    instant = read_datetime(raw)
    return None if instant is None else instant.date()


def read_day(raw: Any, zone: str) -> date | None:
    """Return a date as it is written, or an instant's day in a time zone (C8)."""
    text = raw.isoformat() if isinstance(raw, date) else raw  # a date written bare in YAML
    instant = read_datetime(text)
    if instant is None or _DATE.fullmatch(text.strip()):
        return None if instant is None else instant.date()
    try:
        return instant.astimezone(ZoneInfo(zone)).date()
    except OverflowError:  # out of the calendar in that zone
        return None


def read_datetime(raw: Any) -> datetime | None:
    """Return an RFC 3339 instant with its zone, or a date as midnight, both in UTC.

    Digits beyond the microsecond are cut off.
    """
    text = raw.isoformat() if isinstance(raw, date) else raw  # a date written bare in YAML
    if not isinstance(text, str):
        return None
    try:
        return _instant(text.strip())
    except (ValueError, OverflowError):  # the 30th of February, or out of the calendar in UTC
        return None


def _instant(text: str) -> datetime | None:
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(f"{text}T00:00:00+00:00")
    parts = _INSTANT.fullmatch(text)
    if parts is None:
        return None
    microseconds = (parts["fraction"] or "")[:6].ljust(6, "0")
    zone = parts["zone"].upper().replace("Z", "+00:00")
    local = datetime.fromisoformat(f"{parts['date']}T{parts['time']}.{microseconds}{zone}")
    return local.astimezone(UTC)


def read_boolean(raw: Any) -> bool | None:
    """Return true or false; any other value is of the wrong type."""
    return raw if isinstance(raw, bool) else None


def read_set(raw: Any) -> frozenset[str] | None:
    """Return the folded texts of a list of texts; a list with only blank texts is missing."""
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        return None
    texts = (read_text(item) for item in raw)
    return frozenset(text for text in texts if text is not None) or None


def read_geo(raw: Any) -> tuple[Decimal, Decimal] | None:
    """Return (latitude, longitude) in degrees, rounded to 12 decimals (C6)."""
    if not isinstance(raw, Mapping):
        return None
    latitude, longitude = _decimal(raw.get("lat")), _decimal(raw.get("lon"))
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, 12), round(longitude, 12)


_READERS = {
    "text": read_text,
    "number": read_number,
    "money": read_number,
    "date": read_date,
    "datetime": read_datetime,
    "boolean": read_boolean,
    "set": read_set,
    "geo": read_geo,
}


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum (F10)."""
    return reduce(EXACT.add, amounts, Decimal(0))


def product(*factors: Decimal) -> Decimal:
    """Return the exact product (F10)."""
    return reduce(EXACT.multiply, factors, Decimal(1))
