"""Reads a record's fields: JSON values in, typed values or None out (C3, C6)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Literal, get_args

FieldType = Literal["text", "number", "money", "date", "datetime", "boolean", "set", "geo"]
FIELD_TYPES: tuple[FieldType, ...] = get_args(FieldType)

Value = str | int | Decimal | date | datetime | bool | frozenset[str] | tuple[Decimal, Decimal]
"""A typed value that criteria compare. A missing field is None."""

MAGNITUDE_MAX = Decimal(10) ** 30
DECIMALS_MAX = 12
TEXT_CHARACTERS_MAX = 64
LAT_MAX, LON_MAX = 90, 180

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)


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


def datetime_of(raw: object) -> datetime | None:
    """Read an RFC 3339 text, or a date as its midnight in UTC; None for anything else."""
    if not isinstance(raw, str):
        return None
    text = raw.strip()
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if _INSTANT.fullmatch(text) is None:
            return None
        instant = datetime.fromisoformat(text.upper())  # digits beyond the microsecond are dropped
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except (ValueError, OverflowError):  # no such day or minute, or before year 1 or after 9999 in UTC
        return None


def date_of(raw: object) -> date | None:
    """Read a `YYYY-MM-DD` text, or an RFC 3339 text as its day in UTC; None for anything else."""
    instant = datetime_of(raw)
    return None if instant is None else instant.date()


def _text_of(raw: object) -> str | None:
    if not isinstance(raw, str):
        return None
    if raw.isascii():  # the fast path of `folded`
        return raw.lower().strip() or None
    return folded(raw) or None


def _boolean_of(raw: object) -> bool | None:
    return raw if isinstance(raw, bool) else None


def _set_of(raw: object) -> frozenset[str] | None:
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        return None
    return frozenset(folded(item) for item in raw if folded(item)) or None


def _geo_of(raw: object) -> tuple[Decimal, Decimal] | None:
    if not isinstance(raw, Mapping):
        return None
    lat, lon = measure_of(raw.get("lat"), LAT_MAX), measure_of(raw.get("lon"), LON_MAX)
    return None if lat is None or lon is None else (lat, lon)


_READERS = {
    "text": _text_of,
    "number": number_of,
    "money": number_of,
    "date": date_of,
    "datetime": datetime_of,
    "boolean": _boolean_of,
    "set": _set_of,
    "geo": _geo_of,
}


def is_blank(raw: object) -> bool:
    """Whether a JSON value counts as an empty field, not as one of the wrong type (C3)."""
    return raw is None or raw == [] or (isinstance(raw, str) and not raw.strip())


def read_value(kind: FieldType, raw: object) -> Value | None:
    """Return the typed value of one field; None if it is missing or of the wrong type (C6)."""
    return _READERS[kind](raw)


def read_values(kind: FieldType, raws: Sequence[object]) -> list[Value | None]:
    """Return the typed values of many JSON values of one type; like `read_value`, but faster."""
    texts = _plain_texts(raws) if kind == "text" else None
    if texts is not None:
        return texts
    read = _READERS[kind]
    return [read(raw) for raw in raws]


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


def read_fields(types: Mapping[str, FieldType], fields: Mapping[str, object]) -> tuple[dict[str, Value], int]:
    """Return the typed values of the declared fields, and the number of values of the wrong type (C6)."""
    values: dict[str, Value] = {}
    wrong = 0
    for name, kind in types.items():
        raw = fields.get(name)
        if raw is None:
            continue
        value = _READERS[kind](raw)
        if value is not None:
            values[name] = value
        elif not is_blank(raw):
            wrong += 1
    return values, wrong
