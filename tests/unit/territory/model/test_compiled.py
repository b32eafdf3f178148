"""A model as a whole: what is refused, and what a valid one answers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria import NESTING_MAX, Fields, Leaf
from territory.errors import BadMessage, DayNotSet
from territory.model.compiled import TREE_LEVELS_MAX, Model, assemble, compile_model, digest_of, pieces_of_model
from territory.model.document import parse_text, pieces_of, read_document
from territory.wire.codec import MESSAGE_BYTES_MAX, decode, encode, reader_of
from territory.wire.events import ModelPiece
from tests.support.strategies import models
from tests.unit.territory.examples import FEW, MODEL, Document, attempted, compiled, faults_of, json_values


def meaning_of(model: Model) -> dict[str, Any]:
    """Return all that a model answers, comparable."""
    return {
        "org": (model.org_id, model.organisation, model.calendar),
        "fields": model.field_types,
        "stages": model.stages,
        "rates": model.rates,
        "people": model.people,
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


# --- accepted whole or refused whole ----------------------------------------------------------


@given(models())
@example(MODEL)
@FEW
def test_a_model_goes_over_its_topic_whole(document: Document) -> None:
    """What its pieces add up to on the other side has the digest and the meaning of the model that was written."""
    pieces = pieces_of_model(document)
    read = reader_of(ModelPiece)
    received = {
        key: read(encode(ModelPiece("acme", *key, revision=7, value=pieces[key]))).value for key in reversed(pieces)
    }
    assert digest_of(received) == digest_of(pieces)
    model = assemble(document["org"], 7, received)
    assert meaning_of(model) == meaning_of(compile_model(document, 7))
    assert model.revision == 7


def test_long_numbers_go_over_the_topic_whole() -> None:
    """An amount with more digits than a double or 64 bits hold is published and comes out exactly (F10)."""
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
def test_a_digest_is_of_all_the_pieces(document: Document, data: st.DataObject) -> None:
    """A digest does not depend on the order of the pieces, and changes when one is missing or another."""
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
    """Return a copy with another value at a path, the same where the path leads nowhere."""
    key, *rest = path
    if isinstance(document, dict) and key in document:
        return {**document, key: _replaced(document[key], tuple(rest), value) if rest else value}
    if isinstance(document, list) and isinstance(key, int) and key < len(document):
        item = _replaced(document[key], tuple(rest), value) if rest else value
        return [*document[:key], item, *document[key + 1 :]]
    return document


odd_json = json_values | st.sampled_from(
    [[], {}, "ann", "west", "world", "vp", "2017-Q1", 10**30, -1, {"id": "west"}, [{"id": "ceo", "parent": "ceo"}]]
)
sections = st.dictionaries(st.sampled_from([*MODEL, "colour"]), odd_json, max_size=6)


@given(sections)
def test_any_document_is_compiled_or_refused(document: dict[str, Any]) -> None:
    """Whatever stands in the sections of a model, it is a model or refused with faults; nothing else happens."""
    model, faults = attempted(lambda: compile_model({"org": "acme", **document}, 1))
    assert (model is None) is bool(faults)
    assert list(faults) == sorted(faults)


@given(st.lists(st.tuples(st.sampled_from(_paths(MODEL)), odd_json), min_size=1, max_size=3))
def test_any_near_model_is_compiled_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """A model with a few odd values in it is a model or refused with faults; nothing else happens (C5)."""
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
    """Whatever another writer puts on the model topic, it is a model or refused; no reader falls over it."""
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
def test_what_comes_back_from_the_log_otherwise_is_refused(value: Any) -> None:
    """A value is accepted into a model if and only if it is read from a message as it was written (F10)."""
    try:
        comes_back = decode(encode({"x": value})) == {"x": value}
    except (TypeError, ValueError, BadMessage):
        comes_back = False
    _, faults = read_document({"org": "acme", "x": value})
    assert any("can't be written as JSON" in fault.message for fault in faults) is not comes_back


@pytest.mark.parametrize("value", ["\ud800", 2**64, {"a": "\ud800"}])
def test_what_can_not_be_written_is_refused(value: object) -> None:
    """What no message can hold is refused when the model is checked, not when it is published."""
    (message,) = faults_of({**MODEL, "tables": {"odd": [value]}}).values()
    assert message.startswith("can't be written as JSON")


def chained(count: int) -> list[dict[str, Any]]:
    """Return a tree that is one long branch."""
    return [{"id": f"n{level}", **({"parent": f"n{level - 1}"} if level else {})} for level in range(count)]


@pytest.mark.parametrize("section", ["roles", "territories"])
def test_trees_have_a_bound_in_depth(section: str) -> None:
    """A tree may have a hundred levels; one more is refused, once, where it begins: paths take room by its square."""
    plain: Document = {"org": "acme"}
    fits: Any = {**plain, section: chained(TREE_LEVELS_MAX)}
    assert compile_model(fits, 1)
    path = f"{section}[n{TREE_LEVELS_MAX}].parent"
    assert list(faults_of({**plain, section: chained(TREE_LEVELS_MAX + 1)})) == [path]
    assert list(faults_of({**plain, section: chained(3_000)})) == [path]


def test_nesting_without_end_is_refused() -> None:
    """Values that are nested too deep anywhere are refused, also where no criteria are expected."""
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


def test_a_piece_that_is_larger_than_a_message_is_refused() -> None:
    """A rule that no message can hold is refused when the model is checked, with its path and its size."""
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


# --- faults of the whole ----------------------------------------------------------------------


def test_all_faults_at_once() -> None:
    """A model is refused with every fault by its path: trees, references, doubles, rules, periods, targets (C5)."""
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
            ],
        }
    )
    expected = {
        "rates[0].from": "own currency",
        "rates[1].period": "expected a quarter such as 2017-Q1",
        "rates": "two rates",
        "roles[a].parent": "a -> b -> a",
        "roles[c].parent": "unknown role 'boss'",
        "roles[c]": "used twice",
        "users[ann].role": "unknown role 'chief'",
        "users[bob]": "used twice",
        "territories[x].parent": "x -> y -> z -> x",
        "territories[x].manager": "unknown user 'zoe'",
        "territories[y].users": "unknown user 'zoe'",
        "territories[own].parent": "own -> own",
        "territories[lost].parent": "unknown territory 'atlantis'",
        "territories[twin]": "used twice",
        "territories[twin].rules.account.contains": "does not fit field 'revenue' of type money",
        "territories[twin].rules.deal.field": "unknown field 'product'; declared are none",
        "targets[0].period": "expected a quarter",
        "targets[1].territory": "unknown territory 'mars'",
        "targets[2].user": "unknown user 'zoe'",
        "targets": "is set twice",
        "frozen_periods[1]": "expected a quarter",
        "frozen_periods": "names '2016-Q4' twice",
        "sharing[s1]": "used twice",
        "sharing[s1].to": "found nothing, expected exactly one of user",
        "sharing[s1].criteria.field": "unknown field 'sector'",
        "sharing[s1].criteria": "expected exactly one of all, any, not",
        "sharing[s2].to.territory_and_below": "unknown territory 'mars'",
        "sharing[s3].to.role_and_below": "unknown role 'x'",
    }
    assert faults.keys() == expected.keys()
    for path, words in expected.items():
        assert words in faults[path]
    assert "names 'bob' twice" in faults["territories[y].users"]
    assert "found user, role" in faults["sharing[s1].to"]


def test_a_fault_is_told_once_where_it_is() -> None:
    """What names a malformed piece is not itself at fault: the piece is."""
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


def test_deleting_a_territory_needs_its_children_moved_first() -> None:
    """A model without a territory that others name as their parent is refused (A11)."""
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
    """Targets, rates and frozen periods name periods of the kind that the organisation has (C5)."""
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


def test_contacts_have_no_rules() -> None:
    """Contacts follow their account: a rule for them is refused (A5)."""
    rules = {"contact": {"field": "name", "eq": "Ann"}}
    (path,) = faults_of({"org": "acme", "territories": [{"id": "west", "rules": rules}]})
    assert path.startswith("territories[west].rules.contact")


# --- answers ----------------------------------------------------------------------------------


def test_the_smallest_model() -> None:
    """An organisation without anything has a model, with what holds where nothing is said."""
    model = compile_model({"org": "acme"}, 1)
    assert (model.organisation.currency, model.calendar.kind, model.calendar.fiscal_year_start) == ("USD", "quarter", 1)
    assert model.max_territories_per_record == 10
    assert (len(model.tree), len(model.roles), model.admins, model.seers) == (0, 0, frozenset(), frozenset())


def test_members_and_managers() -> None:
    """Members are the users and the manager; the effective manager is the nearest ancestor's (domain: members)."""
    nodes = compiled().territories
    assert {node.id: node.members for node in nodes.values()} == {"world": {"ann"}, "west": {"bob"}, "bay": {"bob"}}
    assert {node.id: node.effective_manager for node in nodes.values()} == {"world": "ann", "west": "ann", "bay": "bob"}
    assert nodes["west"].manager is None
    assert [node.id for node in nodes.values() if node.writable] == ["west"]
    assert (nodes["world"].name, nodes["bay"].name) == ("World", "bay")


def test_superiors() -> None:
    """Superiors of a role are the users of the roles above it, inactive ones among them (V1)."""
    assert compiled().superiors == {"ceo": frozenset(), "vp": {"ann"}, "rep": {"ann", "cleo"}}


def test_who_has_sets() -> None:
    """Active users have sets, but administrators, who see everything, and the inactive do not (V1, V7)."""
    users: list[Any] = [
        {"id": "root", "role": "ceo", "admin": True},
        {"id": "gone", "role": "ceo", "admin": True, "active": False},
        {"id": "ann", "role": "ceo"},
        {"id": "left", "role": "rep", "active": False},
    ]
    model = compile_model({"org": "acme", "roles": MODEL["roles"], "users": users}, 1)
    assert model.admins == {"root"}
    assert model.seers == {"ann"}


@given(st.permutations(["high", "deep", "a-flat", "b-flat"]))
def test_order_of_links(order: list[str]) -> None:
    """Of several territories the higher priority goes first, then the deeper, then the smaller id (A3)."""
    written: Document = {
        "high": {"id": "high", "priority": 5},
        "deep": {"id": "deep", "parent": "a-flat"},
        "a-flat": {"id": "a-flat"},
        "b-flat": {"id": "b-flat", "priority": 0},
    }
    nodes = compile_model({"org": "acme", "territories": [written[name] for name in order]}, 1).territories
    assert sorted(nodes, key=lambda name: nodes[name].rank) == ["high", "deep", "a-flat", "b-flat"]


def test_a_limit_may_be_none() -> None:
    """The limit of territories a record may be a number from 1 on, or none (A3)."""
    assert compiled(settings={"max_territories_per_record": None}).max_territories_per_record is None
    assert compiled(settings={}).max_territories_per_record == 10


def test_figures() -> None:
    """Targets, rates and probabilities are exact decimals, wherever they came from (F10)."""
    model = compiled(stages={"Open": {"category": "pipeline", "probability": 0.1}})
    assert model.targets == {
        ("west", "2017-Q1", None): Decimal(250_000),
        ("west", "2017-Q1", "bob"): Decimal("90000.5"),
    }
    assert model.rates == {("EUR", "2017-Q1"): Decimal("1.08")}
    assert model.stages["Open"].probability == Decimal("0.1")


# --- tables and days --------------------------------------------------------------------------

RULES: dict[str, Any] = {
    "young": {"account": {"field": "since", "within_last_days": 30}, "deal": {"field": "product", "eq": "x"}},
    "old": {
        "lead": {"not": {"all": [{"field": "seen", "in_period": "this_month"}, {"field": "seen", "le": "2099-01-01"}]}}
    },
    "zips": {"account": {"field": "zip", "in_table": "bay"}},
}
RULED: Document = {
    "org": "acme",
    "fiscal_year_start": 4,
    "settings": {"time_zone": "America/New_York"},
    "fields": {"account": {"since": "date", "zip": "text"}, "lead": {"seen": "datetime"}, "deal": {"product": "text"}},
    "tables": {"bay": ["94102", "8AB"]},
    "territories": [{"id": "world"}, *({"id": name, "parent": "world", "rules": rule} for name, rule in RULES.items())],
}


def test_a_model_on_a_day() -> None:
    """On a day only the rules that look from today are others; all else is shared, the revision, too (C7)."""
    model = compile_model(RULED, 7)
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


def test_day_after_day() -> None:
    """A model that was on one day can be asked on any other; its rules follow (C7)."""
    born: Fields = {"since": date(2017, 3, 1)}
    model = compile_model(RULED, 1, today=date(2017, 3, 1))
    for today, holds in ((1, True), (31, True), (2, True)):
        model = model.on(date(2017, 3, today))
        assert model.territories["young"].rules["account"].holds(born) is holds
    assert not model.on(date(2017, 4, 1)).territories["young"].rules["account"].holds(born)
    assembled = assemble("acme", 1, pieces_of_model(RULED), today=date(2017, 4, 1))
    assert assembled.today == date(2017, 4, 1)
    assert not assembled.territories["young"].rules["account"].holds(born)


def test_months_and_days_of_the_organisation() -> None:
    """Periods and days are those of the organisation's calendar and time zone (C7)."""
    model = compile_model(RULED, 1, today=date(2017, 3, 1))
    old = model.territories["old"].rules["lead"]
    assert old.holds({"seen": datetime(2017, 3, 1, 4, 59, tzinfo=UTC)})  # February in New York
    assert not old.holds({"seen": datetime(2017, 3, 1, 5, 0, tzinfo=UTC)})
    assert model.day_of(datetime(2017, 3, 1, 4, 59, tzinfo=UTC)) == date(2017, 2, 28)
    assert compiled().day_of(datetime(2017, 3, 1, 23, 59, tzinfo=UTC)) == date(2017, 3, 1)
    assert model.calendar.period_of(date(2017, 4, 1)) == "2018-Q1"


def test_a_model_without_relative_dates_is_itself_on_any_day() -> None:
    """Where no rule looks from today the day is of no matter (C7)."""
    model = compiled()
    assert (model.uses_relative_dates, model.relative_territories) == (False, frozenset())
    assert model.on(date(2017, 3, 1)) is model


def test_rules_name_tables() -> None:
    """A rule finds the values of a table of its model; a thousand rules share one set (C4)."""
    many: list[Any] = [{"id": f"t{index}", "rules": RULES["zips"]} for index in range(1_000)]
    model = compile_model({**RULED, "territories": many}, 1)
    rules = [node.rules["account"] for node in model.territories.values()]
    assert all(rule.holds({"zip": "8ab"}) and not rule.holds({"zip": "9"}) for rule in rules)
    assert len({id(rule.wanted) for rule in rules if isinstance(rule, Leaf)}) == 1


def test_faults_of_tables_are_told_once() -> None:
    """An unknown table is a fault of the rule that names it, sharing rules too; a malformed one is its own (C5)."""
    shared = {"id": "s1", "object": "account", "criteria": RULES["zips"]["account"], "to": {"territory": "world"}}
    nowhere = faults_of({**RULED, "tables": {}, "sharing": [shared]})
    assert set(nowhere) == {"territories[zips].rules.account.in_table", "sharing[s1].criteria.in_table"}
    assert "unknown table 'bay'" in nowhere["sharing[s1].criteria.in_table"]
    assert list(faults_of({**RULED, "tables": {"bay": [94102]}, "sharing": [shared]})) == ["tables[bay]"]
    assert compile_model({**RULED, "sharing": [shared]}, 1)


def test_sharing_rules_are_checked_like_others() -> None:
    """A wrong operand in a sharing rule is refused with its path (C5, V6)."""
    shared = {"id": "s1", "object": "lead", "criteria": {"field": "seen", "older_than_days": -1}, "to": {"role": "x"}}
    faults = faults_of({**RULED, "roles": [{"id": "x"}], "sharing": [shared]})
    assert list(faults) == ["sharing[s1].criteria.older_than_days"]
