"""A compiled model: what it answers, and its way over the model topic."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria import Fields, Leaf
from territory.errors import BadMessage, DayNotSet
from territory.model.compiled import Model, assemble, compile_model, digest_of, pieces_of_model
from territory.model.document import OBJECTS, read_document
from territory.model.keyed_pieces import pieces_of
from territory.model.text import parse_text
from territory.wire.codec import decode, encode, reader_of
from territory.wire.events import ModelPiece
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, MODEL, RULED_MODEL, RULES, Document, attempted, compiled, odd_json


def meaning_of(model: Model) -> dict[str, Any]:
    """Return everything that a model answers, for comparison."""
    return {
        "org": (model.org_id, model.organisation, model.calendar),
        "fields": model.field_types,
        "stages": model.stages,
        "rates": model.rates,
        "people": model.people,
        "groups": model.groups,
        "roles": {role: model.roles.path_of(role) for role in model.roles},
        "tree": {territory: model.tree.path_of(territory) for territory in model.tree},
        "nodes": {
            node.id: (node.name, node.rank, node.manager, node.effective_manager, node.members, node.writable)
            for node in model.territories.values()
        },
        "rules": {
            (node.id, kind): str(rule) for node in model.territories.values() for kind, rule in node.rules.items()
        },
        "targets": model.targets,
        "superiors": model.superiors,
        "seers": (model.admins, model.seers),
    }


@given(models())
@example(MODEL)
@FEW
def test_a_model_survives_its_topic(document: Document) -> None:
    """A model assembled from its published pieces has the digest and the meaning of the original."""
    pieces = pieces_of_model(document)
    read = reader_of(ModelPiece)
    received = {
        key: read(encode(ModelPiece("acme", *key, revision=7, value=pieces[key]))).value for key in reversed(pieces)
    }
    assert digest_of(received) == digest_of(pieces)
    model = assemble(document["org"], 7, received)
    assert meaning_of(model) == meaning_of(compile_model(document, 7))
    assert model.revision == 7


def test_long_numbers_survive_the_topic() -> None:
    """An amount with more digits than a double or 64 bits can hold is published and read exactly (F10)."""
    document = parse_text(
        "org: acme\nterritories: [{id: west}]\nrates: [{from: EUR, period: 2017-Q1, rate: 1.000000000001}]\n"
        "targets:\n"
        "  - {territory: west, period: 2017-Q1, amount: 12345678901234567890123}\n"
        "  - {territory: west, period: 2017-Q2, amount: 1234567890123456.78}\n"
        "  - {territory: west, period: 2017-Q3, amount: 18446744073709551615}\n"
    )
    pieces = pieces_of_model(document)
    read = reader_of(ModelPiece)
    received = {key: read(encode(ModelPiece("acme", *key, revision=1, value=pieces[key]))).value for key in pieces}
    assert digest_of(received) == digest_of(pieces)
    model = assemble("acme", 1, received)
    assert list(model.targets.values()) == [
        Decimal(12345678901234567890123),
        Decimal("1234567890123456.78"),
        Decimal(18446744073709551615),
    ]
    assert list(model.rates.values()) == [Decimal("1.000000000001")]


@given(models(), st.data())
@FEW
def test_a_digest_covers_all_pieces(document: Document, data: st.DataObject) -> None:
    """A digest ignores the order of pieces, and differs if any piece is missing or changed."""
    pieces = pieces_of_model(document)
    shuffled = {key: pieces[key] for key in data.draw(st.permutations(list(pieces)))}
    assert digest_of(shuffled) == digest_of(pieces)
    key = data.draw(st.sampled_from(sorted(pieces)))
    assert digest_of({other: piece for other, piece in pieces.items() if other != key}) != digest_of(pieces)
    assert digest_of({**pieces, key: [pieces[key]]}) != digest_of(pieces)


def _paths(document: Any) -> list[tuple[Any, ...]]:
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path for key, item in inner for path in ((key,), *((key, *rest) for rest in _paths(item)))]


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value at a path; unchanged if the path does not exist."""
    key, *rest = path
    if isinstance(document, dict) and key in document:
        return {**document, key: _replaced(document[key], tuple(rest), value) if rest else value}
    if isinstance(document, list) and isinstance(key, int) and key < len(document):
        item = _replaced(document[key], tuple(rest), value) if rest else value
        return [*document[:key], item, *document[key + 1 :]]
    return document


@given(st.lists(st.tuples(st.sampled_from(_paths(MODEL)), odd_json), min_size=1, max_size=3))
def test_any_near_model_is_compiled_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """A model with a few odd values is compiled or refused with faults; no other error escapes (C5)."""
    document: Any = MODEL
    for path, value in changes:
        document = _replaced(document, path, value)
    model, faults = attempted(lambda: compile_model(document, 1))
    assert (model is None) is bool(faults)
    if model is not None:
        assert meaning_of(assemble(model.org_id, 1, pieces_of(document))) == meaning_of(model)


@given(st.dictionaries(st.tuples(st.sampled_from(["organisation", "role", "stage", "fields", "frozen", "x"]),
                                 st.sampled_from(["settings", "ceo", "account"])), odd_json))  # fmt: skip
def test_foreign_pieces_are_assembled_or_refused(pieces: dict[tuple[str, str], Any]) -> None:
    """Any pieces from another writer make a model or are refused; no reader crashes on them."""
    model, faults = attempted(lambda: assemble("acme", 1, pieces))
    assert (model is None) is bool(faults)
    assert model is None or model.org_id == "acme"


odd_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=2) | st.floats() | st.sampled_from([2**64 - 1, 2**64, -(2**63) - 1])
    | st.sampled_from(["\ud800", (), b"", date(2020, 1, 1)]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=2) | st.sampled_from([1, None, True]), inner, max_size=3),
)  # fmt: skip


@given(odd_values)
@example([0.1 + 0.2, 1e22, 5e-324, -0.0, 2**64 - 1])
@example({"a": {1: "a"}})
@example([[["a"], [float("nan")]]])
def test_values_that_the_log_would_change_are_refused(value: Any) -> None:
    """A model accepts a value if and only if a message carries it unchanged (F10)."""
    try:
        comes_back = decode(encode({"x": value})) == {"x": value}
    except (TypeError, ValueError, BadMessage):
        comes_back = False
    _, faults = read_document({"org": "acme", "x": value})
    assert any("can't be written as JSON" in fault.message for fault in faults) is not comes_back


def test_the_smallest_model() -> None:
    """A model with only an organisation is valid and has all defaults."""
    model = compile_model({"org": "acme"}, 1)
    assert (model.organisation.currency, model.calendar.kind, model.calendar.fiscal_year_start) == ("USD", "quarter", 1)
    assert model.max_territories_per_record == 10
    assert (len(model.tree), len(model.roles), model.admins, model.seers) == (0, 0, frozenset(), frozenset())


def test_members_and_managers() -> None:
    """Members are the users and the manager; the effective manager may be inherited from the nearest ancestor."""
    nodes = compiled().territories
    assert {node.id: node.members for node in nodes.values()} == {"world": {"ann"}, "west": {"bob"}, "bay": {"bob"}}
    assert {node.id: node.effective_manager for node in nodes.values()} == {"world": "ann", "west": "ann", "bay": "bob"}
    assert nodes["west"].manager is None
    assert {node.id: node.writable for node in nodes.values()} == {"world": set(), "west": {*OBJECTS}, "bay": {"deal"}}
    assert (nodes["world"].name, nodes["bay"].name) == ("World", "bay")


def test_superiors() -> None:
    """Superiors of a role are the users of all roles above it, including inactive ones (V1)."""
    assert compiled().superiors == {"ceo": frozenset(), "vp": {"ann"}, "rep": {"ann", "cleo"}}


def test_users_with_sets() -> None:
    """Active users have sets in Redis; administrators, who see everything, and inactive users have none (V1, V7)."""
    users: list[Any] = [
        {"id": "root", "role": "ceo", "admin": True},
        {"id": "gone", "role": "ceo", "admin": True, "active": False},
        {"id": "ann", "role": "ceo"},
        {"id": "left", "role": "rep", "active": False},
    ]
    model = compile_model({"org": "acme", "roles": MODEL["roles"], "users": users}, 1)
    assert model.admins == {"root"}
    assert model.seers == {"ann"}


def test_members_and_owners() -> None:
    """A group's members are its active users and those with its roles; a record's owner is a user or a group (V10)."""
    model = compiled(groups=[{"id": "queue", "users": ["ann", "cleo"], "roles": ["rep", "vp"]}, {"id": "empty"}])
    assert {group.id: group.members for group in model.groups.values()} == {"queue": {"ann", "bob"}, "empty": set()}
    assert model.groups["queue"].roles == {"rep", "vp"}
    owners = {each: model.owners_of(each) for each in ("queue", "empty", "cleo", "stranger", None)}
    nobody: frozenset[str] = frozenset()
    assert owners == {"queue": {"ann", "bob"}, "empty": nobody, "cleo": {"cleo"}, "stranger": nobody, None: nobody}


def test_people_and_groups_decide_no_assignment() -> None:
    """Groups and permissions are no input of assignments: changing them alone redecides no record (A8, V10, V11)."""
    changed = compiled(groups=[], territories=[{**node, "permission": {}} for node in MODEL["territories"]])
    assert changed.deciding == compiled().deciding


@pytest.mark.parametrize(
    "sections",
    [
        {"settings": {"time_zone": "Europe/Berlin"}},
        {"settings": {"max_territories_per_record": 1}},
        {"fiscal_year_start": 4},
        {"fields": {"account": {"x": "text"}}},
        {"tables": {"x": ["1"]}},
        {
            "territories": [{"id": "t", "rules": {"account": {"field": "x", "eq": "1"}}}],
            "fields": {"account": {"x": "text"}},
        },
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_what_decides_an_assignment(sections: Document) -> None:
    """After a change of one of these the index waits for the assigner before it grants anything (A8, C7, C8, V8)."""
    plain: Document = {"org": "acme", "territories": [{"id": "t"}]}
    assert compile_model(plain | sections, 2).deciding != compile_model(plain, 1).deciding
    assert compile_model(plain, 2).deciding == compile_model(plain, 1).deciding


@given(st.permutations(["high", "deep", "a-flat", "b-flat"]))
def test_order_of_links(order: list[str]) -> None:
    """Territories are ranked by higher priority, then greater depth, then smaller id (A3)."""
    written: Document = {
        "high": {"id": "high", "priority": 5},
        "deep": {"id": "deep", "parent": "a-flat"},
        "a-flat": {"id": "a-flat"},
        "b-flat": {"id": "b-flat", "priority": 0},
    }
    nodes = compile_model({"org": "acme", "territories": [written[name] for name in order]}, 1).territories
    assert sorted(nodes, key=lambda name: nodes[name].rank) == ["high", "deep", "a-flat", "b-flat"]


def test_the_limit_of_territories_is_optional() -> None:
    """The limit of territories per record is 10 by default, and null means no limit (A3)."""
    assert compiled(settings={"max_territories_per_record": None}).max_territories_per_record is None
    assert compiled(settings={}).max_territories_per_record == 10


def test_amounts_rates_and_probabilities_are_exact() -> None:
    """Targets, rates and probabilities are exact decimals, from text and from JSON numbers (F10)."""
    model = compiled(stages={"Open": {"category": "pipeline", "probability": 0.1}})
    assert model.targets == {
        ("west", "2017-Q1", None): Decimal(250_000),
        ("west", "2017-Q1", "bob"): Decimal("90000.5"),
    }
    assert model.rates == {("EUR", "2017-Q1"): Decimal("1.08")}
    assert model.stages["Open"].probability == Decimal("0.1")


def test_on_makes_relative_rules_absolute() -> None:
    """`on` replaces only the rules with relative dates; everything else is shared, and the revision stays (C7)."""
    model = compile_model(RULED_MODEL, 7)
    assert model.uses_relative_dates
    assert model.relative_territories == {"young", "old"}
    with pytest.raises(DayNotSet):
        model.territories["young"].rules["account"].holds({})
    there = model.on(date(2017, 3, 1))
    assert (there.today, there.revision) == (date(2017, 3, 1), 7)
    assert there.relative_territories == {"young", "old"}
    assert model.today is None
    assert there.on(date(2017, 3, 1)) is there
    for name in model.territories:
        assert (there.territories[name] is model.territories[name]) is (name not in model.relative_territories)
    assert list(there.territories) == list(model.territories)
    assert there.territories["young"].rules["deal"] is model.territories["young"].rules["deal"]
    assert there.tree is model.tree
    assert meaning_of(there) == meaning_of(model)


def test_on_works_from_any_day() -> None:
    """A model that was made absolute for one day can be made absolute for any other (C7)."""
    born: Fields = {"since": date(2017, 3, 1)}
    model = compile_model(RULED_MODEL, 1, today=date(2017, 3, 1))
    for today, holds in ((1, True), (31, True), (2, True)):
        model = model.on(date(2017, 3, today))
        assert model.territories["young"].rules["account"].holds(born) is holds
    assert not model.on(date(2017, 4, 1)).territories["young"].rules["account"].holds(born)
    assembled = assemble("acme", 1, pieces_of_model(RULED_MODEL), today=date(2017, 4, 1))
    assert assembled.today == date(2017, 4, 1)
    assert not assembled.territories["young"].rules["account"].holds(born)


def test_days_follow_the_organisation_s_calendar_and_time_zone() -> None:
    """Periods and days follow the organisation's calendar and time zone (C7)."""
    model = compile_model(RULED_MODEL, 1, today=date(2017, 3, 1))
    old = model.territories["old"].rules["lead"]
    assert old.holds({"seen": datetime(2017, 3, 1, 4, 59, tzinfo=UTC)})  # February in New York
    assert not old.holds({"seen": datetime(2017, 3, 1, 5, 0, tzinfo=UTC)})
    assert model.day_of(datetime(2017, 3, 1, 4, 59, tzinfo=UTC)) == date(2017, 2, 28)
    assert compiled().day_of(datetime(2017, 3, 1, 23, 59, tzinfo=UTC)) == date(2017, 3, 1)
    assert model.calendar.period_of(date(2017, 4, 1)) == "2018-Q1"


def test_on_changes_nothing_without_relative_dates() -> None:
    """`on` returns the same model if no rule uses relative dates, or money that needs a rate (C7, C9)."""
    model = compiled(rates=[])
    assert (model.uses_relative_dates, model.relative_territories) == (False, frozenset())
    assert model.on(date(2017, 3, 1)) is model


def test_rules_share_tables() -> None:
    """A rule matches the values of a table, and a thousand rules share one set of them (C4)."""
    many: list[Any] = [{"id": f"t{index}", "rules": RULES["zips"]} for index in range(1_000)]
    model = compile_model({**RULED_MODEL, "territories": many}, 1)
    rules = [node.rules["account"] for node in model.territories.values()]
    assert all(rule.holds({"zip": "8ab"}) and not rule.holds({"zip": "9"}) for rule in rules)
    assert len({id(rule.wanted) for rule in rules if isinstance(rule, Leaf)}) == 1
