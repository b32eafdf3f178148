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
from territory_admin.models.validate import check_model
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
    """Any text is parsed into JSON values or refused with faults at a place; no other error escapes."""
    document, faults = attempted(lambda: parse_text(text))
    assert all(fault.line is None or (fault.line > 0 and (fault.column or 0) > 0) for fault in faults)
    assert parse_text(json.dumps(document)) == document
    attempted(lambda: check_model(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("org: acme\nroles: []\norg: beta", "line 3, column 1: org: org is written twice, also on line 1"),
        (
            "roles:\n  - {id: a, name: x, id: b}",
            "line 2, column 22: roles[a].id: id is written twice, also on line 2",
        ),
        ('{"org": "acme", "org": "beta"}', "line 1, column 17: org: org is written twice"),
        ('{"roles": [{"id": "a",\n "id": "a"}]}', "line 2, column 2: roles[a].id: id is written twice, also on line 1"),
        ('a: 1\n"a": 2', "line 2, column 1: a: a is written twice, also on line 1"),
        (
            "\n".join(f"k{index}: 1" for index in range(3_000)) + "\nk7: 2",
            "line 3001, column 1: k7: k7 is written twice, also on line 8",
        ),
    ],
)
def test_repeated_keys_are_refused(text: str, reason: str) -> None:
    """A repeated key is refused with both lines in a mapping of any size, because one of its values would be lost."""
    assert refusal_of(text).startswith(reason)


def test_merge_keys() -> None:
    """YAML merge keys work, and a mapping's own keys override merged ones; of merged ones the earlier win."""
    both = "a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}\nd: {<<: *b, x: 4, '<<': 5}"
    merged = parse_text(both)
    assert isinstance(merged, dict)
    assert (merged["c"], merged["d"]) == ({"x": 1, "y": 3}, {"x": 4, "<<": 5, "y": 3})
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
        ("a: 2017-03-01T10:00:00Z", "2017-03-01T10:00:00Z"),
        ("a: 2017-Q1", "2017-Q1"),
        ("a: 2017-03", "2017-03"),
        ("a: 7", 7),
        ("a: -7.5", -7.5),
        ("a: 007", "007"),  # reads as 7 where a number is expected
        ("a: 0x1F", "0x1F"),
        ("a: 0o17", "0o17"),
        ("a: 0b1", "0b1"),
        ("a: 1_000", "1_000"),
        ("a: 1:30", "1:30"),
        ("a: =", "="),
        ("a: 'true'", "true"),
        ("a: True", True),
        ("a: ~", None),
        ("a: !!str 7", "7"),
        ("a: !!int '7'", 7),
        ("a: !!timestamp 2017-03-01", "2017-03-01"),
        ("a: ! 7", "7"),
        ("a: |-\n  7", "7"),
        ("a: '007'", "007"),
        ("a: 12345678901234567890123", "12345678901234567890123"),
        ("a: 18446744073709551615", 18446744073709551615),
        ("a: 1e3", 1000.0),
        ("a: .inf", ".inf"),
        ("a: NO", "NO"),
        ("a:", None),
        ('{"a": "\\ud83d\\ude00"}', "😀"),
        ('{"a": 1e400}', "1e400"),
    ],
)
def test_yaml_scalars(text: str, value: object) -> None:
    """Scalars are read by the core schema of YAML 1.2, never as octal, hexadecimal or base 60 (C11)."""
    found: Any = parse_text(text)
    assert (found, type(found["a"])) == ({"a": value}, type(value))


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
    for circle in ("a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "users: [&a {id: x, b: [*a]}]"):
        assert "within the value that it stands for" in refusal_of(circle)
    assert parse_text("a: &a [x]\nb: [*a, *a]") == {"a": ["x"], "b": [["x"], ["x"]]}


def test_size_has_a_bound() -> None:
    """A text above the size limit is refused before it is parsed."""
    assert "characters, expected at most" in refusal_of("#" * (DOCUMENT_CHARACTERS_MAX + 1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("org: acme\nname: a: b\n", "line 2, column 8: model: neither YAML nor JSON: mapping values are not allowed"),
        ("org: acme\n\tusers: []", "line 2, column 1: model: neither YAML nor JSON: found a tab character"),
        ("org: @acme", "line 1, column 6: model: neither YAML nor JSON: found character that cannot start"),
        (
            "org: acme\nusers: [a",
            "line 3, column 1: model: neither YAML nor JSON: did not find expected ',' or ']' "
            "(while parsing a flow sequence from line 2); close the",
        ),
        ("org: acme\nname: \x07", "line 2, column 7: model: neither YAML nor JSON: control characters are not allowed"),
        (
            "x: ü\n" * 9_000 + "name: \0",
            "line 9001, column 7: model: neither YAML nor JSON: control characters are not",
        ),
        (
            "org:acme\nroles: []",
            "line 2, column 6: model: neither YAML nor JSON: mapping values are not allowed in this "
            "context; write KEY: VALUE",
        ),
        ("org: acme\nname: \ud800", "line 2, column 7: model: neither YAML nor JSON: found half of a surrogate pair"),
        ("a: 1\n---\nb: 2", "line 2, column 1: model: found a second document after ---"),
        ("a: *b", "line 1, column 4: a: unknown alias *b; put a text that begins with * in quotes"),
        ("a: !!binary eA==", "line 1, column 4: a: found the tag !!binary, which does not fit; remove it"),
        ("a: !!map [b]", "line 1, column 4: a: found the tag !!map, which does not fit"),
        ("? [a]\n: b", "line 1, column 3: ?: found a list, a mapping or a tag as a key"),
        ("? \n: b", "line 1, column 2: model: found an empty key"),
        ("a:\n  <<: 5", "line 2, column 7: a.<<: found a merge key << without a mapping"),
    ],
)
def test_faults_of_the_text_have_places(text: str, reason: str) -> None:
    """A fault of the text names its line and column, what was found, and what to do."""
    assert refusal_of(text).startswith(reason)


def test_a_number_with_commas_in_braces_is_recognised() -> None:
    """YAML cuts `{amount: 1,000}` at the comma into two keys; the fault says so, once for each number."""
    faults = attempted(lambda: parse_text("t:\n- {amount: 1,000, period: x}\n- {b: -2,534,207.47}"))[1]
    assert [str(fault) for fault in faults] == [
        "line 2, column 12: t[0].amount: found 1,000, which YAML cuts at the comma; "
        "write 1000, or put it in quotes if it is a text",
        "line 3, column 7: t[1].b: found -2,534,207.47, which YAML cuts at the comma; "
        "write -2534207.47, or put it in quotes if it is a text",
    ]
    for fine in ("{a: 1, 000: }", "{a: b,000: }", "{a: '1',000: }", "{a: 1000,000: }", "{a: 1,00: }", "[1,000]"):
        assert parse_text(f"# YAML\n{fine}")


def test_byte_order_marks_and_line_ends() -> None:
    """A byte order mark is no part of the text, and lines may end as on Windows."""
    for text in ("\ufefforg: acme\r\nname: x\r\n", '\ufeff{"org": "acme",\r\n "name": "x"}'):
        assert parse_text(text) == {"org": "acme", "name": "x"}
    assert parse_text('\ufeff{"org": "\\ud83d\\ude00"}') == {"org": "😀"}  # JSON: YAML knows no surrogate pairs
    assert refusal_of("org: acme\r\nname: x\r\norg: b").startswith("line 3, column 1: org: ")
