"""What Kafka clients are configured with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from territory_runtime.kafka.assignor import CopartitionedAssignor
from territory_runtime.kafka.clients import heartbeat_ms, membership
from territory_runtime.settings import read_settings


@pytest.mark.parametrize(("session_seconds", "expected_ms"), [(1.0, 300), (10.0, 1_000), (300.0, 3_000)])
def test_heartbeats_are_far_more_frequent_than_sessions_end(session_seconds: float, expected_ms: int) -> None:
    """And frequent enough that a member learns of a rebalance soon, however long its session is."""
    assert heartbeat_ms(session_seconds) == expected_ms


def test_static_members_have_an_id_in_each_group() -> None:
    """One process has a member in several groups; without the setting membership is dynamic (KIP-345)."""
    static = read_settings({"TERRITORY_KAFKA_GROUP_INSTANCE_ID": "assigner-0"})
    ids = [
        membership(settings, group, CopartitionedAssignor())["group_instance_id"]
        for settings in (static, read_settings({}))
        for group in ("assigner-intake", "assigner-assignment")
    ]
    assert ids == ["assigner-0-assigner-intake", "assigner-0-assigner-assignment", None, None]


def test_members_use_the_assignor_that_they_are_given() -> None:
    """It is the only protocol that a member offers: aiokafka joins once for each."""
    assignor = CopartitionedAssignor()
    assert membership(read_settings({}), "g", assignor)["partition_assignment_strategy"] == (assignor,)


def test_the_command_line_does_without_faust() -> None:
    """Whoever imports our Kafka clients does not wait for a stream framework to be imported."""
    program = (
        "import sys, territory_runtime.kafka.clients as _; sys.exit('faust' in sys.modules or 'mode' in sys.modules)"
    )
    assert subprocess.run((sys.executable, "-c", program), check=False).returncode == 0
