"""Checks across the pieces of a model: every fault at once, by its path."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.criteria import NESTING_MAX
from territory.model.checks import TREE_LEVELS_MAX
from territory.model.compiled import compile_model
from territory.wire.codec import MESSAGE_BYTES_MAX
from tests.unit.territory.examples import MODEL, RULED_MODEL, RULES, Document, attempted, compiled, faults_of, odd_json

sections = st.dictionaries(st.sampled_from([*MODEL, "colour"]), odd_json, max_size=6)


@given(sections)
def test_any_document_is_compiled_or_refused(document: dict[str, Any]) -> None:
    """Any values in the sections of a model are compiled or refused with sorted faults; no other error escapes."""
    model, faults = attempted(lambda: compile_model({"org": "acme", **document}, 1))
    assert (model is None) is bool(faults)
    assert list(faults) == sorted(faults)


@pytest.mark.parametrize("value", ["\ud800", 2**64, {"a": "\ud800"}])
def test_values_that_no_message_can_hold_are_refused(value: object) -> None:
    """Values that JSON can't express are refused when the model is checked, not when it is published."""
    (message,) = faults_of({**MODEL, "tables": {"odd": [value]}}).values()
    assert message.startswith("can't be written as JSON")


def chained(count: int) -> list[dict[str, Any]]:
    """Return a tree that is one chain."""
    return [{"id": f"n{level}", **({"parent": f"n{level - 1}"} if level else {})} for level in range(count)]


@pytest.mark.parametrize("section", ["roles", "territories"])
def test_trees_have_a_bound_in_depth(section: str) -> None:
    """A tree may have 100 levels; deeper ones are refused once, at the first node that is too deep."""
    plain: Document = {"org": "acme"}
    fits: Any = {**plain, section: chained(TREE_LEVELS_MAX)}
    assert compile_model(fits, 1)
    path = f"{section}[n{TREE_LEVELS_MAX}].parent"
    assert list(faults_of({**plain, section: chained(TREE_LEVELS_MAX + 1)})) == [path]
    assert list(faults_of({**plain, section: chained(3_000)})) == [path]


def test_deep_nesting_is_refused() -> None:
    """Values nested too deep are refused anywhere in a model, not only in criteria."""
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]
    for document in ({"org": deep}, {**MODEL, "roles": deep}, {**MODEL, "users": [{"id": "x", "role": deep}]}):
        (message,) = faults_of(document).values()
        assert "can't be written as JSON" in message
    rule: Any = {"field": "country", "eq": "US"}
    for _ in range(NESTING_MAX):
        rule = {"not": rule}
    ((path, message),) = faults_of({**MODEL, "territories": [{"id": "west", "rules": {"account": rule}}]} | {
        "targets": [], "sharing": []
    }).items()  # fmt: skip
    assert path.startswith("territories[west].rules.account.not.not.")
    assert f"deeper than {NESTING_MAX}" in message


def test_a_piece_larger_than_a_message_is_refused() -> None:
    """A piece larger than a message is refused when the model is checked, with its path and size."""
    wanted = [f"{number:018d}" for number in range(50_000)]
    rule = {"field": "country", "in": wanted}
    many = [
        {"id": f"t{index}", "rules": {"account": {"field": "country", "in": wanted[:5_000]}}} for index in range(12)
    ]
    assert compiled(territories=many, targets=[])
    faults = faults_of({**MODEL, "territories": [*many, {"id": "west", "rules": {"account": rule}}]})
    assert list(faults) == ["territories[west]"]
    assert f"expected at most {MESSAGE_BYTES_MAX}" in faults["territories[west]"]


def test_a_list_of_fifty_thousand_postal_codes() -> None:
    """An `in` list of 50 000 postal codes fits into a model (C4)."""
    codes = [f"{number:05d}" for number in range(50_000)]
    model = compiled(territories=[{"id": "west", "rules": {"account": {"field": "country", "in": codes}}}], targets=[])
    assert model.territories["west"].rules["account"].holds({"country": "49999"})


def test_all_faults_at_once() -> None:
    """A model is refused with every fault by its path: trees, references, duplicates, rules, periods, targets (C5)."""
    faults = faults_of(
        {
            "org": "acme",
            "currency": "EUR",
            "period": "quarter",
            "fields": {"account": {"country": "text", "revenue": "money"}},
            "rates": [
                {"from": "EUR", "period": "2017-Q1", "rate": 1},
                {"from": "USD", "period": "2017-01", "rate": 1},
                {"from": "JPY", "period": "2017-Q1", "rate": 1},
                {"from": "JPY", "period": "2017-Q1", "rate": 2},
            ],
            "roles": [
                {"id": "a", "parent": "b"},
                {"id": "b", "parent": "a"},
                {"id": "c", "parent": "boss"},
                {"id": "c"},
            ],
            "users": [{"id": "ann", "role": "chief"}, {"id": "bob", "role": "a"}, {"id": "bob", "role": "b"}],
            "territories": [
                {"id": "x", "parent": "y", "manager": "zoe"},
                {"id": "y", "parent": "z", "users": ["bob", "zoe", "bob"]},
                {"id": "z", "parent": "x"},
                {"id": "own", "parent": "own"},
                {"id": "lost", "parent": "atlantis"},
                {"id": "twin", "rules": {"account": {"field": "revenue", "contains": "00"}}},
                {"id": "twin", "rules": {"deal": {"field": "product", "eq": "x"}}},
            ],
            "targets": [
                {"territory": "x", "period": "2017-Q5", "amount": 1},
                {"territory": "mars", "period": "2017-Q1", "amount": 1},
                {"territory": "x", "user": "zoe", "period": "2017-Q1", "amount": 1},
                {"territory": "x", "user": "bob", "period": "2017-Q1", "amount": 1},
                {"territory": "x", "user": "bob", "period": "2017-Q1", "amount": 1},
            ],
            "frozen_periods": ["2016-Q4", "2016-12", "2016-Q4"],
            "sharing": [
                {"id": "s1", "object": "account", "criteria": {"field": "sector", "eq": "x"}, "to": {}},
                {"id": "s1", "object": "lead", "criteria": {}, "to": {"user": "ann", "role": "a"}},
                {
                    "id": "s2",
                    "object": "account",
                    "criteria": {"field": "country", "eq": "x"},
                    "to": {"territory_and_below": "mars"},
                },
                {
                    "id": "s3",
                    "object": "account",
                    "criteria": {"field": "country", "eq": "x"},
                    "to": {"role_and_below": "x"},
                },
                {"id": "s4", "object": "account", "criteria": {"field": "country", "eq": "x"}, "to": {"group": "ann"}},
            ],
            "groups": [
                {"id": "bob"},
                {"id": "queue", "users": ["zoe", "bob", "bob"], "roles": ["chief", "a", "a"]},
                {"id": "queue"},
            ],
        }
    )
    expected = {
        "rates[0].from": "own currency",
        "rates[1].period": "expected a quarter such as 2017-Q1",
        "rates[3]": "already, at rates[",
        "roles[a].parent": "a -> b -> a",
        "roles[c].parent": "unknown role 'boss'",
        "roles[c]": "used twice",
        "users[ann].role": "unknown role 'chief'",
        "users[bob]": "used twice",
        "territories[x].parent": "x -> y -> z -> x",
        "territories[x].manager": "unknown user 'zoe'",
        "territories[y].users[2]": "names 'bob' twice, also at territories[y].users[0]; keep one",
        "territories[y].users[1]": "unknown user 'zoe'",
        "territories[own].parent": "own -> own",
        "territories[lost].parent": "unknown territory 'atlantis'",
        "territories[twin]": "used twice",
        "territories[twin].rules.account.contains": "does not fit field 'revenue' of type money",
        "territories[twin].rules.deal.field": "unknown field 'product'; declared are none",
        "targets[0].period": "expected a quarter",
        "targets[1].territory": "unknown territory 'mars'",
        "targets[2].user": "unknown user 'zoe'",
        "targets[4]": "already, at targets[",
        "frozen_periods[1]": "expected a quarter",
        "frozen_periods[2]": "2016-Q4 is closed already, at frozen_periods[0]; keep one",
        "sharing[s1]": "used twice",
        "sharing[s1].to": "found nothing, expected exactly one of user, group, role",
        "sharing[s1].criteria.field": "unknown field 'sector'",
        "sharing[s1].criteria": "expected exactly one of all, any, not",
        "sharing[s2].to.territory_and_below": "unknown territory 'mars'",
        "sharing[s3].to.role_and_below": "unknown role 'x'",
        "sharing[s4].to.group": "unknown group 'ann'; add it or correct the name (there are bob, queue)",
        "groups[bob]": "the id is a user's, too",
        "groups[queue]": "used twice",
        "groups[queue].users[0]": "unknown user 'zoe'",
        "groups[queue].users[2]": "names 'bob' twice",
        "groups[queue].roles[0]": "unknown role 'chief'",
        "groups[queue].roles[2]": "names 'a' twice",
    }
    assert faults.keys() == expected.keys()
    for path, reason in expected.items():
        assert reason in faults[path]
    assert "found user, role" in faults["sharing[s1].to"]


def test_a_fault_is_reported_once() -> None:
    """A reference to a malformed piece is no second fault."""
    faults = faults_of(
        {
            "org": "acme",
            "roles": [{"id": "ceo", "colour": "red"}],
            "users": [{"id": "ann", "role": "ceo", "age": 40}],
            "territories": [{"id": "world", "manager": "ann", "size": 1}, {"id": "west", "parent": "world"}],
            "targets": [{"territory": "world", "period": "2017-Q1", "amount": 1, "user": "ann"}],
        }
    )
    assert list(faults) == ["roles[ceo].colour", "territories[world].size", "users[ann].age"]


def test_a_malformed_part_hides_no_other_fault() -> None:
    """What is well-formed of a malformed piece is checked as well, at its own path; what is malformed has one fault."""
    criteria = {"all": [{"field": "flag", "eq": 1}, {"field": "size", "eq": "x"}, {"field": "zap", "eq": "x"}]}
    document: Document = {
        "org": "acme",
        "currency": "euro",
        "period": "week",
        "fields": {"account": {"size": "number", "flag": "bool"}, "lead": ["x"]},
        "rates": [
            5,
            {"from": "EUR", "period": "2017-W1", "rate": 0},
            {"from": "EUR", "period": "2017-W1", "rate": 1},
        ],
        "roles": [{"id": "c e o"}, {"id": "vp", "parent": "c e o"}],
        "users": [{"id": 7, "role": "boss"}, {"id": "ann", "age": 5, "role": "chief"}, {"role": "chief"}],
        "territories": [
            {"id": "a", "parent": "mars", "users": [5, "zoe"], "rules": {"contact": {}, "account": criteria}},
            {"id": "b", "priority": "x", "rules": {"lead": {"field": "y", "eq": 1}}},
        ],
        "targets": [{"territory": "zion"}, "x", {"territory": "zion", "amount": "lots", "period": 5}],
        "sharing": [{"id": "s", "object": "task", "criteria": criteria, "to": {"user": "zoe", "team": "x"}}],
    }
    faults = attempted(lambda: compile_model(document, 1))[1]
    assert sorted(fault.path for fault in faults) == sorted(
        [
            "currency", "period", "fields[account][flag].type", "fields[lead]", "rates[0]", "rates[1].rate", "rates[2]",
            "roles[c e o].id", "roles[vp].parent", "users[0].id", "users[0].role", "users[ann].age", "users[ann].role",
            "users[2].id",
            "users[2].role", "territories[a].parent", "territories[a].users[0]", "territories[a].users[1]",
            "territories[a].rules.contact", "territories[a].rules.account.all[1].eq",
            "territories[a].rules.account.all[2].field", "territories[b].priority", "targets[0].territory",
            "targets[0].period", "targets[0].amount", "targets[1]", "targets[2].territory", "targets[2].amount",
            "targets[2].period", "sharing[s].object", "sharing[s].to.team", "sharing[s].to.user",
        ]
    )  # fmt: skip


def test_a_territory_with_children_can_not_be_removed() -> None:
    """A model is refused if it lacks a territory that another one names as its parent (A11)."""
    rest = [territory for territory in MODEL["territories"] if territory["id"] != "west"]
    assert (
        "unknown territory 'west'"
        in faults_of({**MODEL, "territories": rest, "targets": []})["territories[bay].parent"]
    )
    moved = [rest[0], {**rest[1], "parent": "world"}]
    assert list(compiled(territories=moved, targets=[]).tree) == ["world", "bay"]


@pytest.mark.parametrize(
    ("period", "name", "fits"),
    [
        ("quarter", "2017-Q4", True),
        ("month", "2017-12", True),
        ("quarter", "2017-12", False),
        ("month", "2017-Q4", False),
    ],
)
def test_periods_are_of_the_organisation_s_kind(period: str, name: str, fits: bool) -> None:
    """Targets, rates and frozen periods must name periods of the organisation's kind (C5)."""
    document: Document = {
        "org": "acme",
        "period": period,
        "territories": [{"id": "west"}],
        "rates": [{"from": "EUR", "period": name, "rate": 1}],
        "targets": [{"territory": "west", "period": name, "amount": 1}],
        "frozen_periods": [name],
    }
    if fits:
        assert compile_model(document, 1).targets
    else:
        assert list(faults_of(document)) == ["frozen_periods[0]", "rates[0].period", "targets[0].period"]


def test_only_targets_are_for_years() -> None:
    """A target may be for a fiscal year; a rate may not, and a year is closed by closing its periods (F14, F12)."""
    document: Document = {"org": "acme", "territories": [{"id": "west"}]}
    targets = [{"territory": "west", "period": "2017", "amount": 1}, {"territory": "west", "period": "17", "amount": 1}]
    rates = [{"from": "EUR", "period": "2017", "rate": 1}]
    faults = faults_of(document | {"targets": targets, "rates": rates, "frozen_periods": ["2017"]})
    assert list(faults) == ["frozen_periods[0]", "rates[0].period", "targets[1].period"]
    assert "list its quarters 2017-Q1 to 2017-Q4" in faults["frozen_periods[0]"]
    assert "or a fiscal year such as 2017" in faults["targets[1].period"]


def test_probabilities_and_categories() -> None:
    """A stage's probability is in the model's unit; a category's name has one meaning (F1)."""
    document: Document = {
        "org": "acme",
        "stages": {"Open": {"category": "pipeline", "probability": 10}},
        "forecast_categories": {"Best Case": "pipeline", "best_case": "won", " ": "won"},
    }
    faults = faults_of(document)
    assert list(faults) == ["forecast_categories", "forecast_categories[ ]", "stages[Open].probability"]
    assert "Best Case, best_case" in faults["forecast_categories"]
    assert "set settings.probability to percent" in faults["stages[Open].probability"]
    percent = document | {"settings": {"probability": "percent"}, "forecast_categories": {"Upside": "best_case"}}
    assert compile_model(percent, 1).stages["Open"].probability == Decimal("0.1")
    unknown = faults_of(document | {"forecast_categories": {"Upside": "sure"}, "settings": {"probability": "odds"}})
    assert {"forecast_categories.Upside", "settings.probability"} <= unknown.keys()


def test_contacts_have_no_rules() -> None:
    """A rule for contacts is refused, because contacts follow their account (A5)."""
    rules = {"contact": {"field": "name", "eq": "Ann"}}
    (path,) = faults_of({"org": "acme", "territories": [{"id": "west", "rules": rules}]})
    assert path.startswith("territories[west].rules.contact")


def test_faults_of_tables_are_reported_once() -> None:
    """An unknown table is a fault of every rule that names it; a malformed table is one fault of its own (C5)."""
    shared = {"id": "s1", "object": "account", "criteria": RULES["zips"]["account"], "to": {"territory": "world"}}
    nowhere = faults_of({**RULED_MODEL, "tables": {}, "sharing": [shared]})
    assert set(nowhere) == {"territories[zips].rules.account.in_table", "sharing[s1].criteria.in_table"}
    assert "unknown table 'bay'" in nowhere["sharing[s1].criteria.in_table"]
    assert list(faults_of({**RULED_MODEL, "tables": {"bay": [94102]}, "sharing": [shared]})) == ["tables[bay]"]
    assert compile_model({**RULED_MODEL, "sharing": [shared]}, 1)


def test_criteria_of_sharing_rules_are_checked() -> None:
    """A wrong operand in a sharing rule is refused with its path (C5, V6)."""
    shared = {"id": "s1", "object": "lead", "criteria": {"field": "seen", "older_than_days": -1}, "to": {"role": "x"}}
    faults = faults_of({**RULED_MODEL, "roles": [{"id": "x"}], "sharing": [shared]})
    assert list(faults) == ["sharing[s1].criteria.older_than_days"]
