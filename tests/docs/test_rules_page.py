"""The rules page: every example and every table in it is checked."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from territory.criteria import NESTING_MAX, OPERATORS, Criterion, Lists, parse
from territory.criteria.values import FieldType, Unreadable, read_fields, read_value
from territory.errors import Fault
from territory.model.compiled import compile_model
from territory.model.periods import FiscalCalendar
from territory.model.pieces import Audience
from territory.wire.codec import decode

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading or another text."""
    table = re.search(r"(?:^\|.*\n)+", PAGE[PAGE.index(heading) :], re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def block_of(language: str) -> Any:
    """Return the value of the first code block in a language."""
    block = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    return yaml.safe_load(block[1]) if language == "yaml" else json.loads(block[1])


RECORD, MODEL = block_of("json"), block_of("yaml")
TYPES: dict[str, FieldType] = MODEL["fields"]["account"]
TODAY = date.fromisoformat(re.findall(r"Today is ([0-9-]+), in UTC", PAGE)[0])


def read(rule: str) -> tuple[Criterion | None, list[Fault]]:
    """Return a rule of the page, made absolute for the page's day, or its faults."""
    criterion, faults = parse(yaml.safe_load(rule), TYPES, "rule", Lists(MODEL["tables"]))
    return (criterion.on(TODAY, FiscalCalendar()) if criterion is not None else None), faults


@pytest.mark.parametrize("rule", [row[0].strip("`") for row in rows_of("These rules hold for the account")])
def test_rules_that_hold(rule: str) -> None:
    """Every rule that the page lists as holding holds for its record (C1 to C6)."""
    criterion, faults = read(rule)
    assert faults == []
    values, wrong = read_fields(TYPES, RECORD)
    assert wrong == 0
    assert criterion is not None
    assert criterion.holds(values)


@pytest.mark.parametrize(("rule", "why"), [(row[0].strip("`"), row[1]) for row in rows_of("And these do not")])
def test_rules_that_do_not_hold(rule: str, why: str) -> None:
    """Every rule that the page lists as not holding is refused if the page says so, and fails otherwise (C5)."""
    criterion, faults = read(rule)
    assert bool(faults) is why.startswith("refused")
    if criterion is not None:
        assert not criterion.holds(read_fields(TYPES, RECORD)[0])


def test_the_table_of_operators() -> None:
    """The page has every operator with its field types and its answer for a missing field (C2, C4)."""
    rows = {word: row for row in rows_of("## Operators") for word in re.findall(r"`([a-z_]+)", row[0])}
    assert {word: row[3] == "yes" for word, row in rows.items()} == {
        word: operator.negated for word, operator in OPERATORS.items()
    }
    assert {word: tuple(row[2].split(", ")) for word, row in rows.items()} == {
        word: operator.types for word, operator in OPERATORS.items()
    }
    assert f"at most {NESTING_MAX} levels" in PAGE


TEXTUAL = {
    "one or many": ["café", "tea"],
    "one": "café",
    "many": ["café"],
    "texts": ["café"],
    "codes": ["café", "café"],
    "table": "drinks",
}


@pytest.mark.parametrize("word", OPERATORS)
def test_case_and_accents(word: str) -> None:
    """The page is right about case and accents for every operator (C3)."""
    (row,) = (row for row in rows_of("## Operators") if word in re.findall(r"`([a-z_]+)", row[0]))
    operator = OPERATORS[word]
    kind = next((kind for kind in operator.types if kind in ("text", "set")), None)
    if kind is None or operator.shape not in TEXTUAL:
        assert row[4:] == ["–", "–"]
        return
    leaf = {"field": "drink", word: TEXTUAL[operator.shape]}
    criterion, _ = parse(leaf, {"drink": kind}, "rule", Lists({"drinks": ["café"]}))
    assert criterion is not None
    same, upper, plain = (
        criterion.holds(read_fields({"drink": kind}, {"drink": [text] if kind == "set" else text})[0])
        for text in ("café", "CAFÉ", "cafe")
    )
    assert row[4:] == ["ignored" if upper is same else "counts", "count" if plain is not same else "ignored"]


@pytest.mark.parametrize(("kind", "raw", "meaning"), [row[:3] for row in rows_of("Values that often")])
def test_values(kind: str, raw: str, meaning: str) -> None:
    """Every value is read as the page says (C3, C6)."""
    field_type: FieldType = kind.strip("`")  # type: ignore[assignment]  # one of them
    value = read_value(field_type, decode(raw.strip("`").encode()))
    if meaning.startswith("missing"):
        assert value is None
    elif meaning.startswith("unreadable"):
        assert isinstance(value, Unreadable)
    else:
        assert value == read_value(field_type, decode(meaning.split("`")[1].encode()))
        assert value is not None


@pytest.mark.parametrize(("place", "polygon", "answer"), [row[:3] for row in rows_of("| a position | in polygon |")])
def test_positions_in_polygons(place: str, polygon: str, answer: str) -> None:
    """Every position is inside or outside its polygon as the page says (C4)."""
    rule = f"{{field: place, in_polygon: {{type: Polygon, coordinates: {polygon.strip('`')}}}}}"
    criterion, faults = read(rule)
    assert faults == []
    assert criterion is not None
    values, _ = read_fields(TYPES, {"place": yaml.safe_load(place.strip("`"))})
    assert criterion.holds(values) is answer.startswith("yes")


def test_the_worked_example() -> None:
    """The model of the worked example is valid, and both of its rules hold for the account."""
    model = compile_model({"org": "acme", **MODEL}, 1)
    values, _ = read_fields(TYPES, RECORD)
    assert {node.id: node.rules["account"].holds(values) for node in model.territories.values()} == {
        "west": True,
        "bay-area": True,
    }
    assert not model.territories["west"].rules["account"].holds({**values, "employees": 399})


def test_the_sharing_rules() -> None:
    """The sharing rules of the page are valid, and its table lists every audience."""
    (block,) = re.findall(r"```yaml\n(sharing:.*?)```", PAGE, re.DOTALL)
    document = {
        "org": "acme",
        "fields": {"account": TYPES, "contact": {"city": "text"}, "lead": {"seen": "datetime"}},
        "roles": [{"id": "vp-west"}],
        "users": [{"id": "u7", "role": "vp-west"}],
        "territories": [{"id": "us-west"}],
        **yaml.safe_load(block),
    }
    assert len(compile_model(document, 1).sharing) == 3
    assert [row[0].strip("`").partition(":")[0] for row in rows_of("| to | who |")] == list(Audience.model_fields)
