"""Reads a record's fields: JSON values in; typed values, missing or unreadable ones out (C2, C3, C6)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache, partial
from math import isfinite
from typing import Any, Literal, get_args

from territory.model.periods import start_of_day

FieldType = Literal["text", "number", "money", "date", "datetime", "boolean", "set", "geo"]
FIELD_TYPES: tuple[FieldType, ...] = get_args(FieldType)

Value = str | int | Decimal | date | datetime | bool | frozenset[str] | tuple[Decimal, Decimal]
"""A typed value that criteria compare. A missing field is None."""

NAMED_TYPES: dict[FieldType, str] = {kind: f"a {kind}" for kind in get_args(FieldType)} | {
    "money": "an amount of money",
    "geo": "a position",
}
"""Each type with its article, for messages."""

MAGNITUDE_MAX = Decimal(10) ** 30
DECIMALS_MAX = 12
TEXT_CHARACTERS_MAX = 64
LAT_MAX, LON_MAX = 90, 180

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
    r"([Zz]|[+-][0-9]{2}(:?[0-5][0-9])?)"
)
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
MILLISECONDS_MIN = 10**10
"""A smaller integer may as well be seconds, or a day written 20170301, so it is no instant."""
_MILLISECONDS = re.compile(r"[1-9][0-9]{12}")
"""As a text: from 2001 to 2286."""
FOUND_CHARACTERS_MAX = 80


class Unreadable:
    """A value that is there, but that cannot be read as its field's type (C2, C6).

    All are equal, so that an index finds one entry for any of them.
    """

    __slots__ = ("expected", "raw")

    def __init__(self, raw: object, expected: FieldType) -> None:
        self.raw = raw
        self.expected = expected

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unreadable)

    def __hash__(self) -> int:
        return 0

    @property
    def found(self) -> str:
        """The value as `excerpt_of` shows it."""
        return excerpt_of(self.raw)

    def __str__(self) -> str:
        return f"unreadable: found {self.found}, expected {NAMED_TYPES[self.expected]}"

    __repr__ = __str__


def excerpt_of(raw: object) -> str:
    """Return a value as JSON, cut to `FOUND_CHARACTERS_MAX` characters; it may be personal data: never log it."""
    if isinstance(raw, str | list):
        raw = raw[:FOUND_CHARACTERS_MAX]
    text = json.dumps(raw, ensure_ascii=False, default=str)
    return text if len(text) <= FOUND_CHARACTERS_MAX else f"{text[: FOUND_CHARACTERS_MAX - 1]}…"


def folded(text: str) -> str:
    """Fold a text for comparison: NFKC, case-folded, trimmed (C3).

    Case folding can create new compatibility sequences, so the text is normalised again after it.
    """
    if text.isascii():
        return text.casefold().strip()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def number_of(raw: object) -> int | Decimal | None:
    """Read a JSON number or text as an exact number; None if it is not one (C6).

    A float is taken as its shortest decimal text. Limits: below 10^30, at most 12 decimals.
    """
    exact = _written(raw)
    if exact is None or not -MAGNITUDE_MAX < exact < MAGNITUDE_MAX:
        return None
    if isinstance(exact, int):
        return exact
    if exact == exact.to_integral_value():
        return int(exact)
    # Not by `normalize()`: it rounds to the 28 digits of the default context.
    decimals = len(format(exact, "f").rstrip("0").partition(".")[2])
    return exact if decimals <= DECIMALS_MAX else None


def measure_of(raw: object, most: int) -> Decimal | None:
    """Read a JSON value as degrees or kilometres from -most to most; None if it is not one.

    Measured values are rounded to 12 decimals rather than refused: positions in JSON often have 14
    decimals, and the 12th decimal of a degree is a tenth of a micrometre.
    """
    exact = _written(raw)
    if exact is None or not -most <= exact <= most:
        return None
    measure = Decimal(exact)
    rounded = round(measure, DECIMALS_MAX)
    return measure if rounded == measure else rounded


def _written(raw: object) -> int | Decimal | None:
    """Read a JSON number or a decimal text of any size, with all of its digits."""
    kind = type(raw)
    if kind is int:
        return raw  # type: ignore[return-value]  # narrowed by `type`, which leaves bool out
    if kind is float:
        return Decimal(repr(raw)) if isfinite(raw) else None  # type: ignore[arg-type]  # narrowed by `type`
    if kind is not str:
        return None
    text: str = raw.strip()  # type: ignore[attr-defined]  # narrowed by `type`
    if len(text) > TEXT_CHARACTERS_MAX or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text)


def datetime_of(raw: object, zone: tzinfo = UTC) -> datetime | None:
    """Read an instant, in UTC; None for anything else (C6).

    It is a text of ISO 8601 with an offset, epoch milliseconds, or a day: the instant at which that day
    begins in a time zone (C8). Digits beyond the microsecond are dropped.
    """
    if type(raw) is int:
        return _from_milliseconds(raw) if abs(raw) >= MILLISECONDS_MIN else None
    if not isinstance(raw, str):
        return None
    text = raw.strip()
    try:
        if _INSTANT.fullmatch(text):
            instant = datetime.fromisoformat(text.upper())
            return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
        if _DATE.fullmatch(text):
            return start_of_day(date.fromisoformat(text), zone)
    except (ValueError, OverflowError):  # no such day or minute, or before year 1 or after 9999 in UTC
        return None
    return _from_milliseconds(int(text)) if _MILLISECONDS.fullmatch(text) else None


def date_of(raw: object, zone: tzinfo = UTC) -> date | None:
    """Read a `YYYY-MM-DD` text, or an instant as its day in a time zone; None for anything else (C6, C8)."""
    try:
        if is_day(raw):
            return date.fromisoformat(raw.strip())  # type: ignore[attr-defined]  # `is_day` takes texts only
        instant = datetime_of(raw, zone)
        return None if instant is None else instant.astimezone(zone).date()
    except (ValueError, OverflowError):  # no such day, or before year 1 or after 9999 in the zone
        return None


def is_day(raw: object) -> bool:
    """Whether a JSON value is written like a day, and not like an instant (C8)."""
    return isinstance(raw, str) and _DATE.fullmatch(raw.strip()) is not None


def _from_milliseconds(count: int) -> datetime | None:
    try:
        return _EPOCH + count * _MILLISECOND
    except OverflowError:
        return None


def _text_of(raw: object) -> str | None:
    if not isinstance(raw, str):
        return str(raw) if type(raw) is int and -MAGNITUDE_MAX < raw < MAGNITUDE_MAX else None
    if raw.isascii():  # the fast path of `folded`
        return raw.lower().strip() or None
    return folded(raw) or None


_BOOLEANS = dict.fromkeys(("true", "yes", "y", "1"), True) | dict.fromkeys(("false", "no", "n", "0"), False)


def _boolean_of(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    word = _text_of(raw)
    return None if word is None else _BOOLEANS.get(word)


def _set_of(raw: object) -> frozenset[str] | None:
    parts = raw.split(";") if isinstance(raw, str) else raw
    if not isinstance(parts, list):
        return None
    texts = {_text_of(part) for part in parts if not is_blank(part)}
    return None if None in texts else frozenset(texts) or None  # type: ignore[arg-type]  # no None in it


_LATITUDES, _LONGITUDES = ("lat", "latitude"), ("lon", "lng", "longitude")


def _geo_of(raw: object) -> tuple[Decimal, Decimal] | None:
    if not isinstance(raw, Mapping):
        return None
    lat, lon = _coordinate(raw, _LATITUDES, LAT_MAX), _coordinate(raw, _LONGITUDES, LON_MAX)
    return None if lat is None or lon is None else (lat, lon)


def _coordinate(raw: Mapping[str, object], names: tuple[str, ...], most: int) -> Decimal | None:
    """Read a coordinate by any of its names; None where two of them contradict each other."""
    found = {measure_of(raw[name], most) for name in names if name in raw and not is_blank(raw[name])}
    return found.pop() if len(found) == 1 else None


Reader = Callable[[Any], Value | None]

_READERS: dict[FieldType, Reader] = {
    "text": _text_of,
    "number": number_of,
    "money": number_of,
    "boolean": _boolean_of,
    "set": _set_of,
    "geo": _geo_of,
}


@lru_cache(maxsize=1024)
def _readers_in(zone: tzinfo) -> dict[FieldType, Reader]:
    """Return the readers of all types; those of days and instants read in a time zone (C8)."""
    return _READERS | {"date": partial(date_of, zone=zone), "datetime": partial(datetime_of, zone=zone)}


def is_blank(raw: object) -> bool:
    """Whether a JSON value is null or blank, or holds only such: an empty field, not an unreadable one (C3)."""
    if isinstance(raw, str):
        return not raw.strip()
    if isinstance(raw, Mapping):
        return all(map(is_blank, raw.values()))
    return raw is None or (isinstance(raw, list) and all(map(is_blank, raw)))


def _is_missing(kind: FieldType, raw: object) -> bool:
    """Whether a JSON value that could not be read counts as a missing field (C2, C6)."""
    if kind == "set" and isinstance(raw, str):
        return not raw.replace(";", "").strip()
    if kind == "geo" and isinstance(raw, Mapping):
        named = [raw[name] for name in (*_LATITUDES, *_LONGITUDES) if name in raw]
        return all(map(is_blank, named or raw.values()))
    return is_blank(raw)


def read_value(kind: FieldType, raw: object, zone: tzinfo = UTC) -> Value | Unreadable | None:
    """Return the typed value of one field; None if it is missing (C6).

    Args:
        kind: The field's declared type.
        raw: The JSON value.
        zone: The organisation's time zone, for days and instants (C8).
    """
    value = _readers_in(zone)[kind](raw)
    if value is not None:
        return value
    return None if _is_missing(kind, raw) else Unreadable(raw, kind)


def read_operand(kind: FieldType, raw: object, zone: tzinfo = UTC) -> Value | None:
    """Return the typed value of a rule's operand; None if it is not of the type (C5).

    A model is written by hand, so it is read strictly: texts, days and booleans are written as such.
    """
    if kind in ("text", "date", "datetime") and not isinstance(raw, str):
        return None
    if kind == "boolean" and not isinstance(raw, bool):
        return None
    return _readers_in(zone)[kind](raw)


def read_operands(kind: FieldType, raws: Sequence[object], zone: tzinfo = UTC) -> list[Value | None]:
    """Return the typed values of many operands of one type; like `read_operand`, but faster."""
    texts = _plain_texts(raws) if kind == "text" else None
    if texts is not None:
        return texts
    return [read_operand(kind, raw, zone) for raw in raws]


def _plain_texts(raws: Sequence[Any]) -> list[Value | None] | None:
    """Read a list of ASCII texts in one go, because a model may list a million; None for other lists."""
    try:
        joined = "\0".join(raws)
    except TypeError:  # not all values are texts
        return None
    if not joined.isascii():
        return None
    texts: list[Value | None] = joined.lower().split("\0")  # type: ignore[assignment]  # all are texts
    if len(joined.split()) > 1 or joined != joined.strip():
        texts = [text.strip() for text in texts]  # type: ignore[union-attr]
    return texts if len(texts) == len(raws) and "" not in texts else None


def read_fields(
    types: Mapping[str, FieldType], fields: Mapping[str, object], zone: tzinfo = UTC
) -> tuple[dict[str, Value | Unreadable], int]:
    """Return the values of the declared fields that are not missing, and the number of unreadable ones (C2, C6).

    Args:
        types: The declared types by field.
        fields: The record's JSON values.
        zone: The organisation's time zone, for days and instants (C8).
    """
    values: dict[str, Value | Unreadable] = {}
    unreadable = 0
    readers = _readers_in(zone)
    for name, kind in types.items():
        raw = fields.get(name)
        if raw is None:
            continue
        value = readers[kind](raw)
        if value is not None:
            values[name] = value
        elif not _is_missing(kind, raw):
            values[name] = Unreadable(raw, kind)
            unreadable += 1
    return values, unreadable
