"""Examples that the assigner's tests share: a small model, changes of records, and whole records."""

from __future__ import annotations

from typing import Any

from assigner.intake.stage import IntakeFold
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage
from territory.wire.codec import encode
from territory.wire.events import Assignment, Record, RecordChange, Released
from territory.wire.keys import family_key, record_key
from territory.wire.topics import ASSIGNMENTS, RECORDS, RELEASES, SUBSCRIPTIONS

Node = dict[str, Any]

FIELDS = {
    "account": {"country": "text", "city": "text", "revenue": "money"},
    "lead": {"country": "text"},
    "deal": {"product": "text"},
}
IN_AMERICA = {"field": "country", "in": ["US", "CA"]}
TREE: tuple[Node, ...] = (
    {"id": "world"},
    {"id": "west", "parent": "world", "rules": {"account": IN_AMERICA, "lead": IN_AMERICA}},
    {"id": "coast", "parent": "west"},
    {"id": "bay", "parent": "coast", "rules": {"account": {"field": "city", "eq": "San Francisco"}}},
    {"id": "large", "parent": "world", "rules": {"account": {"field": "revenue", "ge": 1000000}}},
    {"id": "games", "parent": "world", "rules": {"deal": {"field": "product", "starts_with": "GTX"}}},
)
"""`world` and `coast` have no rules; `games` has one for deals alone."""

SAN_FRANCISCO: Node = {"country": "US", "city": "San Francisco"}


def model_of(*territories: Node, revision: int = 1, limit: int | None = 10, org: str = "acme") -> Model:
    """Return a model of some territories, of `TREE` unless given."""
    document: Node = {
        "org": org,
        "settings": {"max_territories_per_record": limit},
        "fields": FIELDS,
        "territories": list(territories or TREE),
    }
    return compile_model(document, revision)


def change(op: str, key: str, version: int, **attributes: Any) -> RecordChange:
    """Return a change of the record `<object>/<id>`; attributes that are not given are absent."""
    object_type, record_id = key.split("/")
    document: Node = {
        "event_id": f"{key}@{version}", "org_id": "acme", "object": object_type, "id": record_id, "version": version,
        "op": op, "occurred_at": "2017-03-01T10:00:00Z", **attributes,
    }  # fmt: skip
    return RecordChange.model_validate(document)


def record(key: str, version: int = 1, **state: Any) -> Record:
    """Return the whole record `<object>/<id>`, without owner, account or fields unless given."""
    object_type, record_id = key.split("/")
    blank: dict[str, Any] = {
        "link_version": 0, "deleted": False, "owner_id": None, "account_id": None, "contact_id": None, "fields": {},
        "links": {}, "intake_partition": 3, "event_id": f"{key}@{version}", "since_ms": 1_000,
    }  # fmt: skip
    whole = blank | state
    family = family_key("acme", object_type, record_id, whole["account_id"], whole["contact_id"])
    return Record(org_id="acme", object=object_type, id=record_id, version=version, family=family, **whole)  # type: ignore[arg-type]  # one of the four, from a test


def key_of(key: str) -> str:
    """Return the whole key of `<object>/<id>`."""
    return record_key("acme", *key.split("/"))


def sent(event: Any, *, key: str | None = None, offset: int = -1, timestamp_ms: int = 0) -> InputMessage:
    """Return a change as its upstream sends it, or a release as a family does."""
    key = event.key if key is None else key
    if isinstance(event, Released):
        return InputMessage(RELEASES.name, key, encode(event), {}, timestamp_ms, offset=offset)
    raw = event.model_dump_json(exclude_unset=True).encode()
    return InputMessage(RECORDS.name, key, event, {}, timestamp_ms, len(raw), offset, raw)


def taken_in(intake: IntakeFold, *events: Any, key: str | None = None, timestamp_ms: int = 0) -> Effects:
    """Return the effects of one batch of intake; each event has its own key unless one is given."""
    effects = Effects()
    for event in events:
        intake.apply(sent(event, key=key, timestamp_ms=timestamp_ms), {}, effects)
    intake.flush({}, effects)
    return effects


def codes(effects: Effects) -> list[str]:
    """Return the codes of the refused messages."""
    return [code for _, code, _ in effects.refused]


def assignment_of(effects: Effects, key: str) -> Assignment:
    """Return the last emitted assignment of `<object>/<id>`."""
    assignment = _assignments(effects)[key_of(key)]
    assert assignment is not None
    return assignment


def emitted(effects: Effects) -> dict[str, tuple[str, ...] | None]:
    """Return the territories of the last assignment of every record, by `<object>/<id>`; None: a tombstone.

    Subscriptions to contacts of other families are left out.
    """
    return {
        key.removeprefix("acme/"): None if assignment is None else assignment.territories
        for key, assignment in _assignments(effects).items()
    }


def _assignments(effects: Effects) -> dict[str, Assignment | None]:
    last: dict[str, Assignment | None] = {}
    for message in effects.messages:
        if message.topic == SUBSCRIPTIONS.name:
            continue
        assert message.topic == ASSIGNMENTS.name
        assert message.value is None or isinstance(message.value, Assignment)
        last[message.key] = message.value
    return last
