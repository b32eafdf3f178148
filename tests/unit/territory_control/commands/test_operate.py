from __future__ import annotations

from territory_control.commands.operate import local_workers
from territory_control.local.registry import RunningStack

ONE = RunningStack(1, "127.0.0.1:9092", "redis://127.0.0.1:6379/0", {"assigner": "http://127.0.0.1:9464"}, "")
TWO = RunningStack(2, "127.0.0.1:9093", "redis://127.0.0.1:6380/0", {"assigner": "http://127.0.0.1:9470"}, "")
KAFKA = "TERRITORY_KAFKA_BOOTSTRAP_SERVERS"


def test_top_finds_the_workers_of_the_stack_that_the_terminal_uses() -> None:
    """The environment names the stack; without it the workers of all stacks are shown."""
    assert local_workers([ONE, TWO], {KAFKA: TWO.kafka}) == ["127.0.0.1:9470"]
    assert local_workers([ONE, TWO], {}) == ["127.0.0.1:9464", "127.0.0.1:9470"]
    assert local_workers([ONE], {KAFKA: "kafka-1:9092"}) == []
    assert local_workers([], {}) == []
