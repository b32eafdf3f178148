"""What the README of the shared language promises."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from territory.criteria import NESTING_MAX, OPERATORS, Criterion, Lists, parse
from territory.criteria.values import FieldType, read_fields, read_value
from territory.errors import Fault
from territory.model.periods import FiscalCalendar
from territory.wire.topics import TOPICS

README = (Path(__file__).parents[3] / "schemas" / "README.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, or below a line of text."""
    table = re.search(r"(?:^\|.*\n)+", README[README.index(heading) :], re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def block_of(language: str) -> Any:
    """Return what the first block of code in a language says."""
    block = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return yaml.safe_load(block[1]) if language == "yaml" else json.loads(block[1])


RECORD, MODEL = block_of("json"), block_of("yaml")
TYPES: dict[str, FieldType] = MODEL["fields"]["account"]
TODAY = date.fromisoformat(re.findall(r"Today is ([0-9-]+), in UTC", README)[0])


def read(rule: str) -> tuple[Criterion | None, list[Fault]]:
    """Return a rule of the README as it is meant on its day, or its faults."""
    criterion, faults = parse(yaml.safe_load(rule), TYPES, "rule", Lists(MODEL["tables"]))
    return (criterion.on(TODAY, FiscalCalendar()) if criterion is not None else None), faults


@pytest.mark.parametrize("rule", [row[0].strip("`") for row in rows_of("These rules hold for it")])
def test_rules_that_hold(rule: str) -> None:
    """Every rule that the README says holds for its record does (C1 to C6)."""
    criterion, faults = read(rule)
    assert faults == []
    values, wrong = read_fields(TYPES, RECORD)
    assert wrong == 0
    assert criterion is not None
    assert criterion.holds(values)


@pytest.mark.parametrize(("rule", "why"), [(row[0].strip("`"), row[1]) for row in rows_of("And these do not")])
def test_rules_that_do_not_hold(rule: str, why: str) -> None:
    """Every rule that the README says does not hold is refused where it says so, and else fails (C5)."""
    criterion, faults = read(rule)
    assert bool(faults) is why.startswith("refused")
    if criterion is not None:
        assert not criterion.holds(read_fields(TYPES, RECORD)[0])


def test_the_table_of_operators() -> None:
    """The README has every operator, with the types that it fits and whether it holds for a missing field (C2, C4)."""
    rows = {word: row for row in rows_of("### Operators") for word in re.findall(r"`([a-z_]+)", row[0])}
    assert {word: row[3] == "yes" for word, row in rows.items()} == {
        word: operator.negated for word, operator in OPERATORS.items()
    }
    assert {word: tuple(row[2].split(", ")) for word, row in rows.items()} == {
        word: operator.types for word, operator in OPERATORS.items()
    }
    assert f"at most {NESTING_MAX} levels" in README


TEXTUAL = {"one": "café", "many": ["café"], "texts": ["café"], "codes": ["café", "café"], "table": "drinks"}


@pytest.mark.parametrize("word", OPERATORS)
def test_case_and_accents(word: str) -> None:
    """The README says of every operator whether case and accents count for it (C3)."""
    (row,) = (row for row in rows_of("### Operators") if word in re.findall(r"`([a-z_]+)", row[0]))
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


@pytest.mark.parametrize(("kind", "raw", "meaning"), [row[:3] for row in rows_of("Values that people argue about")])
def test_values_that_people_argue_about(kind: str, raw: str, meaning: str) -> None:
    """Every value that the README reads is read so (C3, C6)."""
    field_type: FieldType = kind.strip("`")  # type: ignore[assignment]  # one of them
    value = read_value(field_type, json.loads(raw.strip("`")))
    if meaning.startswith("missing"):
        assert value is None
    else:
        assert value == read_value(field_type, json.loads(meaning.split("`")[1]))
        assert value is not None


@pytest.mark.parametrize(("place", "polygon", "answer"), [row[:3] for row in rows_of("| a place | in polygon |")])
def test_places_that_people_argue_about(place: str, polygon: str, answer: str) -> None:
    """Every place is or is not in the polygon of the README as it says (C4)."""
    rule = f"{{field: place, in_polygon: {{type: Polygon, coordinates: {polygon.strip('`')}}}}}"
    criterion, faults = read(rule)
    assert faults == []
    assert criterion is not None
    values, _ = read_fields(TYPES, {"place": yaml.safe_load(place.strip("`"))})
    assert criterion.holds(values) is answer.startswith("yes")


def test_the_table_of_topics() -> None:
    """The README has every topic, with its policy, who writes it and who reads it."""
    found = {row[0].strip("`"): [cell.replace("`", "") for cell in row[3:]] for row in rows_of("## Topics")}
    assert found == {
        topic.name: [
            ("compacted" if topic.cleanup == "compact" else f"{topic.retention_days} days")
            + (", 1 partition" if topic.partitions == 1 else ""),
            topic.written_by,
            topic.read_by,
        ]
        for topic in TOPICS
    }
