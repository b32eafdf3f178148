"""Reading what an administrator writes, and its pieces."""

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
from territory.model.document import (
    ALIASED_VALUES_MAX,
    DOCUMENT_CHARACTERS_MAX,
    FIELD_NAME_CHARACTERS_MAX,
    FIELDS_DECLARED_MAX,
    document_of,
    is_org_id,
    parse_text,
    pieces_of,
    read_document,
    target_id,
)
from territory.wire.codec import MESSAGE_LEVELS_MAX
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, MODEL, Document, attempted, json_values, long_decimals


def refusal_of(text: str) -> str:
    """Return what a text is refused for."""
    with pytest.raises(ModelRefused) as refused:
        parse_text(text)
    (fault,) = refused.value.faults
    return str(fault)


# --- texts ------------------------------------------------------------------------------------


@given(models())
@example(MODEL)
@FEW
def test_json_and_yaml_say_the_same(document: Document) -> None:
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
    """Whatever the text, reading it gives JSON values or refuses it; nothing else happens."""
    document, faults = attempted(lambda: parse_text(text))
    assert len(faults) <= 1
    assert parse_text(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("org: acme\nroles: []\norg: beta", "line 1: org is written twice"),
        ("roles:\n  - {id: a, name: x, id: b}", "line 2: id is written twice"),
        ('{"org": "acme", "org": "beta"}', "model: org is written twice"),
        ('{"roles": [{"id": "a", "id": "a"}]}', "model: id is written twice"),
        ('a: 1\n"a": 2', "line 1: a is written twice"),
        ("\n".join(f"k{index}: 1" for index in range(3_000)) + "\nk7: 2", "line 1: k7 is written twice"),
    ],
)
def test_a_key_that_is_written_twice(text: str, said: str) -> None:
    """A key that is written twice is refused, in a mapping of any size: one of the two would be lost."""
    assert refusal_of(text).startswith(said)


def test_merge_keys() -> None:
    """YAML's merge keys work: what a mapping says itself goes before what it merges."""
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
    """A number that is written without quotes is that number, however many digits it has (F10)."""
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
        ("a: 007", 7),  # octal: what is not a number is put in quotes
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
def test_values(text: str, value: object) -> None:
    """Dates and numbers that a double can't hold become their text; YAML's own readings stay."""
    assert parse_text(text) == {"a": value}


def test_depth_has_a_bound() -> None:
    """Nesting has a bound, for JSON and for YAML, and beyond it no parser overflows its stack."""
    fits, deep = MESSAGE_LEVELS_MAX, MESSAGE_LEVELS_MAX + 1
    assert parse_text("# YAML\n" + "[" * fits + "]" * fits) is not None
    assert f"deeper than {fits} levels" in refusal_of("# YAML\n" + "[" * deep + "]" * deep)
    assert f"deeper than {fits} levels" in refusal_of("[" * 10_000 + "]" * 10_000)


def test_aliases_do_not_multiply_without_bound() -> None:
    """A few lines of aliases of aliases that stand for a billion values are refused at once."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)
    )
    assert f"more than {ALIASED_VALUES_MAX} values" in refusal_of(bomb)
    assert parse_text("a: &a [x]\nb: [*a, *a]") == {"a": ["x"], "b": [["x"], ["x"]]}


def test_size_has_a_bound() -> None:
    """A text that is larger than any model is refused before it is read."""
    assert "characters, expected at most" in refusal_of("#" * (DOCUMENT_CHARACTERS_MAX + 1))


# --- shape ------------------------------------------------------------------------------------


def faults_in(**sections: Any) -> dict[str, str]:
    """Return the faults of shape of a model, by path."""
    _, faults = read_document({"org": "acme", **sections})
    return {fault.path: fault.message for fault in faults}


@pytest.mark.parametrize("document", [None, [], "acme", 7, True, [{"org": "acme"}]])
def test_a_model_is_a_mapping(document: Any) -> None:
    """A document that is no mapping is refused by what it is instead."""
    _, faults = read_document(document)
    assert [fault.path for fault in faults] == ["model"]
    assert "expected a mapping" in faults[0].message


def test_null_sections_are_empty() -> None:
    """A section without anything below it is as if it were not there."""
    assert faults_in(**dict.fromkeys(["fields", "stages", "rates", "roles", "users", "territories", "targets"])) == {}
    assert faults_in(tables=None, frozen_periods=None, sharing=None) == {}


def test_every_fault_of_shape() -> None:
    """Every fault of shape is told by its path, with what was found and what was expected (C5)."""
    faults = faults_in(
        colour="red",
        currency="usd",
        fiscal_year_start=13,
        period="week",
        settings={"max_territories_per_record": 0, "max_links": 3, "time_zone": "Mars/Olympus"},
        fields={"account": {"country": "string"}, "offer": {}, "deal": ["product"]},
        stages={"Won": {"category": "won", "probability": "1.5"}, "Lost": "omitted"},
        rates=[{"from": "EURO", "period": "2017-Q1", "rate": 0}],
        roles={"id": "ceo"},
        users=[{"id": "ann"}, {"id": "b b", "role": "ceo", "active": "yes"}, "cleo"],
        territories=[
            {"id": "west", "priority": "high", "users": "ann", "rules": {"contact": {}}},
            {"name": "no id"},
            {"id": "east", "parent": 5, "permission": "all"},
        ],
        tables={"zips": [94102], "names": "x", "gaps": ["a", "b", " ", ""]},
        targets=[{"territory": "west", "period": "2017-Q1", "amount": "-5"}, {"territory": "west"}],
        frozen_periods=["2016-Q4", 2017],
        sharing=[{"id": "s1", "object": "task", "criteria": {}, "to": {"team": "x"}}],
    )
    expected = {
        "colour": "unknown key; known are org, currency",
        "currency": "found 'usd'",
        "fiscal_year_start": "found 13",
        "period": "found 'week'",
        "settings.max_territories_per_record": "found 0",
        "settings.max_links": "unknown key",
        "settings.time_zone": "unknown time zone 'Mars/Olympus', expected a name of the IANA database",
        "fields[account][country].type": "found 'string'",
        "fields[offer]": "unknown object",
        "fields[deal]": "found list",
        "stages[Won].probability": "less than or equal to 1",
        "stages[Lost]": "found 'omitted'",
        "rates[0].from": "found 'EURO'",
        "rates[0].rate": "greater than 0",
        "roles": "found dict, expected a list",
        "users[ann].role": "is missing",
        "users[b b].id": "without white space",
        "users[b b].active": "found 'yes'",
        "users[2]": "found 'cleo'",
        "territories[west].priority": "found 'high'",
        "territories[west].users": "found 'ann'",
        "territories[west].rules.contact.[key]": "found 'contact'",
        "territories[1].id": "is missing",
        "territories[east].parent": "found 5",
        "territories[east].permission": "found 'all'",
        "tables[zips]": "put numbers in quotes",
        "tables[names]": "expected a list",
        "tables[gaps][2]": "found ' ', expected a text; remove it",
        "targets[0].amount": "greater than or equal to 0",
        "targets[1].period": "is missing",
        "targets[1].amount": "is missing",
        "frozen_periods[1]": "found 2017",
        "sharing[s1].object": "found 'task'",
        "sharing[s1].to.team": "unknown key",
    }
    assert faults.keys() == expected.keys()
    for path, words in expected.items():
        assert words in faults[path]


@pytest.mark.parametrize("amount", ["lots", "NaN", "1e30", "0.0000000000001", True, None, [1], ""])
def test_amounts_that_are_none(amount: object) -> None:
    """An amount is an exact decimal within the bounds of all amounts (F10)."""
    assert list(faults_in(targets=[{"territory": "west", "period": "2017-Q1", "amount": amount}])) == [
        "targets[0].amount"
    ]


def test_declared_fields_have_a_bound() -> None:
    """As many of an object as a record may carry, with names as long as an id; one more or longer is refused."""
    many = {f"f{number}": "text" for number in range(FIELDS_DECLARED_MAX)}
    assert faults_in(fields={"account": many}) == {}
    assert faults_in(fields={"account": {**many, "more": "text"}}) == {
        "fields[account]": f"found {FIELDS_DECLARED_MAX + 1} fields, expected at most {FIELDS_DECLARED_MAX}"
    }
    longest = "x" * FIELD_NAME_CHARACTERS_MAX
    assert faults_in(fields={"account": {longest: "text"}}) == {}
    (path, fault), *others = faults_in(fields={"account": {f"{longest}y": "text"}}).items()
    assert (path, others) == (f"fields[account][{'x' * 80}…]", [])
    assert fault == f"found {len(longest) + 1} characters, expected a name of at most {FIELD_NAME_CHARACTERS_MAX}"


def test_faults_are_short() -> None:
    """A fault shows the beginning of what was found, however large that is."""
    message = faults_in(users=[{"id": "ann", "role": ["x"] * 100_000}])["users[ann].role"]
    assert message.startswith("found ['x', 'x'")
    assert len(message) < 200


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("acme", True),
        ("acme-2.eu_west", True),
        ("7", True),
        ("", False),
        ("-acme", False),
        ("ac me", False),
        ("ac/me", False),
        ("ac:me", False),
        ("{acme}", False),
        ("acmé", False),
        ("acme\n", False),
        ("a" * 100, True),
        ("a" * 101, False),
        (None, False),
        (7, False),
    ],
)
def test_names_of_organisations(text: object, fits: bool) -> None:
    """An organisation's id holds nothing that separates the parts of a key."""
    assert is_org_id(text) is fits


@given(json_values)
def test_any_org_is_read_or_refused(org: Any) -> None:
    """Whatever stands for the organisation is its id or a fault."""
    _, faults = read_document({"org": org})
    assert bool(faults) is not is_org_id(org)


# --- pieces -----------------------------------------------------------------------------------


@given(models())
@example(MODEL)
@FEW
def test_pieces_are_the_document(document: Document) -> None:
    """A document's pieces make the same document again, its lists ordered by id."""
    pieces = pieces_of(document)
    again = document_of(document["org"], pieces)
    assert pieces_of(again) == pieces
    for name, section in document.items():
        if section and isinstance(section, list):
            assert sorted(map(repr, again[name])) == sorted(map(repr, section))  # type: ignore[arg-type]
        elif section:
            assert again[name] == section


def test_kinds_of_pieces() -> None:
    """Every part of a model is a piece of its own, under its kind and id."""
    assert set(pieces_of(MODEL)) == {
        ("organisation", "settings"),
        *(("fields", name) for name in ("account", "deal")),
        *(("stage", name) for name in ("Prospecting", "Won")),
        ("rate", "EUR.2017-Q1"),
        *(("role", name) for name in ("ceo", "vp", "rep")),
        *(("user", name) for name in ("ann", "bob", "cleo")),
        *(("territory", name) for name in ("world", "west", "bay")),
        ("table", "bay-area-zips"),
        ("target", "west:2017-Q1"),
        ("target", "west:2017-Q1:bob"),
        ("frozen", "2016-Q4"),
        ("sharing", "s1"),
    }


@given(st.tuples(*[st.text("ab-.#", min_size=1, max_size=3)] * 2, st.none() | st.text("ab-.#", min_size=1, max_size=3)))
def test_target_ids(place: tuple[str, str, str | None]) -> None:
    """The id of a target's piece says its territory, period and user, and nothing else does."""
    territory, period, *user = target_id(*place).split(":")
    assert (territory, period, user[0] if user else None) == place


@pytest.mark.parametrize("value", [None, [1], "x", {"org": "beta"}, {"roles": 5}, {"currency": "USD", "x": 1}])
def test_a_foreign_piece_can_not_pose_as_another(value: Any) -> None:
    """What another writer puts into the organisation's piece names no other organisation and hides no section."""
    document = document_of("acme", {("organisation", "settings"): value, ("role", "ceo"): {"id": "ceo"}})
    assert document["org"] == "acme"
    assert document["roles"] == [{"id": "ceo"}]
    _, faults = read_document(document)
    assert [fault.path for fault in faults] == ["organisation"]
