"""Messages as they are decoded, before a fold hears of them."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory.wire.codec import decode
from territory.wire.events import read_record_change
from territory_runtime.loop.decoding import decode_message

KEY = "acme/account/A-1"


def consumed(value: bytes | None, key: bytes | None = KEY.encode(), **other: Any) -> Any:
    """Return a message as the consumer hands it over."""
    said: dict[str, Any] = {
        "topic": "t", "partition": 3, "offset": 40, "timestamp": 7_000, "timestamp_type": 0, "checksum": None,
        "serialized_key_size": 0, "serialized_value_size": 0, "headers": (),
    }  # fmt: skip
    return ConsumerRecord(key=key, value=value, **(said | other))


def test_message_is_decoded() -> None:
    """Topic, key, event, headers as text, time and size (conventions: events, topics, keys)."""
    headers = (("why", "é".encode()), ("none", None), ("bytes", b"\xff"))
    incoming = decode_message(consumed(b'{"a": 1}', headers=headers), decode)
    assert incoming._replace(offset=-1) == InputMessage(
        "t", KEY, {"a": 1}, {"why": "é", "none": "", "bytes": "\udcff"}, timestamp_ms=7_000, size=8, raw=b'{"a": 1}'
    )


def test_message_has_its_offset() -> None:
    """What was refused before its record came is known by its place when the turn is repeated (A9)."""
    assert decode_message(consumed(None), decode).offset == 40


def test_no_value_is_no_event() -> None:
    """A tombstone is not decoded: no event (contracts: Topics)."""
    assert decode_message(consumed(None), decode).event is None


@pytest.mark.parametrize("key", [None, b"", b"A-1", b"acme/A-1", b"\xff"])
def test_key_that_is_none_of_ours(key: bytes | None) -> None:
    """Refused before its value is looked at, with what was found and expected (contracts: Refused)."""
    with pytest.raises(BadMessage, match="expected <org>/<object>/<id>") as refused:
        decode_message(consumed(b"not json", key), decode)
    assert refused.value.code == "wrong_key"


def test_ids_may_hold_slashes() -> None:
    """The record's id comes last, so that it may hold anything (contracts: Topics)."""
    assert decode_message(consumed(None, b"acme/account/A/1"), decode).key == "acme/account/A/1"


@pytest.mark.parametrize(("value", "code"), [(b"", "not_json"), (b"{", "not_json"), (b"[]", "wrong_type")])
def test_value_that_its_reader_refuses(value: bytes, code: str) -> None:
    """The reader's own code goes through (contracts: Refused)."""
    with pytest.raises(BadMessage) as refused:
        decode_message(consumed(value), read_record_change)
    assert refused.value.code == code
