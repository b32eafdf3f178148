"""The generated JSON Schemas and the AsyncAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import compile_model
from territory.model.document import parse_text
from territory.wire.codec import encode
from territory.wire.events import RecordChange
from territory.wire.topics import DAY_MS, TOPICS
from territory_contracts.__main__ import generated_files, main
from territory_contracts.asyncapi import EVENTS as EVENTS_BY_TOPIC
from territory_contracts.json_schemas import DIALECT
from tests.support.strategies import models
from tests.unit.territory.criteria.examples import leaves
from tests.unit.territory.examples import CHANGE, EVENTS, FEW, MODEL, attempted, dumps, json_values, read_or_code

COMMITTED = Path(__file__).parents[3] / "schemas" / "json"
FILES = {name: json.loads(text) for name, text in generated_files().items()}
SCHEMAS = {name.removesuffix(".json"): schema for name, schema in FILES.items() if name != "asyncapi.json"}


def checker(name: str) -> jsonschema.Draft7Validator:
    """Return a validator for one of the schemas."""
    return jsonschema.Draft7Validator(SCHEMAS[name])


def test_committed_files_are_not_stale() -> None:
    """The committed files match the types; `make schemas` regenerates them."""
    assert {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()} == generated_files()


def test_writing(tmp_path: Path) -> None:
    """The generator writes its files, removes JSON files that it no longer writes, and requires one folder."""
    folder = tmp_path / "json"
    folder.mkdir()
    (folder / "Gone.json").write_text("{}")
    assert main([str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert main([]) == 2


def test_every_event_has_a_schema() -> None:
    """There is one schema for each event class on a topic, and one for the model."""
    kinds = {kind for group in EVENTS_BY_TOPIC.values() for kind in group}
    assert kinds == {RecordChange, *EVENTS}
    assert set(SCHEMAS) == {*(kind.__name__ for kind in kinds), "Model"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Every schema is valid by the meta-schema, including definitions, and all of its references resolve."""
    schema = SCHEMAS[name]
    assert schema["$schema"] == DIALECT
    jsonschema.Draft7Validator.check_schema(schema)
    definitions = schema.get("definitions", {})
    references = {each["$ref"] for each in _objects(schema) if "$ref" in each}
    assert references == {f"#/definitions/{definition}" for definition in definitions}


def _objects(document: Any) -> list[dict[str, Any]]:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    own = [document] if isinstance(document, dict) else []
    return own + [each for item in inner for each in _objects(item)]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@FEW
@given(st.data())
def test_events_match_their_schema(kind: type[Any], data: st.DataObject) -> None:
    """Every event that we write is valid by its schema."""
    event = data.draw(EVENTS[kind])
    checker(kind.__name__).validate(json.loads(encode(event)))


def test_the_example_of_the_contract_is_match_the_schema() -> None:
    """The documented example of a change is valid by the schema of RecordChange."""
    checker("RecordChange").validate(CHANGE)


@given(st.dictionaries(st.sampled_from([*CHANGE, "territory_id", "kind"]), json_values, max_size=2))
def test_accepted_changes_match_the_schema(odd: dict[str, Any]) -> None:
    """Every change that we accept is valid by the schema, so the schema forbids nothing that works."""
    raw = dumps({**CHANGE, **odd})
    if not isinstance(read_or_code(raw), str):
        checker("RecordChange").validate(json.loads(raw))


@given(models())
@FEW
def test_models_match_the_schema(document: dict[str, Any]) -> None:
    """Every valid model is valid by the schema that editors use."""
    checker("Model").validate(document)


def test_the_example_model_is_match_the_schema() -> None:
    """A model with every kind of piece is valid by the schema, and so is the shipped example."""
    checker("Model").validate(MODEL)
    example = Path(__file__).parents[3] / "examples" / "crm-sales-opportunities" / "model.yaml"
    checker("Model").validate(parse_text(example.read_text(encoding="utf-8")))


@given(leaves())
def test_every_valid_leaf_matches_the_schema(leaf: dict[str, Any]) -> None:
    """The schema has every operator with its operands (C4)."""
    written = json.loads(dumps(leaf))
    checker("Model").validate({"org": "acme", "territories": [{"id": "west", "rules": {"account": written}}]})


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"org": "ac me"},
        {"period": "week"},
        {"roles": {"id": "ceo"}},
        {"users": [{"id": "ann"}]},
        {"territories": [{"id": "a:b"}]},
        {"territories": [{"id": "west", "rules": {"contact": {}}}]},
        {"territories": [{"id": "west", "rules": {"account": {"field": "country"}}}]},
        {"territories": [{"id": "west", "rules": {"account": {"field": "country", "like": "x"}}}]},
        {"territories": [{"id": "west", "rules": {"account": {"all": []}}}]},
        {"territories": [{"id": "west", "rules": {"account": {"not": {"field": "country", "between": [1]}}}}]},
        {"fields": {"account": {"country": "string"}}},
        {"stages": {"Won": {"category": "closed"}}},
        {"tables": {"zips": [94102]}},
        {"targets": [{"territory": "west", "period": "2017-Q1"}]},
    ],
)
def test_schema_refuses_faults_of_shape(change: dict[str, Any]) -> None:
    """The schema and the validator both refuse faults of shape."""
    document = {**MODEL, **change}
    assert not checker("Model").is_valid(document)
    _, faults = attempted(lambda: compile_model(document, 1))
    assert faults


@pytest.mark.parametrize(
    "operand",
    [
        {"within_last_days": -1},
        {"older_than_days": "30"},
        {"in_period": "next_week"},
        {"includes_any": []},
        {"postal_between": ["94100"]},
        {"in_table": 5},
        {"within_km": {"lat": 1, "lon": 2}},
        {"in_polygon": {"type": "Point", "coordinates": [1, 2]}},
        {"in_polygon": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}},
    ],
)
def test_schema_refuses_impossible_operands(operand: dict[str, Any]) -> None:
    """The schema refuses operands that fit no field type."""
    rule = {"field": "any", **operand}
    assert not checker("Model").is_valid({"org": "acme", "territories": [{"id": "west", "rules": {"account": rule}}]})


@given(st.dictionaries(st.sampled_from(sorted(MODEL)), json_values, max_size=2))
def test_schema_is_never_stricter_than_the_validator(odd: dict[str, Any]) -> None:
    """A model that the validator accepts is valid by the schema."""
    document = json.loads(dumps({**MODEL, **odd}))
    model, _ = attempted(lambda: compile_model(document, 1))
    assert model is None or checker("Model").is_valid(document)


# --- AsyncAPI ---------------------------------------------------------------------------------


def test_every_topic_is_a_channel() -> None:
    """The AsyncAPI document has every topic with its key, its retention, its writers and its readers."""
    document = FILES["asyncapi.json"]
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = document["channels"][topic.name]
        assert channel["address"] == topic.name
        assert (channel["x-written-by"], channel["x-read-by"]) == (topic.written_by, topic.read_by)
        kafka = channel["bindings"]["kafka"]
        assert kafka["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]
        days = topic.retention_days
        assert kafka["topicConfiguration"].get("retention.ms") == (None if days is None else days * DAY_MS)
        assert kafka.get("partitions") == topic.partitions
        assert channel["messages"]
        for message in channel["messages"].values():
            assert message["bindings"]["kafka"]["key"]["description"] == topic.key


def test_references_resolve() -> None:
    """Every reference in the AsyncAPI document resolves to a committed schema or to a channel."""
    document = FILES["asyncapi.json"]
    references = [each["$ref"] for each in _objects(document) if "$ref" in each]
    files = {f"./{name}" for name in FILES}
    channels = {f"#/channels/{topic.name}" for topic in TOPICS}
    assert set(references) <= files | channels
    assert channels <= set(references)  # every channel is sent to or received from
    assert files - set(references) == {"./Model.json", "./asyncapi.json"}


def test_operations_have_the_right_direction() -> None:
    """We receive what upstreams write, send what outsiders read, and do both on internal topics."""
    operations = FILES["asyncapi.json"]["operations"]
    actions: dict[str, set[str]] = {}
    for operation in operations.values():
        actions.setdefault(operation["channel"]["$ref"].removeprefix("#/channels/"), set()).add(operation["action"])
    for topic in TOPICS:
        if not topic.public:
            assert actions[topic.name] == {"send", "receive"}
    assert actions["crm.records.v1"] == {"receive"}
    assert actions["territory.attainments.v1"] == actions["territory.dead-letters.v1"] == {"send"}
