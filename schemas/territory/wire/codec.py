"""JSON bytes to Python values and back, without losing a digit.

A double can't hold every JSON number. A number that a double would change is kept as its
text, which typed fields read as exactly that number (C6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from territory.errors import BadMessage

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

_Event = TypeVar("_Event")

MESSAGE_BYTES_MAX = 900_000
MESSAGE_LEVELS_MAX = 128
"""Nesting depth of values. A value that was read must fit into another envelope when it is written."""
REASON_CHARACTERS_MAX = 400
FLOAT_DIGITS_MAX = 15
"""Every decimal of at most 15 digits survives the way into a double and back."""
WRITABLE_INTEGERS = range(-(2**63), 2**64)

# Integers of 19 digits and more may not fit into 64 bits. Two C calls find out whether a message
# may hold one: digits become 9, what can precede a number becomes a space. Quoted ids don't match.
_SHAPES = bytes(
    ord("9") if chr(byte) in "0123456789" else ord(" ") if chr(byte) in ":,[- \t\r\n" else ord("x")
    for byte in range(256)
)
_LONG_INTEGER = b" " + b"9" * 19
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""A half of a surrogate pair, escaped or as bytes."""


def decode(raw: bytes, bytes_max: int | None = None) -> Any:
    """Return the JSON value that bytes from outside hold. Halves of surrogate pairs become U+FFFD (A13).

    Raises: BadMessage (not_json, wrong_type; too_large where a bound is given).
    """
    if bytes_max is not None and len(raw) > bytes_max:
        raise BadMessage("too_large", f"found {len(raw)} bytes, expected at most {bytes_max}")
    try:
        value = _read_long_integers(raw) if _LONG_INTEGER in b" " + raw.translate(_SHAPES) else _read(raw)
    except (ValueError, RecursionError) as fault:
        value = _read_broken_text(raw, fault)
    if raw.count(b"[") + raw.count(b"{") > MESSAGE_LEVELS_MAX and _is_deeper(value, MESSAGE_LEVELS_MAX):
        raise BadMessage("wrong_type", f"found values nested deeper than {MESSAGE_LEVELS_MAX} levels; flatten them")
    return value


def _read_long_integers(raw: bytes) -> Any:
    """Parse with the standard library, which hands over an integer of any length as text.

    It accepts halves of surrogate pairs, which msgspec refuses; so the value must also be writable.
    """
    value = loads_exactly(raw.decode())
    _write(value)
    return value


def _read_broken_text(raw: bytes, fault: Exception) -> Any:
    """Parse bytes that were refused because texts hold halves of surrogate pairs, escaped or as bytes (A13).

    Raises: BadMessage (not_json) if that was not the reason.
    """
    if _SURROGATE.search(raw) is None:
        raise BadMessage("not_json", f"found {raw[:60]!r}, expected UTF-8 JSON: {fault}") from fault
    try:
        value = _whole(loads_exactly(raw.decode("utf-8", "surrogatepass")))
        _write(value)
    except (ValueError, RecursionError) as broken:
        raise BadMessage("not_json", f"found {raw[:60]!r}, expected UTF-8 JSON: {broken}") from broken
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, dict):
        return {_whole_text(name): _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _whole_text(text: str) -> str:
    """Join the halves of pairs, and replace each half that is alone by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def text_of(raw: bytes) -> str:
    """Return the text of a key: UTF-8, with U+FFFD for halves of surrogate pairs as `decode` writes them (A13)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        return _whole_text(raw.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return raw.decode(errors="replace")


def loads_exactly(
    raw: bytes | str,
    pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    number: Callable[[str], Any] | None = None,
) -> Any:
    """Parse JSON; a number that a double or 64 bits can't hold stays text.

    Args:
        raw: The JSON text.
        pairs_hook: Makes a mapping of its pairs.
        number: Reads the text of a number, instead.

    Raises: ValueError, RecursionError.
    """
    return json.loads(
        raw,
        parse_float=number or exact_float,
        parse_int=number or _exact_int,
        parse_constant=_refuse,
        object_pairs_hook=pairs_hook,
    )


def exact_float(text: str) -> float | str:
    """Return a number as a double, or its text where a double can't hold it exactly."""
    number = float(text)
    if len(text) <= FLOAT_DIGITS_MAX and "e" not in text and "E" not in text:
        return number
    try:
        return number if Decimal(repr(number)) == Decimal(text) else text
    except InvalidOperation:  # the exponent is beyond the limits of Decimal
        return text


def _exact_int(text: str) -> int | str:
    if len(text) > len(str(WRITABLE_INTEGERS.stop)):
        return text
    number = int(text)
    return number if number in WRITABLE_INTEGERS else text


_read = msgspec.json.Decoder(float_hook=exact_float).decode
_write = msgspec.json.Encoder().encode


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _is_deeper(value: Any, levels: int) -> bool:
    containers = (dict, list)  # a tuple: `dict | list` builds a union each time and takes three times as long
    layer = [value] if isinstance(value, containers) else []
    for _ in range(levels):
        if not layer:
            return False
        inner = (item.values() if isinstance(item, dict) else item for item in layer)
        layer = [item for items in inner for item in items if isinstance(item, containers)]
    return bool(layer)


def encode(event: object) -> bytes:
    """Encode an event or a JSON value; decimals become text of exactly their value.

    Raises: TypeError, ValueError or RecursionError for values that JSON can't express.
    """
    return _write(event)


@cache
def reader_of(kind: type[_Event]) -> Callable[[bytes], _Event]:
    """Return the decoder of one kind of our own events.

    It raises BadMessage (not_json, wrong_type). It has no limit on size: a record of 900 000 bytes
    grows by its links and its envelope, and the topic's limit allows for that.
    """
    read_fast: Callable[[bytes], _Event] = msgspec.json.Decoder(kind).decode

    def read(raw: bytes) -> _Event:
        try:
            return read_fast(raw)
        except msgspec.ValidationError as invalid:
            raise BadMessage("wrong_type", f"no {kind.__name__}: {_shortened(str(invalid))}") from invalid
        except (ValueError, RecursionError) as fault:
            raise BadMessage("not_json", f"found {raw[:60]!r}, expected UTF-8 JSON: {fault}") from fault

    return read


def _shortened(reason: str) -> str:
    """Cut the middle of a long reason; the path of the fault is at its end."""
    return (
        reason if len(reason) <= REASON_CHARACTERS_MAX else f"{reason[: REASON_CHARACTERS_MAX - 100]}…{reason[-100:]}"
    )


def reason_of(invalid: ValidationError) -> str:
    """Format the first three faults: what was found, what was expected."""
    errors = invalid.errors(include_url=False)
    shown = "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'message'}: found {str(error['input'])[:60]!r}, {error['msg']}"
        for error in errors[:3]
    )
    return shown if len(errors) <= 3 else f"{shown}; and {len(errors) - 3} more"
