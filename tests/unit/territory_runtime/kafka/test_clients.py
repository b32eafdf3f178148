"""What clients of the broker are given."""

from __future__ import annotations

import pytest

from territory_runtime.kafka.clients import heartbeat_ms


@pytest.mark.parametrize(("session_seconds", "expected_ms"), [(1.0, 300), (10.0, 1_000), (300.0, 3_000)])
def test_heartbeats_are_far_more_often_than_sessions_end(session_seconds: float, expected_ms: int) -> None:
    """And often enough to hear soon of others who come, however long a session is."""
    assert heartbeat_ms(session_seconds) == expected_ms
