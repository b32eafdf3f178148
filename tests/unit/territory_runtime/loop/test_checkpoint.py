"""The end of a batch: everything is published before anything is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from territory.stage import Effects, Fold, Message
from territory.wire.topics import ASSIGNMENTS
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.loop.batch import Batch
from territory_runtime.loop.checkpoint import Checkpoint
from territory_runtime.loop.partition_task import PartitionTask
from territory_runtime.loop.ports import Committed, TopicPartition
from territory_runtime.loop.stage import Stage
from tests.support.memory_log import Consumed

LETTER = DeadLetter.of(Consumed("in", 0, 3, 7, b"k", b"v", ()), "s", code="c", reason="r")


class Refused(Exception):
    """Raised by a port where a test says so."""


class Outside:
    """A broker and a sink that answer when a test lets them, or refuse."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.may_send, self.may_store = asyncio.Event(), asyncio.Event()
        self.refused: set[str] = set()
        self.fences = self

    async def send(self, messages: Sequence[Message], encoded: dict[int, bytes]) -> None:
        await self.may_send.wait()
        self._do(messages[0].topic)

    async def send_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self.may_send.wait()
        self._do("dead letters")

    async def apply(self, changes: list[str], progress: list[Any]) -> None:
        await self.may_store.wait()
        self._do("sink")

    def write_sequence(self, partition: int) -> int:
        return 8

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        self._do("commit " + " ".join(str(committed) for _, committed in sorted(offsets.items())))

    def _do(self, what: str) -> None:
        if what in self.refused:
            raise Refused(what)
        self.done.append(what)

    async def run(self) -> None:
        """Run a checkpoint of a batch with output of every kind."""

        async def retry(
            action: Callable[[], Awaitable[Any]],
            away: tuple[type[BaseException], ...] = (),
            what: str = "",
            seconds: float | None = None,
        ) -> Any:
            return await action()

        fold: Any = _Fold()
        stage = Stage(
            "s", {ASSIGNMENTS: bytes}, (ASSIGNMENTS, bytes), make=lambda *_: cast(Fold, fold), store=cast(Any, self)
        )
        task = PartitionTask(fold, {ASSIGNMENTS.name: 5})
        task.epoch = 1
        effects = Effects([Message("outputs", "a", None, "a")], [Message("changelog", "a", None, "a")], ["change"])
        await Checkpoint(stage, cast(Any, self), self.commit, retry).run(Batch(effects, [LETTER], {0: task}))


class _Fold:
    unfinished_from = None

    def __len__(self) -> int:
        return 0


COMMIT = f"commit {Committed(5, '-1 # 1 8')}"


async def some_steps() -> None:
    """Let what can go on do so: all of it is in this process."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_steps_are_in_order() -> None:
    """Outputs and dead letters, then the changelog, then the commit, which has the sink's new write sequence (A9)."""

    async def run() -> list[str]:
        outside = Outside()
        outside.may_send.set()
        outside.may_store.set()
        await outside.run()
        return [step for step in outside.done if step != "sink"]

    assert asyncio.run(run()) == ["outputs", "dead letters", "changelog", COMMIT]


def test_the_sink_does_not_wait_for_the_broker() -> None:
    """Nothing is committed before the broker has acknowledged everything."""

    async def run() -> list[list[str]]:
        outside = Outside()
        outside.may_store.set()
        checkpoint = asyncio.create_task(outside.run())
        await some_steps()
        assert not checkpoint.done()
        meanwhile = list(outside.done)
        outside.may_send.set()
        await checkpoint
        return [meanwhile, outside.done]

    assert asyncio.run(run()) == [["sink"], ["sink", "outputs", "dead letters", "changelog", COMMIT]]


def test_the_broker_does_not_wait_for_the_sink() -> None:
    """Nothing is committed before the sink has everything."""

    async def run() -> list[str]:
        outside = Outside()
        outside.may_send.set()
        checkpoint = asyncio.create_task(outside.run())
        await some_steps()
        assert not checkpoint.done()
        outside.may_store.set()
        await checkpoint
        return outside.done

    assert asyncio.run(run()) == ["outputs", "dead letters", "changelog", "sink", COMMIT]


@pytest.mark.parametrize("refused", ["outputs", "dead letters", "changelog"])
def test_a_failed_send_is_raised_though_the_sink_is_away(refused: str) -> None:
    """Nothing is committed. Otherwise a lost partition would be noticed when Redis comes back, hours later."""

    async def run() -> list[str]:
        outside = Outside()
        outside.refused = {refused}
        outside.may_send.set()
        with pytest.raises(Refused, match=refused):
            await outside.run()
        assert len(asyncio.all_tasks()) == 1  # nothing goes on behind
        return outside.done

    assert COMMIT not in asyncio.run(run())


def test_a_failed_write_of_the_sink_is_raised_when_all_is_sent() -> None:
    """Nothing is committed, and a repeat does not overtake what is on its way."""

    async def run() -> list[str]:
        outside = Outside()
        outside.refused = {"sink"}
        outside.may_store.set()
        checkpoint = asyncio.create_task(outside.run())
        await some_steps()
        assert not checkpoint.done()
        outside.may_send.set()
        with pytest.raises(Refused, match="sink"):
            await checkpoint
        return outside.done

    assert asyncio.run(run()) == ["outputs", "dead letters", "changelog"]
