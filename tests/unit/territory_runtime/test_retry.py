"""Waiting for what is away: tried again, told once, other errors let through."""

from __future__ import annotations

import asyncio

import pytest
import redis.exceptions
from structlog.testing import capture_logs

from territory_runtime.health import Health
from territory_runtime.retry import REDIS_AWAY, GivenUp, retry_while_unavailable


class _Away:
    """An action that fails some times before it succeeds."""

    def __init__(self, failures: list[BaseException], health: Health) -> None:
        self._failures = failures
        self.health = health
        self.hindered: list[bool] = []

    async def __call__(self) -> str:
        self.hindered.append(bool(self.health.hindrances))
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def test_tries_again_until_it_is_back() -> None:
    """What is away is waited for; meanwhile the part is not ready, afterwards it is."""
    health = Health()
    action = _Away([ConnectionError("gone"), TimeoutError()], health)
    assert asyncio.run(retry_while_unavailable("x", health, (ConnectionError, TimeoutError), action)) == "done"
    assert action.hindered == [False, True, True]
    assert health.stuck() == []
    assert health.hindrances == {}


def test_other_errors_come_through() -> None:
    """An error that is not about something being away is not waited out."""
    health = Health()
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(retry_while_unavailable("x", health, REDIS_AWAY, _Away([ValueError("a bug")], health)))


def test_stopping_ends_the_wait() -> None:
    """A process that is stopping gives up after the attempt, and says that this is why."""
    health = Health()
    action = _Away([ConnectionError("gone")] * 5, health)
    with pytest.raises(GivenUp, match="x leaves to its successor what it could not do: Kafka is away"):
        asyncio.run(retry_while_unavailable("x", health, (ConnectionError,), action, stopping=lambda: True))
    assert len(action.hindered) == 1


def test_no_answer_is_told() -> None:
    """A client that tries again by itself, for ever, hides nothing: the part is alive, not ready, and goes on."""
    told = asyncio.Event()

    class Heard(Health):
        def hinder(self, part: str, why: str, cause: str = "") -> None:
            super().hinder(part, why, cause)
            told.set()

    health = Heard()

    async def answered_when_it_is_told() -> str:
        await told.wait()
        assert health.hindrances == {"x": "Kafka is away: no answer within 0 s"}
        return "done"

    with capture_logs() as lines:
        assert (
            asyncio.run(retry_while_unavailable("x", health, (), answered_when_it_is_told, answer_seconds=0.0))
            == "done"
        )
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
def test_refusals_that_an_operator_ends(refusal: redis.exceptions.RedisError) -> None:
    """Most have no kind of their own; they are waited out, and told once."""
    away = _Away([refusal] * 2, Health())
    with capture_logs() as lines:
        assert asyncio.run(retry_while_unavailable("x", away.health, REDIS_AWAY, away)) == "done"
    assert [line["event"] for line in lines] == ["waiting", "recovered"]


def test_other_refusals_come_through() -> None:
    """A command that Redis can't do is a bug."""
    away = _Away([redis.exceptions.ResponseError("WRONGTYPE")], Health())
    with pytest.raises(redis.exceptions.ResponseError):
        asyncio.run(retry_while_unavailable("x", away.health, REDIS_AWAY, away))
