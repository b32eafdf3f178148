"""Compiled sharing rules and their marks."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from territory.errors import DayNotSet
from territory.model.compiled import Model, assemble, compile_model, pieces_of_model

Document = dict[str, Any]

RULE: Document = {
    "id": "s1",
    "object": "account",
    "criteria": {"field": "zip", "in_table": "bay"},
    "to": {"role_and_below": "vp"},
    "level": "edit",
}
RECENT: Document = {**RULE, "criteria": {"field": "since", "within_last_days": 1}}
DOCUMENT: Document = {
    "org": "acme",
    "fields": {"account": {"zip": "text", "since": "date"}, "contact": {"zip": "text"}},
    "tables": {"bay": ["94102", "94103"], "else": ["1"]},
    "roles": [{"id": "vp"}, {"id": "rep", "parent": "vp"}],
    "users": [{"id": "ann", "role": "vp"}],
    "territories": [{"id": "world"}],
}


def model_of(*rules: Document, **sections: Any) -> Model:
    """Return the model with some sharing rules, and some of its sections replaced."""
    return compile_model({**DOCUMENT, **sections, "sharing": list(rules)}, 1)


def mark_of(rule: Document, **sections: Any) -> str:
    """Return the mark of one sharing rule."""
    (mark,) = model_of(rule, **sections).sharing
    return mark


def test_compiled_sharing_rules() -> None:
    """A model has its sharing rules by mark, with criteria, audience and level (V6)."""
    model = model_of(RULE)
    ((mark, rule),) = model.sharing.items()
    assert mark.startswith("s1#")
    assert len(mark) == len("s1#") + 12
    assert (rule.id, rule.object, rule.kind, rule.target, rule.level) == (
        "s1",
        "account",
        "role_and_below",
        "vp",
        "edit",
    )
    assert rule.criterion.holds({"zip": "94103"})
    assert not rule.criterion.holds({"zip": "1"})
    assert str(rule) == "sharing rule s1 for role and below vp"
    assert model_of().sharing == {}


@pytest.mark.parametrize("to", [{"user": "ann"}, {"role": "vp"}, {"territory": "world"}, {"role_and_below": "rep"}])
@pytest.mark.parametrize("level", ["read", "edit"])
def test_target_and_level_are_no_part_of_a_mark(to: Document, level: str) -> None:
    """A change of the audience or the level alone keeps the mark, so no record is decided again (V6)."""
    assert mark_of({**RULE, "to": to, "level": level}) == mark_of(RULE)


@pytest.mark.parametrize(
    ("rule", "sections"),
    [
        ({**RULE, "id": "s2"}, {}),
        ({**RULE, "object": "contact"}, {}),
        ({**RULE, "criteria": {"field": "zip", "in_table": "else"}}, {}),
        ({**RULE, "criteria": {"not": RULE["criteria"]}}, {}),
        (RULE, {"tables": {"bay": ["94102"], "else": ["1"]}}),
        (RULE, {"fields": {"account": {"zip": "text"}}, "tables": {"bay": []}}),
    ],
    ids=["id", "object", "criteria", "negated", "table", "empty table"],
)
def test_a_mark_covers_everything_that_criteria_depend_on(rule: Document, sections: Document) -> None:
    """A change of the object, the criteria or a table that they use changes the mark (V6)."""
    assert mark_of(rule, **sections) != mark_of(RULE)


def test_types_and_calendar_are_part_of_a_mark_where_they_matter() -> None:
    """A change of a compared field's type, or of the calendar under relative dates, changes the mark (V6)."""
    at_least = {**RULE, "criteria": {"field": "since", "ge": "2017-03-01"}}
    assert mark_of(at_least, fields={"account": {"since": "datetime"}}) != mark_of(at_least)
    assert mark_of(at_least, fiscal_year_start=4) == mark_of(at_least)
    assert mark_of(at_least, settings={"time_zone": "Europe/Berlin"}) != mark_of(at_least)  # days of instants (C8)
    assert mark_of(RULE, settings={"time_zone": "Europe/Berlin"}) == mark_of(RULE)
    assert mark_of(RECENT, fiscal_year_start=4) != mark_of(RECENT)
    assert mark_of(RECENT, settings={"time_zone": "Europe/Berlin"}) != mark_of(RECENT)


def test_a_mark_ignores_unrelated_changes() -> None:
    """A change of an unrelated table, field or rule keeps the mark (V6)."""
    other = {"tables": {"bay": ["94102", "94103"]}, "fields": {"account": {"zip": "text", "more": "number"}}}
    assert mark_of(RULE, **other) == mark_of(RULE)
    assert mark_of(RULE) in model_of(RULE, {**RULE, "id": "s0"}).sharing
    assert list(model_of(RULE, {**RULE, "id": "s0"}).sharing) == [mark_of({**RULE, "id": "s0"}), mark_of(RULE)]


def test_marks_are_the_same_in_every_service() -> None:
    """A model assembled from the log has the same marks as the original (V6, A9)."""
    document = {**DOCUMENT, "sharing": [RULE, {**RECENT, "id": "s0"}]}
    from_log = assemble("acme", 7, pieces_of_model(document))
    assert list(from_log.sharing) == list(compile_model(document, 1).sharing)


def test_sharing_rules_follow_the_day() -> None:
    """`on` makes relative sharing rules absolute and keeps their marks (C7, V6)."""
    model = model_of(RECENT, {**RULE, "id": "s0"})
    mark = mark_of(RECENT)
    assert model.uses_relative_dates
    with pytest.raises(DayNotSet):
        model.sharing[mark].criterion.holds({"since": date(2017, 3, 1)})
    for day, holds in ((1, True), (2, True), (3, False), (2, True)):
        there = model.on(date(2017, 3, day))
        assert there.sharing[mark].criterion.holds({"since": date(2017, 3, 1)}) is holds
        assert there.sharing.keys() == model.sharing.keys()
        assert [each is model.sharing[of] for of, each in there.sharing.items()] == [True, False]
    assert not model_of(RULE).uses_relative_dates
