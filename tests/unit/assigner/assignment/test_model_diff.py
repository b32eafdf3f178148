"""Model differences: which records a change of the model can affect."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from assigner.assignment.family import Family
from assigner.assignment.model_diff import ModelDiff
from assigner.assignment.policy import AssignmentDecision, AssignmentPolicy
from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from tests.unit.assigner.examples import TREE, model_of, record

COUNTRIES = ("US", "CA", "FR")
RULES = (
    {"account": {"field": "country", "eq": country}, "lead": {"field": "country", "ne": country}}
    for country in COUNTRIES
)
OWN_RULES: tuple[dict[str, Any], ...] = (
    {},
    *RULES,
    {"account": {"field": "revenue", "ge": 5}},
    {"account": {"field": "country", "in": ["US", "FR"]}, "deal": {"field": "product", "starts_with": "GTX"}},
    {"deal": {"field": "product", "eq": "MG"}},
    {"account": {"not": {"any": [{"field": "country", "eq": "US"}, {"field": "revenue", "lt": 5}]}}},
)


@st.composite
def trees(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a small tree of territories, with rules from a short list."""
    names = [f"t{number}" for number in range(draw(st.integers(1, 9)))]
    return [
        {
            "id": name,
            "parent": draw(st.sampled_from([None, *names[:number]])),
            "priority": draw(st.sampled_from([0, 0, 0, 5])),
            "rules": draw(st.sampled_from(OWN_RULES)),
        }
        for number, name in enumerate(names)
    ]


@st.composite
def changed_trees(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw a tree, and the same with one or two territories replaced, added or removed."""
    before = draw(trees())
    after = [dict(node) for node in before]
    for _ in range(draw(st.integers(0, 2))):
        node = draw(st.sampled_from(after))
        what = draw(st.sampled_from(["rules", "priority", "remove", "add", "move"]))
        if what == "rules":
            node["rules"] = draw(st.sampled_from(OWN_RULES))
        elif what == "priority":
            node["priority"] = 3
        elif what == "add":
            after.append({"id": f"n{len(after)}", "parent": node["id"], "rules": draw(st.sampled_from(OWN_RULES))})
        elif what == "move":
            node["parent"] = None
        elif not any(other.get("parent") == node["id"] for other in after) and len(after) > 1:
            after.remove(node)
    return before, after


fields = st.fixed_dictionaries(
    {}, optional={"country": st.sampled_from([*COUNTRIES, "", 7]), "revenue": st.sampled_from([1, 5, 9, "much"])}
)
links = st.dictionaries(st.sampled_from(["t0", "t1", "t3"]), st.sampled_from(["assign", "exclude"]), max_size=1)


@st.composite
def families(draw: st.DrawFn) -> list[Record]:
    """Draw an account with a contact and deals, or a lead."""
    few_links: st.SearchStrategy[dict[str, str]] = st.one_of(st.just({}), st.just({}), links)
    if draw(st.booleans()):
        return [record("lead/L-1", fields=draw(fields), links=draw(few_links))]
    return [
        record("account/A-1", fields=draw(fields), links=draw(few_links)),
        record("contact/C-1", account_id="A-1", links=draw(few_links)),
        record(
            "deal/D-1",
            account_id="A-1",
            contact_id=draw(st.sampled_from([None, "C-1"])),
            fields={"product": draw(st.sampled_from(["GTX Pro", "MG"]))},
        ),
    ]


def family_of(*records: Record) -> Family:
    """Return a family of records."""
    family = Family()
    for one in records:
        family.put(one.key, one)
    return family


def decided(family: Family, policy: AssignmentPolicy) -> list[AssignmentDecision]:
    """Return the decisions for the members under a model."""
    for member in family:
        member.decision = family.decide(member.record, policy)
    return [member.decision for member in family if member.decision is not None]


@given(changed_trees(), families(), st.sampled_from([1, 10]))
def test_unaffected_families_have_the_same_decisions(
    trees: tuple[list[dict[str, Any]], list[dict[str, Any]]], records: list[Record], limit: int
) -> None:
    """A family that a change does not affect has the same decisions under both models (A8, A9)."""
    old, new = (model_of(*tree, revision=revision, limit=limit) for revision, tree in enumerate(trees, 1))
    family = family_of(*records)
    moves = ModelDiff(old, new).may_change_any(family)
    event(f"moves: {moves}")
    if not moves:
        assert decided(family, AssignmentPolicy(old)) == decided(family, AssignmentPolicy(new))


# --- sharing rules ----------------------------------------------------------------------------

CRITERIA: tuple[dict[str, Any], ...] = (
    {"field": "country", "eq": "US"},
    {"field": "country", "in_table": "some"},
    {"not": {"field": "country", "in_table": "none"}},
    {"field": "since", "within_last_days": 1},
    {"field": "since", "in_period": "this_quarter"},
)
TYPES = {"country": "text", "since": "date"}
rules = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["s1", "s2", "s3"]),
            "object": st.sampled_from(["account", "contact", "lead", "deal"]),
            "criteria": st.sampled_from(CRITERIA),
            "to": st.sampled_from([{"territory": "world"}, {"territory_and_below": "west"}]),
        }
    ),
    max_size=3,
    unique_by=lambda rule: rule["id"],
)


@st.composite
def shared_models(draw: st.DrawFn) -> tuple[Model, Model]:
    """Draw two models that differ in sharing rules, tables, the calendar or the day alone."""
    territories = [{"id": "world"}, {"id": "west", "parent": "world"}, {"id": "east", "parent": "world"}]
    found: list[Model] = []
    sharing = draw(rules)
    for revision in (1, 2):
        document: dict[str, Any] = {
            "org": "acme",
            "fields": dict.fromkeys(("account", "contact", "lead", "deal"), TYPES),
            "fiscal_year_start": draw(st.sampled_from([1, 1, 2])),
            "tables": {"some": draw(st.sampled_from([["US"], ["US"], ["US", "FR"]])), "none": []},
            "territories": territories,
            "sharing": sharing,
        }
        found.append(compile_model(document, revision, today=draw(st.sampled_from(DAYS))))
        sharing = draw(st.sampled_from([sharing, [*sharing[1:]]]) | rules)
    return found[0], found[1]


DAYS = [date(2017, 3, 30), date(2017, 3, 31), date(2017, 4, 1)]
shared_fields = st.fixed_dictionaries(
    {}, optional={"country": st.sampled_from([*COUNTRIES, 7]), "since": st.sampled_from([str(day) for day in DAYS])}
)


@given(shared_models(), st.lists(shared_fields, min_size=4, max_size=4))
def test_unaffected_families_have_the_same_marks(models: tuple[Model, Model], documents: list[dict[str, Any]]) -> None:
    """A family that a change of sharing rules, tables or the day does not affect keeps its marks (V6, C7, A9)."""
    old, new = models
    family = family_of(
        record("account/A-1", fields=documents[0]),
        record("contact/C-1", account_id="A-1", fields=documents[1]),
        record("deal/D-1", account_id="A-1", fields=documents[2]),
    )
    for each in (family, family_of(record("lead/L-1", fields=documents[3]))):
        moves = ModelDiff(old, new).may_change_any(each)
        event(f"moves: {moves}")
        if not moves:
            assert decided(each, AssignmentPolicy(old)) == decided(each, AssignmentPolicy(new))


def shared_by(*rules: dict[str, Any], today: date = DAYS[0]) -> Model:
    """Return a model with some sharing rules; its territories are always the same."""
    fields = dict.fromkeys(("account", "contact", "lead", "deal"), TYPES)
    territories = [{"id": "world"}, {"id": "west", "parent": "world"}, {"id": "east", "parent": "world"}]
    document: dict[str, Any] = {"org": "acme", "fields": fields, "territories": territories, "sharing": list(rules)}
    return compile_model(document, 1, today=today)


@pytest.mark.parametrize("kind", ["account", "contact", "lead", "deal"])
def test_only_records_of_a_changed_sharing_rule_are_affected(kind: str) -> None:
    """A rule that is added, removed or has other criteria affects its records; a new target or level none (V6)."""
    american, french = ({"id": "s1", "object": kind, "criteria": {"field": "country", "eq": country},
                         "to": {"territory": "west"}} for country in ("US", "FR"))  # fmt: skip
    key, other = f"{kind}/1", "lead/2" if kind == "deal" else "deal/2"
    moves = {
        (country, change): ModelDiff(*models).may_change_any(family_of(record(key, fields={"country": country})))
        for country in ("US", "FR", "CA")
        for change, models in {
            "comes": (shared_by(), shared_by(american)),
            "goes": (shared_by(american), shared_by()),
            "asks for others": (shared_by(american), shared_by(french)),
            "is for others": (shared_by(american), shared_by({**american, "to": {"territory": "east"}})),
            "gives more": (shared_by(american), shared_by({**american, "level": "edit"})),
        }.items()
    }
    assert {at for at, may in moves.items() if may} == {
        ("US", "comes"), ("US", "goes"), ("US", "asks for others"), ("FR", "asks for others"),
    }  # fmt: skip
    assert not ModelDiff(shared_by(), shared_by(american)).may_change_any(
        family_of(record(other, fields={"country": "US"}))
    )


def test_new_day_affects_relative_sharing_rules() -> None:
    """On a new day, records that a relative rule held for, or holds for now, are affected (V6, C7)."""
    recent = {"id": "s1", "object": "deal", "criteria": CRITERIA[3], "to": {"territory": "west"}}
    first, second = (shared_by(recent, today=day) for day in (DAYS[0], DAYS[2]))
    assert first.sharing.keys() == second.sharing.keys()
    may = [
        ModelDiff(first, second).may_change_any(family_of(record("deal/D", fields={"since": str(day)}))) for day in DAYS
    ]
    assert may == [True, True, True]
    assert not ModelDiff(first, second).may_change_any(family_of(record("deal/D", fields={"since": "2017-01-01"})))


# --- money ------------------------------------------------------------------------------------

MONEY_RULES: tuple[dict[str, Any], ...] = (
    {"account": {"field": "revenue", "ge": 100}},
    {"account": {"field": "revenue", "lt": 100}, "deal": {"field": "amount", "ge": 100}},
    {"account": {"field": "country", "eq": "US"}, "deal": {"field": "amount", "not_between": [1, 99]}},
    {"lead": {"field": "budget", "gt": 99}},
    {},
)
RATE_DAYS = [date(2017, 3, 31), date(2017, 4, 1), date(2018, 1, 1)]
SHARED_MONEY = {"id": "s1", "object": "contact", "criteria": {"field": "salary", "ge": 100}, "to": {"territory": "t0"}}


@st.composite
def money_models(draw: st.DrawFn) -> tuple[Model, Model]:
    """Draw two models that differ in rates, the currency, the day, the kind of period or a rule."""
    found: list[Model] = []
    rules = [draw(st.sampled_from(MONEY_RULES)) for _ in range(3)]
    kind = draw(st.sampled_from(["quarter", "month"]))
    for revision in (1, 2):
        currency = draw(st.sampled_from(["USD", "USD", "USD", "EUR"]))
        names = ["2017-Q1", "2017-Q2", "2018-Q1"] if kind == "quarter" else ["2017-03", "2017-04", "2018-01"]
        rates = [
            {"from": source, "period": name, "rate": draw(st.sampled_from(["1", "1", "0.5", "20"]))}
            for name in names
            for source in ("JPY", "EUR")
            if source != currency and draw(st.booleans())
        ]
        document: dict[str, Any] = {
            "org": "acme", "currency": currency, "period": kind, "rates": rates,
            "fields": {
                "account": {"country": "text", "revenue": "money"}, "deal": {"amount": "money"},
                "lead": {"budget": "money"}, "contact": {"salary": "money"},
            },
            "territories": [{"id": f"t{number}", "rules": rule} for number, rule in enumerate(rules)],
            "sharing": draw(st.sampled_from([[], [SHARED_MONEY]])),
        }  # fmt: skip
        found.append(compile_model(document, revision, today=draw(st.sampled_from(RATE_DAYS))))
        rules[0] = draw(st.sampled_from([rules[0], rules[0], *MONEY_RULES]))
    return found[0], found[1]


def amounts(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return strategies of fields with an amount in some currency."""
    return st.fixed_dictionaries(
        {name: st.sampled_from([5, 99, "100", 200, "many"])},
        optional={
            "currency": st.sampled_from(["USD", "EUR", "eur", "JPY", "CHF", "", 7]),
            "close_date": st.sampled_from(["2017-03-31", "2017-04-01", "soon"]),
            "country": st.just("US"),
        },
    )


@given(money_models(), amounts("revenue"), amounts("amount"), amounts("budget"), amounts("salary"))
def test_unaffected_families_have_the_same_decisions_about_money(
    models: tuple[Model, Model],
    account: dict[str, Any],
    deal: dict[str, Any],
    lead: dict[str, Any],
    contact: dict[str, Any],
) -> None:
    """What a change of rates, the currency, the day or a rule does not affect is decided as before (C9, A8, A9)."""
    old, new = models
    family = family_of(
        record("account/A-1", fields=account),
        record("contact/C-1", account_id="A-1", fields=contact),
        record("deal/D-1", account_id="A-1", fields=deal),
    )
    for each in (family, family_of(record("lead/L-1", fields=lead))):
        moves = ModelDiff(old, new).may_change_any(each)
        event(f"moves: {moves}")
        if not moves:
            assert decided(each, AssignmentPolicy(old)) == decided(each, AssignmentPolicy(new))


def test_new_day_and_new_currency() -> None:
    """A day on which another rate begins affects records in other currencies, another currency all records (C9)."""
    document: dict[str, Any] = {
        "org": "acme",
        "fields": {"account": {"revenue": "money"}},
        "rates": [{"from": "JPY", "period": period, "rate": rate} for period, rate in (("2017-Q1", 1), ("2017-Q2", 2))],
        "territories": [{"id": "t0", "rules": MONEY_RULES[0]}],
    }
    model = compile_model(document, 1)
    of_yen, of_ours = (
        family_of(record("account/A-1", fields={"revenue": 50, "currency": currency})) for currency in ("JPY", None)
    )
    same, other = (ModelDiff(model.on(RATE_DAYS[0]), model.on(day)) for day in (date(2017, 1, 1), RATE_DAYS[1]))
    assert [diff.may_change_any(of_yen) for diff in (same, other)] == [False, True]
    assert not other.may_change_any(of_ours)
    euros = ModelDiff(model, compile_model({**document, "currency": "EUR"}, 2))
    assert euros.may_change_any(of_ours)


def test_new_rate_affects_records_in_other_currencies_alone() -> None:
    """Those in the organisation's currency, and objects without a rule on money, are not decided again (C9, A8)."""
    old, new = (
        compile_model(
            {
                "org": "acme",
                "fields": {"account": {"revenue": "money"}, "lead": {"budget": "money"}},
                "rates": [{"from": "EUR", "period": "2017-Q1", "rate": rate}],
                "territories": [{"id": "t0", "rules": MONEY_RULES[0]}],
            },
            1,
        )
        for rate in (1, 2)
    )
    diff = ModelDiff(old, new)
    may = {
        currency: diff.may_change_any(family_of(record("account/A-1", fields={"revenue": 5, "currency": currency})))
        for currency in ("USD", "EUR", None, "")
    }
    assert may == {"USD": False, "EUR": True, None: False, "": False}
    assert not diff.may_change_any(family_of(record("lead/L-1", fields={"budget": 5, "currency": "EUR"})))
    assert (old.deciding == new.deciding, old.uses_relative_dates) == (False, True)


# --- one thing at a time ----------------------------------------------------------------------

BEFORE = model_of()
AMERICAN = record("account/A-1", fields={"country": "US"})


@pytest.mark.parametrize(
    ("after", "moving", "staying"),
    [
        (model_of(revision=2), [], [AMERICAN]),
        (
            model_of(*(n | {"rules": {}} if n["id"] == "large" else n for n in TREE), revision=2),
            [record("account/A-1", fields={"revenue": 2_000_000}), record("account/A-1", links={"west": "exclude"})],
            [AMERICAN, record("lead/L-1", fields={"country": "US"})],
        ),
        (model_of(*(n | {"priority": 1} if n["id"] == "west" else n for n in TREE), revision=2), [AMERICAN], []),
        (model_of(*(n for n in TREE if n["id"] != "games"), revision=2), [], [AMERICAN]),
        (model_of(limit=3, revision=2), [AMERICAN, record("account/A-1")], []),
    ],
    ids=["nothing", "a rule", "a priority", "a deal rule of a territory that takes none", "a setting"],
)
def test_change_of_one_territory(after: Model, moving: list[Record], staying: list[Record]) -> None:
    """A change of one territory affects only records that qualify for it now or did before (A8)."""
    diff = ModelDiff(BEFORE, after)
    assert [diff.may_change_any(family_of(one)) for one in moving] == [True] * len(moving)
    assert [diff.may_change_any(family_of(one)) for one in staying] == [False] * len(staying)


def test_new_spelling_of_a_rule_affects_its_records() -> None:
    """Explanations quote the model's text, so a bound that is written differently is emitted again (A10)."""
    old, new = (
        model_of({"id": "large", "rules": {"account": {"field": "revenue", "ge": bound}}}, {"id": "a"}, {"id": "b"})
        for bound in (1_000_000, 1_000_000.0)
    )
    assert ModelDiff(old, new).may_change_any(family_of(record("account/A-1", fields={"revenue": 2_000_000})))
    assert not ModelDiff(old, new).may_change_any(family_of(AMERICAN))


def test_equal_places_affect_nothing() -> None:
    """A circle or polygon with the same text is the same (C4)."""
    circle = {"field": "spot", "within_km": {"lat": 37.77, "lon": -122.42, "km": 50}}
    ring = [[0, 0], [10, 0], [10, 10], [0, 0]]
    polygon = {"field": "spot", "in_polygon": {"type": "Polygon", "coordinates": [ring]}}
    document: dict[str, Any] = {
        "org": "acme",
        "fields": {"account": {"spot": "geo"}},
        "territories": [{"id": f"t{n}", "rules": {"account": rule}} for n, rule in enumerate((circle, polygon))],
    }
    near = family_of(record("account/A-1", fields={"spot": {"lat": 37.78, "lon": -122.4}}))
    assert not ModelDiff(compile_model(document, 1), compile_model(document, 2)).may_change_any(near)
    ring[1] = [11, 0]
    inside = family_of(record("account/A-2", fields={"spot": {"lat": 1, "lon": 5}}))
    document["territories"].append({"id": "other"})
    changed = ModelDiff(
        compile_model({**document, "territories": [*document["territories"][:1]]}, 1), compile_model(document, 2)
    )
    assert changed.may_change_any(inside)


def test_another_time_zone_reads_days_anew() -> None:
    """A rule on days may hold for other records in another time zone, though its own text and bounds stay (C8)."""
    rules = {"account": {"field": "signed", "eq": "2017-03-01"}}
    documents: list[dict[str, Any]] = [
        {
            "org": "acme", "settings": {"time_zone": zone}, "fields": {"account": {"signed": "date"}},
            "territories": [{"id": "world"}, {"id": "a"}, {"id": "b"}, {"id": "west", "rules": rules}],
        }
        for zone in ("UTC", "America/Los_Angeles")
    ]  # fmt: skip
    old, new = (compile_model(document, 1) for document in documents)
    evening = record("account/A-1", fields={"signed": "2017-03-02T01:00:00Z"})
    assert ModelDiff(old, new).may_change(evening)
    assert not ModelDiff(old, compile_model(documents[0], 2)).may_change(evening)
