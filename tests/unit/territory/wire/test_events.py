"""Events: validation of upstream changes, and round trips of our own events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.errors import BadMessage
from territory.model.document import OBJECTS
from territory.money import amount_of
from territory.wire import events
from territory.wire.codec import MESSAGE_BYTES_MAX, decode, encode, reader_of
from territory.wire.events import (
    FIELDS_MAX,
    VERSION_MAX,
    AccessChange,
    AccessForgotten,
    Assignment,
    Event,
    Record,
    read_access_change,
    read_record_change,
)
from territory.wire.keys import parse_record_key
from tests.unit.territory.examples import CHANGE, EVENTS, FEW, dumps, json_values, read_or_code, with_changes


def without(*names: str) -> bytes:
    """Return the example of a change without some attributes."""
    return json.dumps({name: value for name, value in CHANGE.items() if name not in names}).encode()


def changed(**attributes: Any) -> bytes:
    """Return the example of a change with some attributes replaced."""
    return json.dumps({**CHANGE, **attributes}).encode()


# --- what an upstream publishes ---------------------------------------------------------------


def test_the_documented_example() -> None:
    """The documented example of a change is read without differences (contracts: RecordChange)."""
    change = with_changes()
    assert change.model_dump() == {**CHANGE, "territory_id": None, "kind": None}
    assert change.key == "acme/deal/D-1"


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0"])
def test_blank_references_are_null(blank: str) -> None:
    """An empty or blank owner, account or contact is null; in a patch it is one that was named (A13)."""
    change = read_record_change(changed(op="patch", owner_id=blank, account_id=blank, contact_id=blank))
    assert (change.owner_id, change.account_id, change.contact_id) == (None, None, None)
    assert {"owner_id", "account_id", "contact_id"} <= change.model_fields_set


def test_half_of_a_surrogate_pair_in_an_id() -> None:
    """It becomes U+FFFD, in the key as well (A13)."""
    assert read_record_change(changed(id="D\ud800")).key == "acme/deal/D\ufffd"


@pytest.mark.parametrize("occurred_at", ["yesterday", "", "x" * 100, 1488362400000, "2017-03-01T10:00:00.000+0000"])
def test_any_time_is_taken(occurred_at: object) -> None:
    """A time that can't be read refuses no change (A13)."""
    assert read_record_change(changed(occurred_at=occurred_at)).occurred_at == occurred_at


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"not json", "not_json"),
        (b"", "not_json"),
        (b'{"id": ', "not_json"),
        (b'{"id": "\xff"}', "not_json"),
        (json.dumps(CHANGE).encode("utf-16"), "not_json"),
        (changed(fields={"amount": float("nan")}), "not_json"),
        (b"[]", "wrong_type"),
        (b'"acme/deal/D-1"', "wrong_type"),
        (b"null", "wrong_type"),
        (b"17", "wrong_type"),
        (changed(fields={"x": "x" * MESSAGE_BYTES_MAX}), "too_large"),
        (changed(object="opportunity"), "unknown_object"),
        (changed(object="Deal"), "unknown_object"),
        (changed(object=None), "unknown_object"),
        (without("object"), "unknown_object"),
        (changed(op="merge"), "unknown_op"),
        (changed(op=["upsert"]), "unknown_op"),
        (without("op"), "unknown_op"),
        (without("id"), "missing_id"),
        (changed(id=""), "missing_id"),
        (changed(id=" "), "missing_id"),
        (changed(id=None), "missing_id"),
        (changed(id=7), "missing_id"),
        (changed(id="a\nb"), "missing_id"),
        (changed(id="x" * 256), "missing_id"),
        (without("org_id"), "missing_id"),
        (changed(org_id=""), "missing_id"),
        (changed(org_id="ac/me"), "missing_id"),
        (changed(org_id="{acme}"), "missing_id"),
        (without("version"), "bad_version"),
        (changed(version=0), "bad_version"),
        (changed(version=-1), "bad_version"),
        (changed(version="17"), "bad_version"),
        (changed(version=17.5), "bad_version"),
        (changed(version=True), "bad_version"),
        (changed(version=VERSION_MAX + 1), "bad_version"),
        (changed(version=10**30), "bad_version"),
        (without("event_id"), "wrong_type"),
        (changed(event_id=""), "wrong_type"),
        (without("occurred_at"), "wrong_type"),
        (changed(occurred_at=["2017-03-01"]), "wrong_type"),
        (changed(occurred_at=True), "wrong_type"),
        (changed(owner_id=7), "wrong_type"),
        (changed(account_id=["A-1"]), "wrong_type"),
        (changed(contact_id="a\nb"), "wrong_type"),
        (changed(fields=["amount"]), "wrong_type"),
        (changed(fields=None), "wrong_type"),
        (changed(fields={str(index): 1 for index in range(FIELDS_MAX + 1)}), "wrong_type"),
        (changed(op="link"), "wrong_type"),
        (changed(op="link", territory_id="west"), "wrong_type"),
        (changed(op="link", kind="assign"), "wrong_type"),
        (changed(op="link", territory_id="west", kind="move"), "wrong_type"),
        (changed(fields={"x": json.loads("[" * 300 + "]" * 300)}), "wrong_type"),
        (changed(event_id=json.loads("[" * 900 + "]" * 900)), "wrong_type"),
    ],
)
def test_codes(raw: bytes, code: str) -> None:
    """Every bad message is refused with its code (contracts: dead letters)."""
    assert read_or_code(raw) == code


def test_reasons() -> None:
    """A refusal states briefly what was found and what was expected."""
    with pytest.raises(BadMessage, match=r"version: found '0', Input should be greater than or equal to 1"):
        with_changes(version=0)
    with pytest.raises(BadMessage) as refused:
        with_changes(version=0, op="x" * 10_000, object="y", id=[], owner_id=5, fields=[])
    assert "and 3 more" in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("number", ["1e400", "1e-400", "9" * 400])
def test_a_number_beyond_a_double_does_not_refuse_the_change(number: str) -> None:
    """A change with such a number in a field is read with all of its other fields; as a version it is refused (C6)."""
    raw = changed(fields={"amount": "NUMBER", "stage": "Won"})
    change = read_record_change(raw.replace(b'"NUMBER"', number.encode()))
    assert (change.version, change.fields) == (CHANGE["version"], {"amount": number, "stage": "Won"})
    assert amount_of(change.fields["amount"]) is None
    assert read_or_code(raw.replace(b'"version": 17', b'"version": ' + number.encode())) == "bad_version"


@pytest.mark.parametrize("version", [1, VERSION_MAX, 1_510_000_000_000_000_000])
def test_versions(version: int) -> None:
    """A version is any integer from 1 to 2^63 - 1, for example nanoseconds."""
    assert with_changes(version=version).version == version


@pytest.mark.parametrize("record_id", ["a/b", "a:b", "{a}", "#1", " a ", "é", "日本", "x" * 255, "\u2028a"])
def test_ids_of_records(record_id: str) -> None:
    """Ids of records may contain nearly any character, and keys stay unambiguous."""
    change = with_changes(id=record_id)
    assert parse_record_key(change.key) == ("acme", "deal", record_id)


def test_absent_and_null_attributes_differ() -> None:
    """A change distinguishes absent attributes, which a patch leaves, from null, which it clears (A8)."""
    change = read_record_change(without("owner_id", "account_id", "fields"))
    assert "contact_id" in change.model_fields_set
    assert not {"owner_id", "account_id", "fields"} & change.model_fields_set
    assert (change.owner_id, change.contact_id, change.fields) == (None, None, {})


def test_unknown_attributes_are_ignored() -> None:
    """A change may have attributes that we don't know."""
    assert with_changes(colour="red", territory_id=None) == with_changes()


def test_size_up_to_the_bound() -> None:
    """A change of 900 000 bytes is read, one byte more is refused (contracts: RecordChange)."""
    raw = changed(fields={"x": ""})
    fits = raw.replace(b'"x": ""', b'"x": "' + b"y" * (MESSAGE_BYTES_MAX - len(raw)) + b'"')
    assert len(fits) == MESSAGE_BYTES_MAX
    change = read_record_change(fits)
    assert read_or_code(fits + b" ") == "too_large"
    record = _record(owner_id="u" * 255, account_id="a" * 255, fields=change.fields, event_id="e" * 255)
    assert reader_of(Record)(encode(record)) == record  # with its envelope


def _record(**attributes: Any) -> Record:
    whole: dict[str, Any] = {
        "org_id": "acme", "object": "deal", "id": "D-1", "version": 1, "link_version": 0, "deleted": False,
        "owner_id": None, "account_id": None, "contact_id": None, "fields": {}, "links": {"west": "assign"},
        "family": "acme/deal/D-1", "intake_partition": 7, "event_id": "9f", "since_ms": 1,
    }  # fmt: skip
    return Record(**{**whole, **attributes})


@given(st.binary(max_size=80))
def test_any_bytes(raw: bytes) -> None:
    """Random bytes are refused; no other error escapes."""
    assert read_or_code(raw) in ("not_json", "wrong_type")


@given(st.dictionaries(st.sampled_from([*CHANGE, "territory_id", "kind", "colour"]), json_values), st.data())
def test_any_near_change(odd: dict[str, Any], data: st.DataObject) -> None:
    """A change with odd values is read or refused with one of the codes; no other error escapes."""
    absent = data.draw(st.sets(st.sampled_from(sorted(CHANGE)), max_size=2))
    raw = dumps({name: value for name, value in {**CHANGE, **odd}.items() if name not in absent})
    change = read_or_code(raw)
    if isinstance(change, str):
        assert change in ("wrong_type", "unknown_object", "unknown_op", "missing_id", "bad_version")
        assert odd or absent - {"owner_id", "account_id", "contact_id", "fields"}
    else:
        assert absent <= {"owner_id", "account_id", "contact_id", "fields"}
        assert read_record_change(encode(change.model_dump(exclude_unset=True))) == change
        assert 1 <= change.version <= VERSION_MAX


@given(st.binary(max_size=3), st.data())
def test_any_damaged_change(damage: bytes, data: st.DataObject) -> None:
    """A change damaged in transit is refused, or read if the damage is inside a text or a number."""
    whole = changed()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    change = read_or_code(whole[:start] + damage + whole[end:])
    assert isinstance(change, str) or change.object in OBJECTS


# --- what we write ourselves ------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(st.data())
@FEW
def test_round_trips(kind: Any, data: st.DataObject) -> None:
    """Every event that we write is read back equal, with amounts, long numbers and all of Unicode (F10)."""
    event = data.draw(EVENTS[kind])
    assert reader_of(kind)(encode(event)) == event


@pytest.mark.parametrize("kind", [Record, Assignment], ids=lambda kind: kind.__name__)
@given(st.data())
@FEW
def test_messages_of_other_versions(kind: Any, data: st.DataObject) -> None:
    """A reader ignores attributes of a newer writer, and refuses missing attributes and other types."""
    read, document = reader_of(kind), decode(encode(data.draw(EVENTS[kind])))
    newer = document | {"since_added": 1}
    if document.get("deal"):
        newer["deal"] = document["deal"] | {"since_added": 1}
    assert read(encode(newer)) == read(encode(document))
    lacking = data.draw(st.sampled_from(["org_id", "object", "id", "version", "owner_id"]))
    with pytest.raises(BadMessage, match=lacking):
        read(encode({name: value for name, value in document.items() if name != lacking}))
    other = {"version": "1", "since_ms": 1.5, "links": 7}
    name = data.draw(st.sampled_from(sorted(other)))
    with pytest.raises(BadMessage) as bad:
        read(encode(document | {name: other[name]}))
    assert bad.value.code == "wrong_type"
    for nothing in (b"[]", b"7", b"null", b'"text"'):
        with pytest.raises(BadMessage):
            read(nothing)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_events_are_values(kind: type[Any]) -> None:
    """Events are frozen, start with the organisation's id, and document their topic."""
    assert issubclass(kind, Event)
    assert kind.__struct_config__.frozen
    assert kind.__struct_fields__[0] == "org_id"
    assert "Topic" in (kind.__doc__ or "")


def test_every_event_is_covered() -> None:
    """These tests cover every event class with a topic."""
    named = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and "Topic" in (kind.__doc__ or "")
    }
    assert named == set(EVENTS)


def test_new_attributes_are_optional() -> None:
    """An older message without newer attributes is read (README: how to change the language)."""
    raw = b'{"org_id": "acme", "object": "deal", "id": "D-1", "version": 1, "model_revision": 2, "owner_id": null'
    assignment = reader_of(Assignment)(raw + b', "links": []}')
    assert assignment.key == "acme/deal/D-1"
    assert (assignment.territories, assignment.cut, assignment.deal, assignment.since_ms) == ((), (), None, 0)
    assert assignment.shared == ()
    with pytest.raises(BadMessage, match="links"):
        reader_of(Assignment)(raw + b"}")


@given(*[st.integers(0, 3)] * 4)
def test_the_order_of_a_record_s_states(version: int, link_version: int, version2: int, link_version2: int) -> None:
    """States of a record are ordered by version, then by link version (A9)."""
    one = _record(version=version, link_version=link_version)
    other = _record(version=version2, link_version=link_version2)
    if one.version != other.version:
        assert (one.order < other.order) is (one.version < other.version)
    else:
        assert (one.order < other.order) is (one.link_version < other.link_version)


@given(st.data())
@FEW
def test_access_changes_and_resets_are_distinguished(data: st.DataObject) -> None:
    """Both events of the access topic are decoded as their own class, whatever ids they contain (V8)."""
    for kind in (AccessChange, AccessForgotten):
        event = data.draw(EVENTS[kind])
        assert read_access_change(encode(event)) == event
    with pytest.raises(BadMessage):
        read_access_change(b"{}")
