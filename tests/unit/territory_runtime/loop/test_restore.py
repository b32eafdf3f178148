"""What a restore reads of a compacted topic, and what it knows afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from territory.wire.codec import decode
from territory.wire.topics import Topic
from territory_runtime.kafka.topic_admin import COMPACTION_LAG_MS
from territory_runtime.loop.commit_metadata import CommitMetadata
from territory_runtime.loop.ports import Clock, ConsumedMessage, LogReader, TopicPartition
from territory_runtime.loop.restore import Restorer, restore_fold, restore_topic
from territory_runtime.loop.stage import Stage
from territory_runtime.redis.fencing import SinkRolledBack
from tests.support.memory_group import CountingFold
from tests.support.memory_log import Consumed

NOW_MS = 10 * COMPACTION_LAG_MS
WHERE = TopicPartition("t", 0)


class Reader:
    """A partition in which compaction has left some messages, in batches of two."""

    def __init__(self, *messages: Consumed) -> None:
        self._messages = messages

    async def read_all(self, where: TopicPartition) -> AsyncIterator[Sequence[ConsumedMessage]]:
        for start in range(0, len(self._messages), 2):
            yield self._messages[start : start + 2]


class Now:
    """A clock that stands."""

    def time(self) -> float:
        return NOW_MS / 1000


class TwoTopics:
    """Partition 0 of some topics."""

    def __init__(self, messages: dict[str, list[Consumed]]) -> None:
        self._messages = messages

    async def read_all(self, where: TopicPartition) -> AsyncIterator[Sequence[ConsumedMessage]]:
        yield self._messages[where.topic]


def message(offset: int, *, age_ms: int = 0, value: bytes = b"[1, 1]", topic: str = "t") -> Consumed:
    return Consumed(topic, 0, offset, NOW_MS - age_ms, f"acme/account/{offset}".encode(), value, ())


def restored(*messages: Consumed, up_to: int | None) -> tuple[list[str], bool]:
    """Return the ids that a fold has afterwards, and whether nothing can be missing."""
    fold: Any = CountingFold(0)
    beats: list[None] = []
    reader, clock = cast(LogReader, Reader(*messages)), cast(Clock, Now())
    is_gapless = asyncio.run(
        restore_topic(reader, fold, WHERE, decode, up_to=up_to, clock=clock, beat=lambda: beats.append(None))
    )
    return [key.rpartition("/")[2] for key in fold.counts], is_gapless


def test_a_changelog_is_read_to_its_end() -> None:
    """A changelog of the stage's own says nothing about the input: all of it counts."""
    assert restored(message(0), message(4), message(7), up_to=None) == (["0", "4", "7"], True)


def test_an_input_is_read_up_to_the_committed_offset() -> None:
    """What comes after it is processed, not restored: its output may not have been produced (A9)."""
    assert restored(*map(message, range(6)), up_to=3) == (["0", "1", "2"], True)
    assert restored(message(0), message(5), up_to=3) == (["0"], True)


@pytest.mark.parametrize(("is_input", "expected"), [(True, ["1", "9"]), (False, ["1", "5", "9"])])
def test_what_is_kept_beside_the_state_is_read_first(is_input: bool, expected: list[str]) -> None:
    """An input is read up to its own committed offset, a changelog to its end (A9)."""
    kept = [message(1, topic="kept"), message(5, topic="kept")]
    reader = cast(LogReader, TwoTopics({"kept": kept, "state": [message(9, topic="state")]}))
    keeps, state = cast(Topic, SimpleNamespace(name="kept")), cast(Topic, SimpleNamespace(name="state"))
    stage = cast(
        Stage, SimpleNamespace(keeps=(keeps, decode), state=(state, decode), inputs=[keeps] if is_input else [])
    )
    fold: Any = CountingFold(0)
    clock = cast(Clock, Now())
    offsets = {"kept": 3, "state": 99}
    assert asyncio.run(restore_fold(reader, stage, fold, 0, offsets=offsets, clock=clock, beat=lambda: None))
    assert [key.rpartition("/")[2] for key in fold.counts] == expected


@pytest.mark.parametrize(
    ("age_ms", "is_gapless"), [(COMPACTION_LAG_MS // 2 - 1, True), (COMPACTION_LAG_MS // 2, False)]
)
def test_an_old_message_after_the_committed_offset_means_a_gap(age_ms: int, *, is_gapless: bool) -> None:
    """Compaction may have removed what it replaced, and with it the knowledge of output that followed from it (A9)."""
    assert restored(message(0), message(3, age_ms=age_ms), up_to=3) == (["0"], is_gapless)


def test_a_message_that_nobody_can_read_is_skipped() -> None:
    """It became a dead letter when it was processed."""
    assert restored(message(0), message(1, value=b"{"), message(2), up_to=None) == (["0", "2"], True)


class LosingModels:
    """A source of models in which every restore finds that Redis was emptied; epoch 1 finds it later."""

    def __init__(self) -> None:
        self.later = asyncio.Event()

    async def reached(self, metadata: CommitMetadata, _beat: object) -> CommitMetadata:
        if metadata.epoch == 1:
            await self.later.wait()
        raise SinkRolledBack("Redis was emptied")


def test_a_restore_that_fails_while_another_is_dropped_is_begun_anew() -> None:
    """Redis is emptied while several partitions are restored: the worker begins them anew, and does not end (A9)."""

    async def lost_one_after_the_other() -> list[list[int]]:
        models, stage = LosingModels(), cast(Any, SimpleNamespace(store=None, make=lambda *_: None))
        restorer = Restorer(
            stage, 2, reader=cast(Any, None), models=cast(Any, models), checkpoint=cast(Any, None),
            retry=cast(Any, None), clock=cast(Any, SimpleNamespace(monotonic=lambda: 0.0)), beat=lambda: None,
            sweep_limit=1,
        )  # fmt: skip
        nothing = CommitMetadata.read("")
        restorer.begin(0, {}, nothing)
        restorer.begin(1, {}, nothing._replace(epoch=1))
        await asyncio.sleep(0)  # partition 0 has failed, partition 1 waits
        models.later.set()
        found = [await restorer.finished(), await restorer.finished()]
        assert [finished for finished, _ in found] == [{}, {}]
        assert not restorer.is_restoring
        return [lost for _, lost in found]

    assert asyncio.run(lost_one_after_the_other()) == [[0], [1]]
