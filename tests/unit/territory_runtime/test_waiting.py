"""Waiting for what is away: tried again, told once, other errors let through."""

from __future__ import annotations

import asyncio

import pytest

from territory_runtime.health import Health
from territory_runtime.waiting import REDIS_AWAY, until_done


class _Away:
    """An action that fails some times before it succeeds."""

    def __init__(self, failures: list[BaseException], health: Health) -> None:
        self._failures = failures
        self._health = health
        self.hindered: list[bool] = []

    async def __call__(self) -> str:
        self.hindered.append(bool(self._health.hindrances))
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def test_tries_again_until_it_is_back() -> None:
    """What is away is waited for; meanwhile the part is not ready, afterwards it is."""
    health = Health()
    action = _Away([ConnectionError("gone"), TimeoutError()], health)
    assert asyncio.run(until_done("x", health, (ConnectionError, TimeoutError), action)) == "done"
    assert action.hindered == [False, True, True]
    assert health.stuck() == []
    assert health.hindrances == {}


def test_other_errors_come_through() -> None:
    """An error that is not about something being away is not waited out."""
    health = Health()
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(until_done("x", health, REDIS_AWAY, _Away([ValueError("a bug")], health)))


def test_stopping_ends_the_wait() -> None:
    """A process that is stopping gives up after the attempt."""
    health = Health()
    action = _Away([ConnectionError("gone")] * 5, health)
    with pytest.raises(ConnectionError):
        asyncio.run(until_done("x", health, (ConnectionError,), action, stopping=lambda: True))
    assert len(action.hindered) == 1
