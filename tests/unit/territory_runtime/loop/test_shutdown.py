"""Letting go at the end: in order, and within a bound."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from territory_runtime.loop.shutdown import drain_and_leave


class Part:
    """Something that is stopped, or never answers."""

    def __init__(self, name: str, stopped: list[str], *, answers: bool = True) -> None:
        self._name = name
        self._stopped = stopped
        self._answers = answers

    async def stop(self) -> None:
        if not self._answers:
            await asyncio.Event().wait()
        self._stopped.append(self._name)


def test_queued_messages_are_sent_before_the_group_is_left() -> None:
    """Else they could arrive after a successor's output (A9)."""
    stopped: list[str] = []
    asyncio.run(drain_and_leave("x", Part("sender", stopped), Part("member", stopped)))
    assert stopped == ["sender", "member"]


def test_what_can_not_be_sent_keeps_the_group_from_being_left() -> None:
    """The stop ends all the same, with one line; nobody is assigned the partitions while a send may still happen."""
    stopped: list[str] = []
    with capture_logs() as lines:
        asyncio.run(drain_and_leave("x", Part("sender", stopped, answers=False), Part("member", stopped), seconds=0.0))
    assert stopped == []
    assert [(line["event"], line["stage"]) for line in lines] == [("stopped without leaving the group", "x")]


def test_a_group_that_does_not_answer_is_not_waited_for() -> None:
    """The session ends by itself."""
    stopped: list[str] = []
    with capture_logs() as lines:
        asyncio.run(drain_and_leave("x", Part("sender", stopped), Part("member", stopped, answers=False), seconds=0.01))
    assert stopped == ["sender"]
    assert len(lines) == 1


def test_it_is_not_cut_short() -> None:
    """A cancelled shutdown flushes and leaves all the same: else the group waits for its session to end."""
    stopped: list[str] = []
    begun, may_end = asyncio.Event(), asyncio.Event()

    class Slow:
        async def stop(self) -> None:
            begun.set()
            await may_end.wait()
            stopped.append("sender")

    async def play() -> None:
        letting = asyncio.ensure_future(drain_and_leave("x", Slow(), Part("member", stopped)))
        await begun.wait()
        letting.cancel()
        await asyncio.sleep(0)
        may_end.set()
        await letting

    asyncio.run(play())
    assert stopped == ["sender", "member"]
