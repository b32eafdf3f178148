"""Reading a model document: every fault of shape by its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from territory.model.document import FIELD_NAME_CHARACTERS_MAX, FIELDS_DECLARED_MAX, read_document
from territory.model.pieces import is_org_id
from tests.unit.territory.examples import json_values


def faults_in(**sections: Any) -> dict[str, str]:
    """Return a model's faults of shape by path."""
    _, faults = read_document({"org": "acme", **sections})
    return {fault.path: fault.message for fault in faults}


@pytest.mark.parametrize("document", [None, [], "acme", 7, True, [{"org": "acme"}]])
def test_a_model_is_a_mapping(document: Any) -> None:
    """A document of another type than a mapping is refused with one fault that names its type."""
    _, faults = read_document(document)
    assert [fault.path for fault in faults] == ["model"]
    assert "expected a mapping" in faults[0].message


def test_null_sections_are_empty() -> None:
    """A section with the value null is the same as an absent one."""
    assert faults_in(**dict.fromkeys(["fields", "stages", "rates", "roles", "users", "territories", "targets"])) == {}
    assert faults_in(tables=None, frozen_periods=None, sharing=None) == {}


def test_every_fault_of_shape() -> None:
    """Every fault of shape is reported by its path with what was found and what was expected (C5)."""
    faults = faults_in(
        colour="red",
        currency="usd",
        fiscal_year_start=13,
        period="week",
        settings={"max_territories_per_record": 0, "max_links": 3, "time_zone": "Mars/Olympus"},
        fields={"account": {"country": "string"}, "offer": {}, "deal": ["product"]},
        stages={"Won": {"category": "won", "probability": "100.5"}, "Lost": "omitted"},
        rates=[{"from": "EURO", "period": "2017-Q1", "rate": 0}],
        roles={"id": "ceo"},
        users=[{"id": "ann"}, {"id": "b b", "role": "ceo", "active": "yes"}, "cleo"],
        territories=[
            {"id": "west", "priority": "high", "users": "ann", "rules": {"contact": {}}},
            {"name": "no id"},
            {"id": "east", "parent": 5, "permission": "all"},
            {"id": "north", "permission": {"offer": "read_only"}},
            {"id": "south", "permission": {"deal": "read_only", "lead": True}},
            {"id": "none", "permission": None},
        ],
        groups=[{"id": "a/b", "users": "ann"}, {"name": "no id"}],
        tables={"zips": [94102], "names": "x", "gaps": ["a", "b", " ", ""]},
        targets=[{"territory": "west", "period": "2017-Q1", "amount": "-5"}, {"territory": "west"}],
        frozen_periods=["2016-Q4", 2017],
        sharing=[{"id": "s1", "object": "task", "criteria": {}, "to": {"team": "x"}}],
    )
    expected = {
        "colour": "unknown key; known are org, currency",
        "currency": "found 'usd', expected three capital letters such as EUR",
        "fiscal_year_start": "found 13, expected a value less than or equal to 12",
        "period": "found 'week'",
        "settings.max_territories_per_record": "found 0",
        "settings.max_links": "unknown key",
        "settings.time_zone": "unknown time zone 'Mars/Olympus', expected a name of the IANA database",
        "fields[account][country].type": "found 'string'",
        "fields[offer]": "unknown object",
        "fields[deal]": "found list",
        "stages[Won].probability": "less than or equal to 100",
        "stages[Lost]": "found 'omitted'",
        "rates[0].from": "found 'EURO'",
        "rates[0].rate": "greater than 0",
        "roles": "found mapping, expected a list",
        "users[ann].role": "is missing",
        "users[b b].id": "without white space",
        "users[b b].active": "found 'yes'",
        "users[2]": "found 'cleo'",
        "territories[west].priority": "found 'high', expected a whole number",
        "territories[west].users": "found 'ann', expected a list",
        "territories[west].rules.contact": "expected 'account', 'lead' or 'deal'; contacts have no rules",
        "territories[1].id": "is missing",
        "territories[east].parent": "found 5, expected a text",
        "territories[east].permission": "found 'all', expected read_only or read_write_delete, or one of them",
        "territories[north].permission": "found 'offer', expected one of account, contact, lead, deal",
        "territories[south].permission": "found True for lead, expected read_only or read_write_delete",
        "territories[none].permission": "found None, expected read_only",
        "groups[a/b].id": "without white space",
        "groups[a/b].users": "found 'ann'",
        "groups[1].id": "is missing",
        "tables[zips]": "put numbers in quotes",
        "tables[names]": "expected a list",
        "tables[gaps][2]": "found ' ', expected a text; remove it",
        "targets[0].amount": "greater than or equal to 0",
        "targets[1].period": "is missing",
        "targets[1].amount": "is missing",
        "frozen_periods[1]": "found 2017",
        "sharing[s1].object": "found 'task', expected 'account'",
        "sharing[s1].to.team": "unknown key",
    }
    assert faults.keys() == expected.keys()
    for path, reason in expected.items():
        assert reason in faults[path]


@pytest.mark.parametrize("amount", ["lots", "NaN", "1e30", "0.0000000000001", True, None, [1], ""])
def test_malformed_amounts(amount: object) -> None:
    """An amount must be an exact decimal within the limits of amounts (F10)."""
    assert list(faults_in(targets=[{"territory": "west", "period": "2017-Q1", "amount": amount}])) == [
        "targets[0].amount"
    ]


def test_declared_fields_have_a_bound() -> None:
    """The number of declared fields of an object and the length of their names are bounded."""
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
    """A fault quotes only the beginning of a large value."""
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
def test_ids_of_organisations(text: object, fits: bool) -> None:
    """An organisation's id contains no separator of our keys."""
    assert is_org_id(text) is fits


@given(json_values)
def test_any_org_is_read_or_refused(org: Any) -> None:
    """Any value of `org` is either a valid id or a fault."""
    _, faults = read_document({"org": org})
    assert bool(faults) is not is_org_id(org)


def test_faults_are_in_the_words_of_people_who_write_models() -> None:
    """No fault shows the words of Python or of the library that checks; an unknown key names the known ones (C5)."""
    faults = faults_in(
        roles=[{"id": None}],
        users=[{"id": "ann", "role": "ceo", "admin": "maybe", "activ": True}],
        sharing=[{"id": "s", "object": "lead", "criteria": {}, "to": {"user": "ann"}, "level": "write"}],
    )
    assert faults == {
        "roles[0].id": "found nothing, expected a text",
        "users[ann].admin": "found 'maybe', expected true or false",
        "users[ann].activ": faults["users[ann].activ"],
        "sharing[s].level": "found 'write', expected 'read' or 'edit'",
    }
    assert faults["users[ann].activ"].startswith("unknown key; known are id, name, role, ")
