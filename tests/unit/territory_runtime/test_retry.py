"""Actions are repeated while something is away: with bounded backoff, one log line; other errors are raised."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
import redis.exceptions
from structlog.testing import capture_logs

from territory_runtime.health import Health
from territory_runtime.retry import (
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    REDIS_AWAY,
    GivenUp,
    retry_while_unavailable,
)


class _Away:
    """An action that fails some times before it succeeds."""

    def __init__(self, failures: list[BaseException], health: Health) -> None:
        self._failures = failures
        self.health = health
        self.was_ready: list[bool] = []

    async def __call__(self) -> str:
        self.was_ready.append(not self.health.hindrances)
        if self._failures:
            raise self._failures.pop(0)
        return "done"


class _Sleeps:
    """Passes the time at once, and notes it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def retried(action: _Away, away: tuple[type[BaseException], ...] = REDIS_AWAY, **options: Any) -> str:
    """Retry an action, without waiting."""
    sleep = options.pop("sleep", _Sleeps())
    return asyncio.run(retry_while_unavailable("x", action.health, away, action, sleep=sleep, **options))


def test_an_action_is_repeated_until_it_succeeds() -> None:
    """Meanwhile the component is alive and not ready, afterwards it is ready."""
    action = _Away([ConnectionError("gone"), TimeoutError()], Health())
    assert retried(action, (ConnectionError, TimeoutError)) == "done"
    assert action.was_ready == [True, False, False]
    assert action.health.stuck() == []
    assert action.health.hindrances == {}


def test_the_backoff_doubles_up_to_a_bound() -> None:
    """A broker that comes back after an hour is noticed within seconds."""
    sleep = _Sleeps()
    retried(_Away([ConnectionError("gone")] * 12, Health()), (ConnectionError,), sleep=sleep)
    assert sleep.seconds[0] == BACKOFF_SECONDS_MIN
    for sooner, later in pairwise(sleep.seconds):
        assert later == min(2 * sooner, BACKOFF_SECONDS_MAX)
    assert max(sleep.seconds) == BACKOFF_SECONDS_MAX


def test_other_errors_are_raised() -> None:
    """An error that does not say that something is away is no reason to wait."""
    with pytest.raises(ValueError, match="a bug"):
        retried(_Away([ValueError("a bug")], Health()))


def test_stopping_ends_the_wait() -> None:
    """A process that is stopping gives up after the attempt under way, and says why."""
    action = _Away([ConnectionError("gone")] * 5, Health())
    with pytest.raises(GivenUp, match="x leaves the rest to its successor: Kafka is away"):
        retried(action, (ConnectionError,), stopping=lambda: True)
    assert len(action.was_ready) == 1


def test_a_missing_answer_is_reported() -> None:
    """A client that retries by itself, for ever, hides nothing: the component is alive, and not ready."""
    reported = asyncio.Event()

    class _Reported(Health):
        def hinder(self, part: str, why: str, cause: str = "") -> None:
            super().hinder(part, why, cause)
            reported.set()

    health = _Reported()

    async def answered_when_it_is_reported() -> str:
        await reported.wait()
        assert health.hindrances == {"x": "Kafka is away: no answer within 0 s"}
        return "done"

    with capture_logs() as lines:
        action = retry_while_unavailable("x", health, (), answered_when_it_is_reported, answer_seconds=0.0)
        assert asyncio.run(action) == "done"
    assert [line["event"] for line in lines] == ["waiting", "recovered"]
    assert health.hindrances == {}


@pytest.mark.parametrize(
    "refusal",
    [
        redis.exceptions.ResponseError("MISCONF Redis can't persist"),
        redis.exceptions.ResponseError("NOREPLICAS Not enough"),
        redis.exceptions.ResponseError("BUSY Redis is busy running a script"),
        redis.exceptions.ResponseError("The user executing the script can't run this command or subcommand"),
        redis.exceptions.NoPermissionError("this user has no permissions to run the 'evalsha' command"),
    ],
)
def test_errors_that_an_operator_ends_are_waited_out(refusal: redis.exceptions.RedisError) -> None:
    """Most have no exception class of their own; they are logged once."""
    with capture_logs() as lines:
        assert retried(_Away([refusal] * 2, Health())) == "done"
    assert [line["event"] for line in lines] == ["waiting", "recovered"]


def test_other_redis_errors_are_raised() -> None:
    """A command that Redis cannot carry out is a bug."""
    with pytest.raises(redis.exceptions.ResponseError):
        retried(_Away([redis.exceptions.ResponseError("WRONGTYPE")], Health()))
