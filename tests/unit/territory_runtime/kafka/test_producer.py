"""CloudEvents attributes on public topics."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from territory.wire.topics import ASSIGNMENTS, FAMILIES
from territory_runtime.kafka.producer import PUBLIC, cloud_event


def test_required_attributes_are_there() -> None:
    """CloudEvents 1.0 asks for specversion, id, source and type; the subject is the key."""
    headers = dict(cloud_event(ASSIGNMENTS.name, b"acme/account/A-1", b"{}"))
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == ASSIGNMENTS.name.encode()
    assert headers["ce_subject"] == b"acme/account/A-1"
    assert headers["ce_id"]
    assert headers["ce_source"]


@given(st.binary(), st.binary(), st.binary())
def test_same_state_same_id(key: bytes, one: bytes, other: bytes) -> None:
    """A repeat bears the same id; another state bears another."""
    first = dict(cloud_event("t", key, one))["ce_id"]
    assert first == dict(cloud_event("t", key, one))["ce_id"]
    assert (first == dict(cloud_event("t", key, other))["ce_id"]) == (one == other)


def test_only_public_topics_bear_them() -> None:
    """Topics between our own stages carry none: they cost a tenth of the throughput."""
    assert ASSIGNMENTS.name in PUBLIC
    assert FAMILIES.name not in PUBLIC
