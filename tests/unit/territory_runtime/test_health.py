"""Whether a process is live and ready."""

from __future__ import annotations

from territory_runtime.health import PROGRESS_SECONDS_MAX, Health


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_not_ready_before_any_part_has_run() -> None:
    """A process of which no part has finished an iteration is not ready."""
    assert not Health().ready


def test_one_part_that_is_not_ready_is_enough() -> None:
    """A process is ready when its parts run and none reports a reason."""
    health = Health()
    health.beat("model")
    health.hinder("access-indexer redis", "ConnectionError: refused")
    assert not health.ready
    assert health.hindrances == {"access-indexer redis": "ConnectionError: refused"}
    health.clear("access-indexer redis")
    assert health.ready


def test_a_part_without_progress_is_stuck() -> None:
    """A part that has not finished an iteration for two minutes is named."""
    clock = _Clock()
    health = Health(clock)
    health.beat("a")
    clock.now = PROGRESS_SECONDS_MAX / 2
    health.beat("b")
    clock.now = PROGRESS_SECONDS_MAX + 1
    assert health.stuck() == ["a"]


def test_reasons_are_kept_by_cause() -> None:
    """Kafka's return does not hide that Redis is still away; clearing a part clears every cause."""
    health = Health()
    health.beat("a")
    health.hinder("a", "Kafka is away", cause="Kafka")
    health.hinder("a", "Redis is away", cause="Redis")
    assert health.hindrances == {"a": "Kafka is away; Redis is away"}
    health.clear("a", cause="Kafka")
    assert health.hindrances == {"a": "Redis is away"}
    health.clear("a")
    health.clear("a", cause="Kafka")
    assert health.ready
