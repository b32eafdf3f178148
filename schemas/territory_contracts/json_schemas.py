"""JSON Schemas of every event and of the model document, derived from their Python types."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from territory.criteria import OPERATORS
from territory.criteria.days import DAYS_MAX
from territory.criteria.values import FIELD_TYPES
from territory.model.document import LIST_SECTIONS
from territory.model.periods import RelativePeriod
from territory.model.pieces import OBJECTS, ORG_PATTERN, DealStage, Organisation, Piece
from territory.wire.events import RecordChange

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"
"""Draft 7: the one dialect that every AsyncAPI tool has to support."""
DIALECT_FORMAT = "application/schema+json;version=draft-07"
_REFERENCE = "#/definitions/{model}"


class _Schemas(GenerateJsonSchema):
    """Omits titles, which only repeat field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def event_schema(kind: type[Any]) -> Schema:
    """Return the JSON Schema of an event: of what we accept for upstream changes, of what we write for all others."""
    mode: JsonSchemaMode = "validation" if kind is RecordChange else "serialization"
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE, schema_generator=_Schemas)
    return _finished(schema)


def model_schema() -> Schema:
    """Return the JSON Schema of a model document, for editors.

    It covers each piece by itself. `territory validate` also checks how the pieces fit together.
    """
    kinds: list[type[Piece]] = [Organisation, DealStage, *LIST_SECTIONS.values()]
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
        "description": "Everything that one organisation decides; accepted whole or refused whole.",
        "type": "object",
        "required": ["org"],
        "additionalProperties": False,
        "properties": {
            "org": {"type": "string", "pattern": f"^{ORG_PATTERN}$"},
            **organisation,
            "fields": {
                "description": "The fields that rules may use, by object. Records may have other fields, too.",
                "type": ["object", "null"],
                "propertyNames": {"enum": list(OBJECTS)},
                "additionalProperties": {"type": "object", "additionalProperties": {"enum": list(FIELD_TYPES)}},
            },
            "stages": {"type": ["object", "null"], "additionalProperties": _reference("DealStage")},
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
    many: Schema = {"type": "array", "minItems": 1, "items": one}
    operands: dict[str, Schema] = {
        "one": one,
        "many": many,
        "one or many": {"anyOf": [one, many]},
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
            **{name: operands[operator.shape] for name, operator in OPERATORS.items()},
        },
    }
    return {
        "description": "A criteria tree: all, any and not over leaves, each with one field and one operator (C1).",
        "anyOf": [_only("all", parts), _only("any", parts), _only("not", _reference("Criteria")), leaf],
    }


_DEGREES: Schema = {"type": ["number", "string"]}


def _circle_schema() -> Schema:
    return {
        "description": "All places within a distance in kilometres of a centre, the rim included.",
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
        "description": "A GeoJSON Polygon or MultiPolygon (RFC 7946).",
        "oneOf": [
            {
                "type": "object",
                "required": ["type", "coordinates"],
                "additionalProperties": False,
                "properties": {"type": {"const": kind}, "coordinates": coordinates},
            }
            for kind, coordinates in (("Polygon", polygon), ("MultiPolygon", several(polygon)))
        ],
    }


def _only(name: str, value: Schema) -> Schema:
    return {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: value}}


def _reference(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _finished(schema: Schema) -> Schema:
    definitions = schema.pop("$defs", {})
    return {"$schema": DIALECT, **schema, **({"definitions": definitions} if definitions else {})}
