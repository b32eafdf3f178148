"""Values without quotes are read by the type that their place in a model expects (C11)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from territory.model.compiled import compile_model
from territory.model.text import parse_text

FIELDS = """
fields:
  account: {zip: text, sic: number, size: money, since: date, seen: datetime, open: boolean, tags: set, place: geo}
"""


def rule_of(criteria: str) -> Any:
    """Return the rule of a territory as it was read, after compiling the model."""
    found: Any = parse_text(
        f"org: acme\n{FIELDS}\ntables: {{codes: [x]}}\nterritories: [{{id: a, rules: {{account: {criteria}}}}}]"
    )
    assert compile_model(found, 1)
    return found["territories"][0]["rules"]["account"]


@pytest.mark.parametrize(
    ("criteria", "operand"),
    [
        ("{field: zip, starts_with: 043}", "043"),
        ("{field: zip, postal_between: [01000, 16999]}", ["01000", "16999"]),
        ("{field: zip, eq: NO}", "NO"),
        ("{field: zip, in: [NO, yes, 1.50, 1e3, 0x1F, true, 1:30, 1_000, 2026-11-30]}",
         ["NO", "yes", "1.50", "1e3", "0x1F", "true", "1:30", "1_000", "2026-11-30"]),
        ("{field: tags, includes_any: [1, off]}", ["1", "off"]),
        ("{field: since, ge: 2026-11-30}", "2026-11-30"),
        ("{field: seen, ge: 2026-11-30T10:00:00Z}", "2026-11-30T10:00:00Z"),
        ("{field: sic, between: [0100, 0999]}", ["0100", "0999"]),
        ("{field: sic, between: [100, 1e3]}", [100, 1000.0]),
        ("{field: sic, eq: '7'}", "7"),
        ("{field: open, eq: true}", True),
        ("{field: open, eq: yes}", True),
        ("{field: open, ne: OFF}", False),
        ("{field: zip, is_empty: yes}", True),
        ("{field: since, within_last_days: 030}", 30),
        ("{field: zip, in_table: codes}", "codes"),
        ("{field: place, within_km: {lat: 0.5, lon: -07.25, km: 010}}", {"lat": 0.5, "lon": "-07.25", "km": "010"}),
    ],
)  # fmt: skip
def test_operands_are_read_by_the_type_of_their_field(criteria: str, operand: object) -> None:
    """An operand without quotes is a text for a text field and a decimal number for a number field (C11)."""
    found = next(value for key, value in rule_of(criteria).items() if key != "field")
    assert (found, repr(found)) == (operand, repr(operand))
    nested = rule_of(f"{{all: [{{not: {criteria}}}, {{any: [{criteria}]}}]}}")
    assert nested["all"][0]["not"] == nested["all"][1]["any"][0] == rule_of(criteria)


def test_pieces_are_read_by_the_types_of_their_attributes() -> None:
    """Ids, names and periods are texts, settings are numbers or true and false, amounts keep their digits (C11)."""
    found: Any = parse_text(
        """
org: 007
fiscal_year_start: 04
settings: {max_territories_per_record: 010, territory_access_rolls_up_roles: no, time_zone: UTC}
fields: {lead: {on: text, 1: number}}
stages: {NO: {category: won, probability: 1.0}, 2: {category: pipeline, probability: 00.5}}
rates: [{from: EUR, period: 2026-Q4, rate: 01.08}]
roles: [{id: 1, name: 2026-11-30}, {id: no, parent: 1}]
users: [{id: 0123, name: NO, role: 1, active: off, admin: No}]
territories: [{id: 44, users: [0123], priority: -05, parent: ~, rules: {lead: {field: on, eq: 1}}}]
tables: {on: [01, NO, 1.0]}
targets: [{territory: 44, period: 2026-Q4, amount: 0250000}]
frozen_periods: [2025-Q1]
sharing: [{id: 3, object: lead, criteria: {field: 1, eq: 1}, to: {user: 0123}}]
"""
    )
    model = compile_model(found, 1)
    assert (model.org_id, model.organisation.fiscal_year_start, model.max_territories_per_record) == ("007", 4, 10)
    assert not model.territory_access_rolls_up_roles
    assert (model.people["0123"].name, model.people["0123"].active, model.people["0123"].role) == ("NO", False, "1")
    assert (found["roles"][0]["name"], found["roles"][1]) == ("2026-11-30", {"id": "no", "parent": "1"})
    assert model.territories["44"].priority == -5
    assert model.territories["44"].rules["lead"].holds({"on": "1"})
    assert (found["tables"], found["fields"]) == ({"on": ["01", "NO", "1.0"]}, {"lead": {"on": "text", "1": "number"}})
    assert (str(model.targets["44", "2026-Q4", None]), str(model.rates["EUR", "2026-Q4"])) == ("250000", "1.08")
    assert str(model.stages["2"].probability) == "0.5"


def test_json_is_read_in_the_same_way() -> None:
    """JSON numbers and booleans are texts where a text is expected, with the author's digits (C11)."""
    document = '{"org": 7, "roles": [{"id": 1.50, "name": true}], "users": [{"id": "a", "role": 1.50, "active": true}]}'
    assert parse_text(document) == parse_text(f"# YAML\n{document}")
    assert parse_text(document) == {
        "org": "7",
        "roles": [{"id": "1.50", "name": "true"}],
        "users": [{"id": "a", "role": "1.50", "active": True}],
    }


@pytest.mark.parametrize("odd", ["5", "[5]", "{a: [5]}", "x", "~", "[[1], {b: no}]"])
def test_places_with_odd_shapes(odd: str) -> None:
    """Whatever stands where a list or a mapping is expected is read into plain JSON values."""
    for name in ("fields", "stages", "users", "territories", "tables", "settings", "sharing", "frozen_periods", "org"):
        for text in (
            f"{name}: {odd}",
            f"{name}: [{odd}]",
            f"{name}: {{account: {odd}}}",
            f"{name}: [{{rules: {odd}}}]",
        ):
            found: Any = parse_text(text)
            assert json.loads(json.dumps(found)) == found
            assert "Unquoted" not in {type(value).__name__ for value in parts_of(found)}


def parts_of(value: Any) -> list[Any]:
    """Return all values within a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for item in inner for part in parts_of(item))]
