"""The oracle's typed values: reads JSON values in fields of declared types (C3, C5, C6)."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"(?P<minute>([01][0-9]|2[0-3]):[0-5][0-9])"
    r"(:(?P<second>[0-5][0-9])(\.(?P<fraction>[0-9]+))?)?"
    r"(?P<zone>[Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile("[0-9]{13}")
MILLISECONDS_MIN = 10**10


class Unreadable:
    """A value that is there, but cannot be read as its field's type (C2, C6)."""


UNREADABLE = Unreadable()


def read(field_type: str, raw: Any, time_zone: str = "UTC") -> Any:
    """Return the typed value of a field, None for a missing one, or UNREADABLE (C2, C6)."""
    if isinstance(raw, Converted):
        return raw.amount
    value = _READERS[field_type](raw, time_zone) if field_type in ("date", "datetime") else _READERS[field_type](raw)
    if value is not None:
        return value
    return None if _is_empty(raw) or _has_nothing(field_type, raw) else UNREADABLE


def _is_empty(raw: Any) -> bool:
    """Return whether a JSON value is null or blank, or holds only such (C3)."""
    if isinstance(raw, str):
        return not raw.strip()
    if isinstance(raw, Mapping):
        return all(_is_empty(inner) for inner in raw.values())
    return raw is None or (isinstance(raw, list) and all(_is_empty(inner) for inner in raw))


def _has_nothing(field_type: str, raw: Any) -> bool:
    """Return whether a set has separators only, or a place has coordinates that are all empty (C6)."""
    if field_type == "set" and isinstance(raw, str):
        return not any(part.strip() for part in raw.split(";"))
    if field_type == "geo" and isinstance(raw, Mapping):
        named = [raw[name] for name in (*_LATITUDE, *_LONGITUDE) if name in raw]
        return bool(named) and all(_is_empty(each) for each in named)
    return False


def read_text(raw: Any) -> str | None:
    """Return a text folded for comparison, also of an integer's digits; a blank one is missing (C3, C6)."""
    if isinstance(raw, int) and not isinstance(raw, bool) and -NUMBER_LIMIT < raw < NUMBER_LIMIT:
        raw = f"{raw:d}"
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


@dataclass(frozen=True)
class Converted:
    """Money that has been converted to the organisation's currency (C9)."""

    amount: Decimal


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


def read_date(raw: Any, time_zone: str = "UTC") -> date | None:
    """Return a date from YYYY-MM-DD, or the day of an instant in the organisation's time zone (C6, C8)."""
    text = raw.isoformat() if isinstance(raw, date) else raw  # a date written bare in YAML
    try:
        if isinstance(text, str) and _DATE.fullmatch(text.strip()):
            return date.fromisoformat(text.strip())
        instant = read_datetime(raw, time_zone)
        return None if instant is None else instant.astimezone(ZoneInfo(time_zone)).date()
    except (ValueError, OverflowError):  # the 30th of February, or out of the calendar
        return None


def read_datetime(raw: Any, time_zone: str = "UTC") -> datetime | None:
    """Return an instant in UTC: ISO 8601 with an offset, epoch milliseconds, or where a day begins (C6, C8).

    Digits beyond the microsecond are cut off.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        return _from_milliseconds(raw) if abs(raw) >= MILLISECONDS_MIN else None
    text = raw.isoformat() if isinstance(raw, date) else raw  # a date written bare in YAML
    if not isinstance(text, str):
        return None
    if _MILLISECONDS.fullmatch(text.strip()):
        return _from_milliseconds(int(text)) if int(text) >= 10**12 else None
    try:
        return _instant(text.strip(), time_zone)
    except (ValueError, OverflowError):  # the 30th of February, or out of the calendar in UTC
        return None


def _from_milliseconds(count: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=count)
    except OverflowError:
        return None


def _instant(text: str, time_zone: str) -> datetime | None:
    if _DATE.fullmatch(text):
        day = date.fromisoformat(text)
        if day == date.min:
            return datetime.min.replace(tzinfo=UTC)  # nothing is before it, wherever
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
    parts = _INSTANT.fullmatch(text)
    if parts is None:
        return None
    microseconds = (parts["fraction"] or "")[:6].ljust(6, "0")
    digits = parts["zone"][1:].replace(":", "").ljust(4, "0")
    zone = f"{parts['zone'][0]}{digits[:2]}:{digits[2:]}" if parts["zone"] not in "Zz" else "+00:00"
    clock = f"{parts['minute']}:{parts['second'] or '00'}.{microseconds}"
    return datetime.fromisoformat(f"{parts['date']}T{clock}{zone}").astimezone(UTC)


_YES, _NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")


def read_boolean(raw: Any) -> bool | None:
    """Return true or false, also from 1 and 0 and from the words that CRMs write (C6)."""
    if isinstance(raw, bool):
        return raw
    word = read_text(raw)
    return True if word in _YES else False if word in _NO else None


def read_set(raw: Any) -> frozenset[str] | None:
    """Return the folded texts of a list, or of one text with `;` between them; without any it is missing (C6)."""
    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list):
        return None
    texts = [read("text", part) for part in parts]
    if UNREADABLE in texts:
        return None
    return frozenset(text for text in texts if text is not None) or None


_LATITUDE, _LONGITUDE = ("lat", "latitude"), ("lon", "lng", "longitude")


def read_geo(raw: Any) -> tuple[Decimal, Decimal] | None:
    """Return (latitude, longitude) in degrees, rounded to 12 decimals (C6)."""
    if not isinstance(raw, Mapping):
        return None
    latitude, longitude = _coordinate(raw, _LATITUDE), _coordinate(raw, _LONGITUDE)
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, 12), round(longitude, 12)


def _coordinate(raw: Mapping[str, Any], names: tuple[str, ...]) -> Decimal | None:
    """Return a coordinate by any of its names; two names must not contradict each other."""
    there = [raw[name] for name in names if not _is_empty(raw.get(name))]
    found = {_decimal(each) for each in there}
    return found.pop() if len(found) == 1 else None


_READERS: dict[str, Any] = {
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
