"""Bytes to events and back: JSON, exact (decision of 2026-11-21 in the README).

Floats can't hold every number, so a JSON number with more than 15 digits is read as its
text, which is that number wherever one is expected (C6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from territory.errors import BadMessage
from territory.money import text_of

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

_Event = TypeVar("_Event")

MESSAGE_BYTES_MAX = 900_000
FLOAT_DIGITS_MAX = 15

# A run of 16 digits is looked for in two C calls (0.6 µs), before the regular expression that
# tells a number from a text of digits (6 µs for 400 bytes).
_DIGITS_TO_NINES = bytes(ord("9") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_LONG_RUN = b"9" * (FLOAT_DIGITS_MAX + 1)
_LONG_NUMBER = re.compile(rb"[:,\[\s]-?[0-9.]{16}")


def decode(raw: bytes) -> Any:
    """Return the JSON value of some bytes. Raises: BadMessage (not_json, too_large)."""
    if len(raw) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_large", f"found {len(raw)} bytes, expected at most {MESSAGE_BYTES_MAX}")
    try:
        if _LONG_RUN in raw.translate(_DIGITS_TO_NINES) and _LONG_NUMBER.search(raw):
            return _decode_exactly(raw)
        return orjson.loads(raw)
    except (ValueError, RecursionError) as fault:
        raise BadMessage("not_json", f"found {raw[:60]!r}, expected UTF-8 JSON: {fault}") from fault


def _decode_exactly(raw: bytes) -> Any:
    orjson.loads(raw)  # stricter than the standard library about UTF-8, control characters and depth
    return json.loads(raw, parse_float=_exact_float, parse_int=_exact_int, parse_constant=_refuse)


def _exact_float(text: str) -> float | str:
    number = float(text)  # only to compare: it stays a float where nothing is lost
    return number if Decimal(repr(number)) == Decimal(text) else text


def _exact_int(text: str) -> int | str:
    return int(text) if len(text) <= FLOAT_DIGITS_MAX + 3 else text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def encode(event: object) -> bytes:
    """Return the JSON bytes of an event or a plain value; decimals become their exact text."""
    return orjson.dumps(event, default=_encode_other)


def _encode_other(value: object) -> object:
    if isinstance(value, Decimal):
        return text_of(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def plain(value: object) -> Any:
    """Return a YAML value as JSON values: dates become their text. Raises: TypeError."""
    if isinstance(value, dict):
        return {_plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, date):  # a datetime is a date, too
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"found a {type(value).__name__}, expected text, a number, true, false, a list or a mapping")


def _plain_key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise TypeError(f"found the key {key!r}, expected text; put it in quotes")


@cache
def reader_of(kind: type[_Event]) -> Callable[[bytes], _Event]:
    """Return the function that reads one kind of event from bytes.

    It raises BadMessage (not_json, too_large, wrong_type).
    """
    validate = TypeAdapter(kind).validate_python

    def read(raw: bytes) -> _Event:
        try:
            return validate(decode(raw))
        except ValidationError as invalid:
            raise BadMessage("wrong_type", reason_of(invalid)) from invalid

    return read


def reason_of(invalid: ValidationError) -> str:
    """Return what was found and expected, for at most three faults."""
    errors = invalid.errors(include_url=False)
    shown = "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'message'}: found {str(error['input'])[:60]!r}, {error['msg']}"
        for error in errors[:3]
    )
    return shown if len(errors) <= 3 else f"{shown}; and {len(errors) - 3} more"
