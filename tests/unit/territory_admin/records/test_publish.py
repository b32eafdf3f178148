from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.errors import BadMessage
from territory.wire.codec import encode
from territory.wire.events import RecordChange, read_record_change
from territory_admin.models.apply import messages_of
from territory_admin.models.topic import ModelLog
from territory_admin.records import publish as publishing
from territory_admin.records.publish import LINE_BYTES_MAX, Census, message_as_is, message_of
from tests.unit.territory_admin.models.test_apply import NOW, checked, sent


def line(**changed: Any) -> bytes:
    change = {
        "event_id": "e1", "org_id": "acme", "object": "deal", "id": "D-1", "version": 1, "op": "upsert",
        "occurred_at": "2017-03-01T10:00:00Z", "fields": {"amount": 1.50},
    }  # fmt: skip
    return json.dumps({**change, **changed}).encode()


def test_a_line_is_sent_unchanged_under_its_records_key() -> None:
    """The bytes on the topic are those of the file, so no number loses digits."""
    raw = line(unknown="kept", fields={"amount": 12345678901234567890.10})
    message = message_of(raw, 8)
    assert (message.topic, message.key) == ("crm.records.v1", "acme/deal/D-1")
    assert encode(message.value) == raw


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "not_json"),
        (line(object="order"), "unknown_object"),
        (line(op="merge"), "unknown_op"),
        (line(version=0), "bad_version"),
        (line(id=""), "missing_id"),
        (line(fields=[]), "wrong_type"),
        (line(fields={"text": "x" * 900_000}), "too_large"),
    ],
)
def test_a_line_that_the_services_would_refuse_is_refused(raw: bytes, code: str) -> None:
    """A refused line has the code that its dead letter would have (contracts: RecordChange)."""
    with pytest.raises(BadMessage) as refused:
        message_of(raw, 8)
    assert refused.value.code == code


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_can_be_sent_as_is(raw: bytes) -> None:
    """To try dead letters, any line is sent unchanged, under a key that the services can read."""
    message = message_as_is(raw, 7, "acme", 8)
    assert encode(message.value) == raw
    assert message.key.count("/") >= 2


def test_a_line_as_is_gets_the_key_that_it_names() -> None:
    """A change that is refused for its content is then not refused for its key."""
    assert message_as_is(line(version=0), 7, "demo", 8).key == "acme/deal/D-1"
    assert message_as_is(b"[1]", 7, "demo", 8).key == "demo/line/7"
    assert message_as_is(line(id="x" * 1000), 7, "demo", 8).key == "demo/line/7"
    assert message_as_is(line(id=5), 7, "demo", 8).key == "demo/line/7"


def test_a_line_that_is_too_large_is_always_refused() -> None:
    """A line above the size limit of a message is refused without being sent."""
    with pytest.raises(BadMessage) as refused:
        message_as_is(b"x" * (LINE_BYTES_MAX + 1), 1, "demo", 8)
    assert refused.value.code == "too_large"


def change(org_id: str, owner_id: str | None) -> RecordChange:
    document = {"event_id": "e", "org_id": org_id, "object": "account", "id": "A", "version": 1, "op": "upsert",
                "occurred_at": "2017-01-01T00:00:00Z", "owner_id": owner_id}  # fmt: skip
    return read_record_change(json.dumps(document).encode())


def test_what_no_one_will_see_is_counted() -> None:
    """Records of other organisations, of organisations without a model, and of unknown owners are named (V1, V10)."""
    model = {"org": "acme", "roles": [{"id": "r"}], "users": [{"id": "ann", "role": "r"}], "groups": [{"id": "q"}]}
    log = ModelLog()
    sent(log, messages_of("acme", log, checked(model).pieces, NOW), 0)
    census = Census("acme", log)
    for org_id, owner_id in (("acme", "ann"), ("acme", "q"), ("acme", None), ("acme", "zoe"), ("acme", "zoe"),
                             ("beta", "zoe")):  # fmt: skip
        census.count(change(org_id, owner_id))
    assert census.result() == ({"beta": 1}, ("beta",), {"acme/zoe": 2})


def test_listed_owners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose owners are all unknown takes no more memory than the owners that are listed."""
    monkeypatch.setattr(publishing, "LISTED_OWNERS_MAX", 2)
    log = ModelLog()
    sent(log, messages_of("acme", log, checked({"org": "acme"}).pieces, NOW), 0)
    census = Census("acme", log)
    for owner_id in ("a", "b", "c", "a"):
        census.count(change("acme", owner_id))
    assert census.result()[2] == {"acme/a": 2, "acme/b": 1}
