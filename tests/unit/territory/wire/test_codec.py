"""JSON bytes to values and back, exactly."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria.values import FieldType, Unreadable, number_of, read_fields
from territory.errors import BadMessage
from territory.wire.codec import (
    FLOAT_DIGITS_MAX,
    MESSAGE_LEVELS_MAX,
    WRITABLE_INTEGERS,
    decode,
    encode,
    reader_of,
    text_of,
)
from territory.wire.events import Event
from tests.unit.territory.examples import json_values, long_decimals


def code_of(raw: bytes, bytes_max: int | None = None) -> str:
    """Return the code of the refusal of some bytes."""
    with pytest.raises(BadMessage) as refused:
        decode(raw, bytes_max)
    return refused.value.code


def nested(levels: int) -> bytes:
    """Return nested lists."""
    return b"[" * levels + b"]" * levels


digits = st.text("0123456789", min_size=1, max_size=40)
number_texts = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{int(whole)}{fraction}{exponent}",
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(".{}".format),
    st.just("") | st.integers(-400, 400).map("e{}".format) | st.integers(0, 400).map("E+{:04}".format),
)


@given(number_texts)
@example("0.1")
@example("9007199254740993")
@example("123456789012345.678")
@example("9223372036854775807")
@example("18446744073709551616")
@example("-9223372036854775809")
@example("0.30000000000000004")
@example("1e22")
@example("100000000000000000000000000000000000000000.1")
@example("9.007199254740993e15")
@example("9007199254740993e0")
@example("8.314193104736842")
@example("81543084352189.32")
@example("1e-400")
@example("-1E-0400")
@example("5e-324")
@example("1.23456e-320")
@example("1e400")
@example("-9.99E+400")
@example("0e-400")
def test_numbers_are_exact(text: str) -> None:
    """A JSON number is read as a number of exactly that value, or kept as its text (F10)."""
    value = decode(f'{{"a": {text}}}'.encode())["a"]
    assert decode(text.encode()) == value
    assert decode(encode(value)) == value
    assert decode(f"[ {text},1]".encode())[0] == value
    exact = Decimal(text)
    if isinstance(value, str):
        assert value == text
        assert len(text) > FLOAT_DIGITS_MAX or abs(exact.adjusted()) > 99
    else:
        assert Decimal(repr(value)) == exact
        assert isinstance(value, float) or value in WRITABLE_INTEGERS
    found = number_of(value)
    assert found is None or Decimal(found) == exact


UNREADABLE = ["1e-400", "-1e-400", "1E-0400", "1.23456e-320", "1e400", "-1e+400", "1E0400", "9" * 400, "9" * 400 + ".5"]


@pytest.mark.parametrize("number", UNREADABLE)
@pytest.mark.parametrize("before", ['"id": "1e-400"', '"id": "550e8400-e29b-41de-1234"', '"id": [-5, 1e-400]'])
def test_a_number_beyond_a_double_costs_one_field(number: str, before: str) -> None:
    """A number that a double can't hold is one field of the wrong type; the rest of the message is read (C6)."""
    document = decode(f'{{{before}, "a": {number}, "b": [{number}, 0.5], "c": "x"}}'.encode())
    assert (document["a"], document["b"], document["c"]) == (number, [number, 0.5], "x")
    assert document["id"] == json.loads(f"{{{before}}}", parse_float=str)["id"]
    types: dict[str, FieldType] = {"a": "number", "c": "text"}
    values, unreadable = read_fields(types, document)
    assert ({name: value for name, value in values.items() if not isinstance(value, Unreadable)}, unreadable) == (
        {"c": "x"}, 1
    )  # fmt: skip


@pytest.mark.parametrize("fault", [b"\x01", b"\xff", b"\xed\xa0\x80\xff", b"\\ud800\x01"])
@pytest.mark.parametrize("number", [b"1e400", b"1e-400", b"9" * 400])
def test_a_number_beyond_a_double_excuses_no_other_fault(number: bytes, fault: bytes) -> None:
    """Invalid UTF-8 and invalid JSON are refused beside such a number, too."""
    assert decode(b'{"a": ' + number + b', "b": "x"}') == {"a": number.decode(), "b": "x"}
    for raw in (b'{"a": ' + number + b', "b": "' + fault + b'"}', b'\xef\xbb\xbf{"a": ' + number + b"}"):
        assert code_of(raw) == "not_json"
    assert code_of(b'{"a": ' + number + b"x}") == "not_json"


@given(json_values.filter(lambda value: value is not None))
def test_what_is_read_can_be_written(value: Any) -> None:
    """Any JSON that we read can be written and read again unchanged, so a worker can always read its own state."""
    read = decode(json.dumps(value, allow_nan=False).encode()) if _is_finite(value) else value
    assert _is_finite(read) is _is_finite(value)
    if _is_finite(read):
        assert decode(encode(read)) == read


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | dict):
        return all(_is_finite(item) for item in (value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


@given(st.binary(max_size=60) | st.text("[]{}:,\"'\\truefalsnu0123456789.eE+- \n", max_size=60).map(str.encode))
@example(b"")
@example(b"\xff")
@example(b'\xef\xbb\xbf{"a": 1}')
@example(b'{"a": "\xed\xa0\x80"}')
@example(b'"\\ud800"')
@example(b'{"a": 1}{"b": 2}')
@example(b"{'a': 1}")
@example(b'{"a": NaN}')
@example(b"20000000000000000000")
@example(b'{"a": 1234567890123456e400}')
@example(b'{"a": 1234567890123456e-99999999999999999999}')
@example(b'{"a": [1234567890123456, NaN]}')
@example(nested(100_000))
@example(b"[" * 100_000)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Any bytes are read by the rules of JSON or refused; no other error escapes."""
    try:
        value = decode(raw)
    except BadMessage as refused:
        code, value = refused.code, None
    else:
        code = "read"
    assert code in ("read", "not_json", "wrong_type")
    if code == "read":
        assert decode(encode(value)) == value
        as_written = json.loads(raw, parse_float=str, parse_int=str)  # numbers that would lose digits are kept as text
        if isinstance(as_written, str):
            as_written = re.sub("[\ud800-\udfff]", "\ufffd", as_written)  # (A13)
        assert value in (json.loads(raw), as_written) or isinstance(value, list | dict)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\\ud800", "\ufffd"),
        (b"\\uDFFF\\ud83d\\ude00\\ud83d", "\ufffd\N{GRINNING FACE}\ufffd"),
        (b"\xed\xa0\x80x", "\ufffdx"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "\N{GRINNING FACE}"),
        (b"\\\\ud800", "\\ud800"),
    ],
)
@pytest.mark.parametrize("number", [b"1", b"1e400", b"9" * 30])
def test_halves_of_surrogate_pairs_are_replaced(raw: bytes, text: str, number: bytes) -> None:
    """In names and values, escaped or as bytes, each half alone becomes U+FFFD, and nothing is refused (A13)."""
    document = decode(b'{"a' + raw + b'": ["' + raw + b'", ' + number + b"]}")
    assert document == {f"a{text}": [text, decode(number)]}
    assert decode(encode(document)) == document


@pytest.mark.parametrize(("raw", "text"), [(b"a\xed\xa0\x80", "a\ufffd"), (b"\xc3\xa9", "\xe9"), (b"a\xff", "a\ufffd")])
def test_keys_are_read_like_texts(raw: bytes, text: str) -> None:
    """A key that an upstream made of such an id is the key of the record (A13)."""
    assert text_of(raw) == text


def test_size_is_bounded_on_request() -> None:
    """A message up to the given size is read, a larger one refused."""
    assert code_of(b'"abc"', 4) == "too_large"
    assert decode(b'"abc"', 5) == "abc"


@pytest.mark.parametrize("before", [b"", b"1234567890123456789"])
def test_depth_has_a_bound(before: bytes) -> None:
    """Nesting is bounded, so that every value can be written again inside an envelope."""
    prefix = b"[" + before + b"," if before else b"[0,"
    assert decode(prefix + nested(MESSAGE_LEVELS_MAX - 1) + b"]")
    assert code_of(prefix + nested(MESSAGE_LEVELS_MAX) + b"]") == "wrong_type"
    assert code_of(b'{"a":' * MESSAGE_LEVELS_MAX + b"[]" + b"}" * MESSAGE_LEVELS_MAX) == "wrong_type"
    assert encode({"state": decode(nested(MESSAGE_LEVELS_MAX))})
    assert decode(b'"' + nested(200) + b'"') == nested(200).decode()
    assert len(decode(b"[" + b"[]," * 1_000 + b"{}]")) == 1_001


def test_digits_in_texts_are_texts() -> None:
    """Long runs of digits in texts and keys stay unchanged."""
    raw = b'{"1234567890123456789": "a, 1234567890123456789.5", "b": "-1234567890123456789"}'
    assert decode(raw) == {"1234567890123456789": "a, 1234567890123456789.5", "b": "-1234567890123456789"}


# --- writing ----------------------------------------------------------------------------------


@given(long_decimals)
def test_decimals_are_written_as_their_text(number: Decimal) -> None:
    """Decimals are written as text of exactly their value (F10)."""
    assert Decimal(decode(encode({"a": number}))["a"]) == number


def test_writing() -> None:
    """Text is written in UTF-8, and encoding an unsupported type raises TypeError."""
    assert encode({"a": ("é", 1), "n": None}) == '{"a":["é",1],"n":null}'.encode()
    with pytest.raises(TypeError):
        encode(object())


# --- events -----------------------------------------------------------------------------------


class _Event(Event, frozen=True):
    id: str
    sums: dict[str, Decimal]
    more: tuple[str, ...] = ()


def test_a_reader_of_events() -> None:
    """An event is decoded, or refused with what was found and expected; unknown attributes are ignored."""
    read = reader_of(_Event)
    assert read is reader_of(_Event)
    event = _Event("a", {"won": Decimal("0.1")}, ("x",))
    assert read(encode(event)) == event
    assert read(b'{"id": "a", "sums": {}, "colour": "red"}') == _Event("a", {})
    for raw, code, reason in (
        (b"{", "not_json", "expected UTF-8 JSON"),
        (b"[]", "wrong_type", "Expected `object`, got `array`"),
        (b'{"id": 5, "sums": []}', "wrong_type", "Expected `str`, got `int` - at `$.id`"),
        (b"null", "wrong_type", "got `null`"),
        (b"{}", "wrong_type", "missing required field `id`"),
        (b'{"id": "a", "sums": {"a": "x"}}', "wrong_type", "$.sums"),
        (b'{"id": 1234567890123456789, "sums": {}}', "wrong_type", "$.id"),
    ):
        with pytest.raises(BadMessage) as refused:
            read(raw)
        assert refused.value.code == code
        assert reason in str(refused.value)
