"""The AsyncAPI document: every topic with its key, its messages, and who writes and reads it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from territory.wire import events, topics
from territory.wire.topics import DAY_MS, TOPICS, Topic
from territory_contracts.json_schemas import DIALECT_FORMAT, Schema

ASYNCAPI_VERSION = "3.0.0"
KAFKA_BINDING_VERSION = "0.5.0"

EVENTS: dict[Topic, tuple[type[Any], ...]] = {
    topics.RECORDS: (events.RecordChange,),
    topics.MODEL: (events.ModelPiece, events.ModelActivated),
    topics.ASSIGNMENTS: (events.Assignment,),
    topics.ATTAINMENTS: (events.Attainment,),
    topics.ACCESS_CHANGES: (events.AccessChange, events.AccessForgotten),
    topics.RECORD_STATES: (events.Record,),
    topics.FAMILIES: (events.Record,),
    topics.RELEASES: (events.Released, events.RecordChange, events.Record),
    topics.SUBSCRIPTIONS: (events.Record, events.Subscription),
    topics.PARTIALS: (events.Partial, events.SourceSwept),
    topics.FROZEN: (events.Frozen,),
}
"""The events on each topic. Dead letters carry the bytes of others and are not listed."""

TOMBSTONED = (
    *(topics.MODEL, topics.ASSIGNMENTS, topics.ATTAINMENTS),
    *(topics.FAMILIES, topics.SUBSCRIPTIONS, topics.PARTIALS, topics.FROZEN),
)
"""Topics where a null value means that the entity of the key is gone."""

WITH_CLOUD_EVENT_HEADERS = (topics.ASSIGNMENTS, topics.ATTAINMENTS, topics.ACCESS_CHANGES)
"""Topics that our services write for outsiders: their messages carry CloudEvents headers."""


def asyncapi() -> Schema:
    """Return the AsyncAPI document. Our services send or receive on every channel."""
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
            "Topics named territory.internal.* connect our own services and may change with any release.",
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
        "description": topic.description,
        "messages": dict(_messages(topic)),
        "bindings": {"kafka": kafka},
        "x-written-by": topic.written_by,
        "x-read-by": topic.read_by,
        "x-public": topic.public,
    }


def _messages(topic: Topic) -> Iterable[tuple[str, Schema]]:
    for kind in EVENTS.get(topic, ()):
        description = inspect.getdoc(kind) or ""
        yield kind.__name__, _message(topic, description.partition("\n")[0], {"$ref": f"./{kind.__name__}.json"})
    if topic in TOMBSTONED:
        yield "Tombstone", _message(topic, "The entity that the key names is gone.", {"type": "null"})
    if topic is topics.DEAD_LETTERS:
        refused = _message(topic, "A refused message, with its original bytes.", {})
        yield "DeadLetter", {**refused, "contentType": "application/octet-stream", "headers": _error_headers()}
        receipt = _message(topic, "Records that the message of a dead letter was sent again.", {"type": "null"})
        yield "Receipt", {**receipt, "headers": _receipt_headers()}


def _message(topic: Topic, summary: str, payload: Mapping[str, Any]) -> Schema:
    return {
        "summary": summary,
        **({"headers": _cloud_event_headers()} if topic in WITH_CLOUD_EVENT_HEADERS else {}),
        "payload": {"schemaFormat": DIALECT_FORMAT, "schema": payload},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": KAFKA_BINDING_VERSION}
        },
    }


def _cloud_event_headers() -> Schema:
    descriptions = {
        "ce_specversion": "The version of CloudEvents, 1.0.",
        "ce_id": "The same for every repetition of one state of one key.",
        "ce_source": "The service that wrote the message.",
        "ce_type": "The topic.",
        "ce_subject": "The key.",
        "content-type": "application/json.",
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in descriptions.items()},
    }


def _error_headers() -> Schema:
    names = ("topic", "partition", "offset", "stage", "code", "message")
    return {"type": "object", "properties": {f"territory.error.{name}": {"type": "string"} for name in names}}


def _receipt_headers() -> Schema:
    letter = {"type": "string", "description": "Partition and offset of the dead letter, as PARTITION/OFFSET."}
    return {"type": "object", "properties": {"territory.receipt.letter": letter}}
