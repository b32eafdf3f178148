"""Parsing the YAML or JSON text of a model."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria.values import number_of
from territory.errors import ModelRefused
from territory.model.text import ALIASED_VALUES_MAX, DOCUMENT_CHARACTERS_MAX, parse_text
from territory.wire.codec import MESSAGE_LEVELS_MAX
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, MODEL, Document, attempted, long_decimals


def refusal_of(text: str) -> str:
    """Return the reason for which a text is refused."""
    with pytest.raises(ModelRefused) as refused:
        parse_text(text)
    (fault,) = refused.value.faults
    return str(fault)


@given(models())
@example(MODEL)
@FEW
def test_json_and_yaml_are_equivalent(document: Document) -> None:
    """A model may be written as JSON or as YAML, with the same meaning."""
    assert parse_text(json.dumps(document)) == document
    assert parse_text(json.dumps(document, indent="\t", ensure_ascii=False)) == document
    assert parse_text(yaml.safe_dump(document, allow_unicode=True)) == document


@given(st.text(max_size=40) | st.text("[]{}:,-?&*!|>'\"#% \n\tab1.", max_size=40))
@example("a: !!int x")
@example("a: !!bool x")
@example("a: !!timestamp x")
@example("a: !!map [b]")
@example("a: 2017-02-30")
@example("a: !!python/object/apply:os.system [x]")
@example("a: &a [*a]")
@example("? [a]\n: b")
@example("a: 1\n---\nb: 2")
@example('a: "\ud800"')
@example("\x00")
@example("<<: 5")
@example("a: [<<]")
@example("=")
@example(f"a: {'1' * 5_000}")
@example("[" * 100_000)
@example("{a: " * 100_000)
@example("- " * 100_000)
@example("a: " + "[" * 1_000 + "]" * 1_000)
@example('{"a": ' + "[" * 1_000_000)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Any text is parsed into JSON values or refused with one fault; no other error escapes."""
    document, faults = attempted(lambda: parse_text(text))
    assert len(faults) <= 1
    assert parse_text(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("org: acme\nroles: []\norg: beta", "line 1: org is written twice"),
        ("roles:\n  - {id: a, name: x, id: b}", "line 2: id is written twice"),
        ('{"org": "acme", "org": "beta"}', "model: org is written twice"),
        ('{"roles": [{"id": "a", "id": "a"}]}', "model: id is written twice"),
        ('a: 1\n"a": 2', "line 1: a is written twice"),
        ("\n".join(f"k{index}: 1" for index in range(3_000)) + "\nk7: 2", "line 1: k7 is written twice"),
    ],
)
def test_repeated_keys_are_refused(text: str, reason: str) -> None:
    """A repeated key is refused in a mapping of any size, because one of its values would be lost."""
    assert refusal_of(text).startswith(reason)


def test_merge_keys() -> None:
    """YAML merge keys work, and a mapping's own keys override merged ones."""
    text = "base: &base {role: rep, active: true}\nuser: {<<: *base, id: ann, role: ceo}"
    assert parse_text(text) == {
        "base": {"role": "rep", "active": True},
        "user": {"role": "ceo", "active": True, "id": "ann"},
    }


@given(long_decimals)
@example(Decimal("0.1"))
@example(Decimal("1234567890123456.78"))
@example(Decimal("99999999999999999999.000000000001"))
@example(Decimal(2**64))
def test_numbers_keep_their_digits(number: Decimal) -> None:
    """A number without quotes keeps its exact value, however many digits it has (F10)."""
    for text in (f"a: {number:f}", f'{{"a": {number:f}}}'):
        document: Any = parse_text(text)
        assert Decimal(number_of(document["a"]) or 0) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2017-03-01", "2017-03-01"),
        ("a: 2017-03-01T10:00:00Z", "2017-03-01T10:00:00+00:00"),
        ("a: 2017-Q1", "2017-Q1"),
        ("a: 2017-03", "2017-03"),
        ("a: 007", 7),  # octal in YAML: postal codes need quotes
        ("a: '007'", "007"),
        ("a: 12345678901234567890123", "12345678901234567890123"),
        ("a: 18446744073709551615", 18446744073709551615),
        ("a: 1e3", "1e3"),
        ("a: .inf", ".inf"),
        ("a: NO", False),
        ("a:", None),
        ('{"a": "\\ud83d\\ude00"}', "😀"),
        ('{"a": 1e400}', "1e400"),
    ],
)
def test_yaml_scalars(text: str, value: object) -> None:
    """Dates, and numbers that a double can't hold, become text; other scalars are read by the rules of YAML."""
    assert parse_text(text) == {"a": value}


def test_depth_has_a_bound() -> None:
    """Nesting is bounded in JSON and in YAML, so that no parser overflows its stack."""
    fits, deep = MESSAGE_LEVELS_MAX, MESSAGE_LEVELS_MAX + 1
    assert parse_text("# YAML\n" + "[" * fits + "]" * fits) is not None
    assert f"deeper than {fits} levels" in refusal_of("# YAML\n" + "[" * deep + "]" * deep)
    assert f"deeper than {fits} levels" in refusal_of("[" * 10_000 + "]" * 10_000)


def test_aliases_do_not_multiply_without_bound() -> None:
    """Nested aliases that expand to a billion values are refused quickly."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)
    )
    assert f"more than {ALIASED_VALUES_MAX} values" in refusal_of(bomb)
    assert parse_text("a: &a [x]\nb: [*a, *a]") == {"a": ["x"], "b": [["x"], ["x"]]}


def test_size_has_a_bound() -> None:
    """A text above the size limit is refused before it is parsed."""
    assert "characters, expected at most" in refusal_of("#" * (DOCUMENT_CHARACTERS_MAX + 1))
