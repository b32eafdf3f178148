"""The contracts as others' tools read them: JSON Schemas and an AsyncAPI document, made from the types.

`python -m territory.wire.describe FOLDER` writes them; a test fails when the committed ones are stale.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from territory.criteria import OPERATORS
from territory.criteria.days import DAYS_MAX
from territory.criteria.values import FIELD_TYPES
from territory.model.document import LIST_SECTIONS, OBJECTS, ORG_PATTERN, Organisation, Piece, Stage
from territory.model.periods import RelativePeriod
from territory.wire import events, topics
from territory.wire.topics import DAY_MS, TOPICS, Topic

Schema = dict[str, Any]

# Draft 7 is the one that every AsyncAPI tool must understand.
DIALECT = "http://json-schema.org/draft-07/schema#"
DIALECT_FORMAT = "application/schema+json;version=draft-07"
ASYNCAPI_VERSION = "3.0.0"
KAFKA_BINDING_VERSION = "0.5.0"
_REFERENCE = "#/definitions/{model}"

EVENTS: dict[Topic, tuple[type[Any], ...]] = {
    topics.RECORDS: (events.RecordChange,),
    topics.MODEL: (events.ModelPiece, events.ModelActivated),
    topics.ASSIGNMENTS: (events.Assignment,),
    topics.ATTAINMENTS: (events.Attainment,),
    topics.ACCESS_CHANGES: (events.AccessChange, events.AccessForgotten),
    topics.RECORD_STATES: (events.Record,),
    topics.FAMILIES: (events.Record,),
    topics.RELEASES: (events.Released,),
    topics.PARTIALS: (events.Partial, events.SourceSwept),
    topics.FROZEN: (events.Frozen,),
}
"""What is on each topic that carries events of ours."""

TOMBSTONED = (topics.MODEL, topics.ASSIGNMENTS, topics.ATTAINMENTS, topics.FAMILIES, topics.PARTIALS, topics.FROZEN)
"""Topics where null says that what the key names is gone."""

STATED = (topics.ASSIGNMENTS, topics.ATTAINMENTS, topics.ACCESS_CHANGES)
"""Topics that our services write for outsiders: their messages bear CloudEvents attributes."""


class _Schemas(GenerateJsonSchema):
    """Leaves out titles: they repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def described() -> dict[str, str]:
    """Return the text of every generated file, by its name."""
    kinds = {kind.__name__: kind for group in EVENTS.values() for kind in group}
    documents = {f"{name}.json": event_schema(kind) for name, kind in kinds.items()}
    documents["Model.json"] = model_schema()
    documents["asyncapi.json"] = asyncapi()
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in documents.items()}


def event_schema(kind: type[Any]) -> Schema:
    """Return the JSON Schema of one kind of event: what we accept, or else what we write."""
    mode: JsonSchemaMode = "validation" if kind is events.RecordChange else "serialization"
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE, schema_generator=_Schemas)
    return _finished(schema)


def model_schema() -> Schema:
    """Return the JSON Schema of a whole model as an administrator writes it.

    It says what an editor can check; what the pieces mean together is checked by `territory validate`.
    """
    kinds: list[type[Piece]] = [Organisation, Stage, *LIST_SECTIONS.values()]
    _, schema = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template=_REFERENCE, schema_generator=_Schemas
    )
    definitions = schema["$defs"]
    definitions["Criteria"] = _criteria_schema()
    criteria = _reference("Criteria")
    definitions["Territory"]["properties"]["rules"]["additionalProperties"] = criteria
    definitions["SharingRule"]["properties"]["criteria"] = criteria
    organisation = definitions.pop("Organisation")["properties"]
    schema |= {
        "title": "Model",
        "description": "All that one organisation decides; accepted whole or refused whole.",
        "type": "object",
        "required": ["org"],
        "additionalProperties": False,
        "properties": {
            "org": {"type": "string", "pattern": f"^{ORG_PATTERN}$"},
            **organisation,
            "fields": {
                "description": "What rules may use, by object; records may carry more.",
                "type": ["object", "null"],
                "propertyNames": {"enum": list(OBJECTS)},
                "additionalProperties": {"type": "object", "additionalProperties": {"enum": list(FIELD_TYPES)}},
            },
            "stages": {"type": ["object", "null"], "additionalProperties": _reference("Stage")},
            "tables": {
                "description": "Named lists of values.",
                "type": ["object", "null"],
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            },
            "frozen_periods": {"type": ["array", "null"], "items": {"type": "string"}},
            **{
                name: {"type": ["array", "null"], "items": _reference(kind.__name__)}
                for name, kind in LIST_SECTIONS.items()
            },
        },
    }
    return _finished(schema)


def _criteria_schema() -> Schema:
    one: Schema = {"type": ["string", "number", "boolean"]}
    operands: dict[str, Schema] = {
        "one": one,
        "many": {"type": "array", "minItems": 1, "items": one},
        "pair": {"type": "array", "minItems": 2, "maxItems": 2, "items": one},
        "flag": {"const": True},
        "texts": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "codes": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string"}},
        "table": {"type": "string", "description": "The name of a list under `tables`."},
        "days": {"type": "integer", "minimum": 0, "maximum": DAYS_MAX},
        "period": {"enum": list(get_args(RelativePeriod))},
        "circle": _circle_schema(),
        "region": _region_schema(),
    }
    parts = {"type": "array", "minItems": 1, "items": _reference("Criteria")}
    leaf = {
        "type": "object",
        "required": ["field"],
        "minProperties": 2,
        "maxProperties": 2,
        "additionalProperties": False,
        "properties": {
            "field": {"type": "string", "description": "A field that is declared under `fields`."},
            **{word: operands[operator.shape] for word, operator in OPERATORS.items()},
        },
    }
    return {
        "description": "A criteria tree: all, any, not over leaves of one field and one operator (C1).",
        "anyOf": [_only("all", parts), _only("any", parts), _only("not", _reference("Criteria")), leaf],
    }


_DEGREES: Schema = {"type": ["number", "string"]}


def _circle_schema() -> Schema:
    return {
        "description": "All places within so many kilometres of a centre, the rim included.",
        "type": "object",
        "required": ["lat", "lon", "km"],
        "additionalProperties": False,
        "properties": {"lat": _DEGREES, "lon": _DEGREES, "km": {"type": ["number", "string"]}},
    }


def _region_schema() -> Schema:
    def several(items: Schema, least: int = 1) -> Schema:
        return {"type": "array", "minItems": least, "items": items}

    polygon = several(several({**several(_DEGREES, 2), "maxItems": 3}, 4))
    return {
        "description": "A GeoJSON polygon or more of them (RFC 7946), holes included.",
        "oneOf": [
            {
                "type": "object",
                "required": ["type", "coordinates"],
                "additionalProperties": False,
                "properties": {"type": {"const": word}, "coordinates": coordinates},
            }
            for word, coordinates in (("Polygon", polygon), ("MultiPolygon", several(polygon)))
        ],
    }


def _only(name: str, value: Schema) -> Schema:
    return {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: value}}


def _reference(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _finished(schema: Schema) -> Schema:
    definitions = schema.pop("$defs", {})
    return {"$schema": DIALECT, **schema, **({"definitions": definitions} if definitions else {})}


# --- AsyncAPI --------------------------------------------------------------------------------


def asyncapi() -> Schema:
    """Return the AsyncAPI document: every topic, what is on it, who writes and who reads it."""
    operations: Schema = {}
    for topic in TOPICS:
        if topic is not topics.RECORDS:
            operations[f"send.{topic.name}"] = _operation("send", topic)
        if topic not in (topics.ATTAINMENTS, topics.ACCESS_CHANGES, topics.DEAD_LETTERS):
            operations[f"receive.{topic.name}"] = _operation("receive", topic)
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Territory",
            "version": "1",
            "description": "Records in; assignments, access and attainments out. "
            "Topics named territory.internal.* are between our own services and change without notice.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": operations,
    }


def _operation(action: str, topic: Topic) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}


def _channel(topic: Topic) -> Schema:
    configuration: Schema = {"cleanup.policy": [topic.cleanup]}
    if topic.retention_days is not None:
        configuration["retention.ms"] = topic.retention_days * DAY_MS
    kafka: Schema = {"topic": topic.name, "topicConfiguration": configuration, "bindingVersion": KAFKA_BINDING_VERSION}
    if topic.partitions is not None:
        kafka["partitions"] = topic.partitions
    return {
        "address": topic.name,
        "description": topic.says,
        "messages": dict(_messages(topic)),
        "bindings": {"kafka": kafka},
        "x-written-by": topic.written_by,
        "x-read-by": topic.read_by,
        "x-public": topic.public,
    }


def _messages(topic: Topic) -> Iterable[tuple[str, Schema]]:
    for kind in EVENTS.get(topic, ()):
        says = inspect.getdoc(kind) or ""
        yield kind.__name__, _message(topic, says.partition("\n")[0], {"$ref": f"./{kind.__name__}.json"})
    if topic in TOMBSTONED:
        yield "Tombstone", _message(topic, "What the key names is gone.", {"type": "null"})
    if topic is topics.DEAD_LETTERS:
        refused = _message(topic, "A refused message: its own bytes, whatever they are.", {})
        yield "DeadLetter", {**refused, "contentType": "application/octet-stream", "headers": _error_headers()}
        receipt = _message(topic, "The message of a letter was sent again.", {"type": "null"})
        yield "Receipt", {**receipt, "headers": _receipt_headers()}


def _message(topic: Topic, says: str, payload: Mapping[str, Any]) -> Schema:
    return {
        "summary": says,
        **({"headers": _cloud_event_headers()} if topic in STATED else {}),
        "payload": {"schemaFormat": DIALECT_FORMAT, "schema": payload},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": KAFKA_BINDING_VERSION}
        },
    }


def _cloud_event_headers() -> Schema:
    says = {
        "ce_specversion": "The version of CloudEvents, 1.0.",
        "ce_id": "Equal for a repeat of the same state of the same key.",
        "ce_source": "Who says it.",
        "ce_type": "The topic.",
        "ce_subject": "The key.",
        "content-type": "application/json.",
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in says.items()},
    }


def _error_headers() -> Schema:
    names = ("topic", "partition", "offset", "stage", "code", "message")
    return {"type": "object", "properties": {f"territory.error.{name}": {"type": "string"} for name in names}}


def _receipt_headers() -> Schema:
    says = "The letter's place on this topic, as PARTITION/OFFSET."
    return {"type": "object", "properties": {"territory.receipt.letter": {"type": "string", "description": says}}}


def main(arguments: list[str]) -> int:
    """Write the files into a folder; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m territory.wire.describe FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    files = described()
    for old in folder.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
