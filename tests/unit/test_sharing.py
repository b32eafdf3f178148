"""Sharing rules from end to end, and what nobody sees while they change."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.memory import FIRST_DAY, MemoryHouse, Place, dice
from tests.support.oracle import Expected, expected
from tests.support.strategies import ORG, SHARING_EDITS, Document, Upstream, edited, models
from tests.unit.support.oracle_examples import model, upsert
from tests.unit.test_against_oracle import assert_agrees, assert_redis_agrees
from tests.unit.test_interruptions import happen

IN_US, IN_FR = ({"field": "country", "eq": country} for country in ("US", "FR"))
FLAT = [{"id": "world"}]
OBJECTS = ("account", "contact", "lead", "deal")
COUNTRIES = {kind: {"country": "text", "since": "date", "seen": "text"} for kind in OBJECTS}
RECORDS = [
    upsert(kind, f"{kind}-{country}", fields={"country": country, "since": "2017-03-01"})
    for kind in OBJECTS
    for country in ("US", "FR")
]
INDEXING: Place = ("indexing", 0)


def shared(*rules: Document, **sections: Any) -> Document:
    """Return a model in which nobody sees a record but by sharing rules."""
    return model(FLAT, **{"fields": COUNTRIES, "sharing": list(rules)} | sections)


def rule(criteria: Document, to: str, about: str = "account", **more: Any) -> Document:
    """Return a sharing rule for one user."""
    return {"id": "s1", "object": about, "criteria": criteria, "to": {"user": to}, **more}


def seen(house: MemoryHouse) -> dict[str, set[str]]:
    """Return which records each user sees."""
    found: dict[str, set[str]] = {}
    for (_, user, _), ids in house.redis.visible.items():
        found.setdefault(user, set()).update(ids)
    return found


@pytest.mark.parametrize("about", OBJECTS)
def test_all_objects_can_be_shared(about: str) -> None:
    """Accounts, contacts, leads and deals: the matcher decides which records, the target who sees them (V6)."""
    house = MemoryHouse(2)
    happen(house, shared(rule(IN_US, "rita", about, level="edit")), RECORDS)
    house.run()
    assert house.redis.visible == house.redis.editable == {("acme", "rita", about): {f"{about}-US"}}
    assert [key for key, said in house.assignments().items() if said.shared] == [f"acme/{about}/{about}-US"]


def test_rule_whose_criteria_and_target_change_at_once() -> None:
    """The index is under the new model before a record is decided anew: the new target sees nothing of the old (V6)."""
    before, after = shared(rule(IN_US, "rita")), shared(rule(IN_FR, "rolf"))
    house = MemoryHouse(1)
    happen(house, before, RECORDS)
    house.run()
    assert seen(house) == {"rita": {"account-US"}}
    happen(house, after, [])
    house.run(only=[INDEXING])
    assert seen(house) == {}
    house.run()
    assert seen(house) == {"rolf": {"account-FR"}}


def test_index_that_hears_of_a_model_last() -> None:
    """Records are decided anew under a model that the index does not know: it passes over its marks (V6)."""
    before, after = shared(rule(IN_US, "rita")), shared(rule(IN_FR, "rolf"))
    house = MemoryHouse(1)
    happen(house, before, RECORDS)
    house.run()
    happen(house, after, [])
    house.run(only=[("assigning", 0)])
    house.advance(INDEXING, 50, dice(0))
    assert seen(house) == {}
    house.run()
    assert seen(house) == {"rolf": {"account-FR"}}


@pytest.mark.parametrize(
    "sections",
    [{"tables": {"core": ["FR"]}}, {"fields": {**COUNTRIES, "account": {"country": "text", "seen": "datetime"}}}],
    ids=["a table", "a type"],
)
def test_meaning_that_changes_with_the_target(sections: Document) -> None:
    """Criteria that are written as before mean something else, and are for another: nobody sees too much (V6)."""
    criteria = {"all": [{"field": "country", "in_table": "core"}, {"field": "seen", "ne": "2017-03-01"}]}
    unlike = {"any": [criteria, {"not": criteria}]}
    usual = {"tables": {"core": ["US"]}}
    house = MemoryHouse(1)
    happen(house, shared(rule(unlike, "rita"), **usual), RECORDS)
    house.run()
    assert seen(house) == {"rita": {"account-US", "account-FR"}}
    happen(house, shared(rule(unlike, "rolf"), **{**usual, **sections}), [])
    house.run(only=[INDEXING])
    assert seen(house) == {}
    house.run()
    assert seen(house) == {"rolf": {"account-US", "account-FR"}}


def test_target_or_level_that_changes_alone_moves_no_record() -> None:
    """The index alone has something to do: nothing is said of any record (V6, A8)."""
    house = MemoryHouse(2)
    happen(house, shared(rule(IN_US, "rita")), RECORDS)
    house.run()
    said = house.assignments()
    happen(house, shared(rule(IN_US, "rolf", level="edit")), [])
    house.run()
    assert house.assignments() == said
    assert house.redis.visible == house.redis.editable == {("acme", "rolf", "account"): {"account-US"}}


def test_sharing_rules_follow_the_day() -> None:
    """A rule that looks from today shares and takes back as days pass, with no change of a record (V6, C7)."""
    document = shared(rule({"field": "since", "within_last_days": 1}, "rita", "deal"))
    house = MemoryHouse(2)
    house.day = date(2017, 3, 1)
    happen(house, document, RECORDS)
    both = {"deal-US", "deal-FR"}
    for day, deals in ((1, both), (2, both), (3, set()), (2, both)):
        house.day = date(2017, 3, day)
        house.run()
        assert seen(house).get("rita", set()) == deals
        assert_agrees(house.found(), expected({"acme": {**document, "today": house.day}}, RECORDS))


def states_of(documents: list[Document], history: list[Document]) -> list[Expected]:
    """Return the end states under several models."""
    return [expected({ORG: {**each, "today": FIRST_DAY}}, history) for each in documents]


@settings(max_examples=3 * settings().max_examples)
@given(models(), st.integers(0, 2**32))
def test_nobody_sees_meanwhile_what_neither_model_shares(document: Document, seed: int) -> None:
    """Whatever changes of sharing rules at once, nobody sees or edits what no model gives, at any moment (V6, V8)."""
    house, random, upstream = MemoryHouse(2), dice(seed), Upstream()
    for node in document["territories"]:
        node.pop("rules", None)  # records are in territories by hand alone, and stay there
    history = [upstream.change(random) for _ in range(20)]
    house.apply_model(document)
    for change in history:
        house.publish(change)
    house.run(random)
    after = edited(document, random, SHARING_EDITS)
    states = states_of([document, after], history)
    house.apply_model(after)
    assert_between(house, *states)
    for place in random.sample(house.places, len(house.places)):  # one after another, in any order
        house.hear(place)
        while house.advance(place, 1, random):
            assert_between(house, *states)
            if not random.randint(0, 9):
                break  # amid what it has to do
    while house.step(random):
        assert_between(house, *states)
    assert_agrees(house.found(), states[1])
    assert_redis_agrees(house)


def assert_between(house: MemoryHouse, *states: Expected) -> None:
    """Nobody sees or edits a record that he does not in one of the states."""
    for found, allowed in (
        (house.redis.visible, [state.visible for state in states]),
        (house.redis.editable, [state.editable for state in states]),
    ):
        for key, ids in found.items():
            assert ids <= set().union(*(sets.get(key, ()) for sets in allowed))
