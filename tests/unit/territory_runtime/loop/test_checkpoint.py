"""What follows from a turn is said and stored at the same time, and neither is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from territory.stage import Effects, Message
from territory_runtime.kafka.producer import FencedProducer
from territory_runtime.loop.checkpoint import perform
from territory_runtime.loop.stage import Sink

EFFECTS = Effects(messages=[Message("said", "a", None, "a")], state=[Message("kept", "a", None, "a")], changes=["in"])


class Refused(Exception):
    """Raised by either side where a test says so."""


class Outside:
    """A broker and a store that answer when a test lets them, or refuse."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.may_send, self.may_store = asyncio.Event(), asyncio.Event()
        self.refused: set[str] = set()

    async def send(self, messages: list[Message], encoded: dict[int, bytes]) -> None:
        await self.may_send.wait()
        if messages[0].topic in self.refused:
            raise Refused(messages[0].topic)
        self.heard.append(messages[0].topic)

    async def apply(self, changes: list[str], progress: list[Any]) -> None:
        await self.may_store.wait()
        if "store" in self.refused:
            raise Refused("store")
        self.heard += changes

    async def perform(self) -> None:
        async def retry_while_unavailable(
            action: Callable[[], Awaitable[Any]], away: tuple[type[BaseException], ...] = (), what: str = ""
        ) -> Any:
            return await action()

        await perform(EFFECTS, [], cast(FencedProducer, self), cast(Sink, self), retry_while_unavailable)


async def some_steps() -> None:
    """Let what can go on do so: all of it is in this process."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_store_does_not_wait_for_the_broker() -> None:
    """And nothing is over before the broker has acknowledged all: offsets may be committed then."""

    async def heard() -> list[list[str]]:
        outside = Outside()
        outside.may_store.set()
        performing = asyncio.create_task(outside.perform())
        await some_steps()
        assert not performing.done()
        meanwhile = list(outside.heard)
        outside.may_send.set()
        await performing
        return [meanwhile, outside.heard]

    assert asyncio.run(heard()) == [["in"], ["in", "said", "kept"]]


def test_the_broker_does_not_wait_for_the_store() -> None:
    """Messages go before the state; and it is not over before all is stored."""

    async def heard() -> list[str]:
        outside = Outside()
        outside.may_send.set()
        performing = asyncio.create_task(outside.perform())
        await some_steps()
        assert not performing.done()
        outside.may_store.set()
        await performing
        return outside.heard

    assert asyncio.run(heard()) == ["said", "kept", "in"]


def test_what_can_not_be_said_is_raised_though_the_store_is_away() -> None:
    """Else a lost partition would be noticed when Redis comes back, hours later."""

    async def refused() -> list[str]:
        outside = Outside()
        outside.refused = {"said"}
        outside.may_send.set()
        with pytest.raises(Refused, match="said"):
            await outside.perform()
        assert len(asyncio.all_tasks()) == 1  # nothing goes on behind anybody's back
        return outside.heard

    assert asyncio.run(refused()) == []


def test_what_can_not_be_stored_is_raised_when_all_is_said() -> None:
    """A repeat must not overtake what is on its way."""

    async def refused() -> list[str]:
        outside = Outside()
        outside.refused = {"store"}
        outside.may_store.set()
        performing = asyncio.create_task(outside.perform())
        await some_steps()
        assert not performing.done()
        outside.may_send.set()
        with pytest.raises(Refused, match="store"):
            await performing
        return outside.heard

    assert asyncio.run(refused()) == ["said", "kept"]
