"""What is handed over of the log that the stages read, with a consumer in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from territory.errors import BadMessage
from territory.stage import InputMessage
from territory.wire.codec import encode
from territory.wire.events import ModelActivated
from territory_admin.consistency.comparison import INDEXER
from territory_admin.consistency.stage_log import StageLog
from territory_admin.models.topic import Activated
from territory_admin.records.wait import Goal

Log = dict[TopicPartition, list[tuple[str | None, bytes | None]]]

TOPIC = INDEXER.topics[0].name
HERE, THERE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
ACTIVATED = Activated(3, ModelActivated("acme", 1, 0, "", "2017-01-01T00:00:00Z"), {})


class Consumer:
    """Hands over what stands on the partitions that it is assigned, from where it was told to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, places: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, where: TopicPartition, offset: int) -> None:
        self._positions[where] = offset

    async def position(self, where: TopicPartition) -> int:
        return self._positions[where]

    async def getmany(self, *places: TopicPartition, **_: int) -> dict[TopicPartition, list[Any]]:
        found = {}
        for where in places:
            start, self._positions[where] = self._positions[where], len(self._log[where])
            found[where] = [
                ConsumerRecord(
                    TOPIC, where.partition, offset, 0, 0, None if key is None else key.encode(), value, None, 0, 0, ()
                )
                for offset, (key, value) in enumerate(self._log[where])
                if offset >= start
            ]
        return found


def read(value: bytes) -> str:
    """Return what a message says, or refuse it."""
    if value == b"?":
        raise BadMessage("wrong", "found ?")
    return value.decode()


def taken(
    log: Log,
    starts: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> list[tuple[int, str, object]]:
    """Return the partition, key and event of what is handed over of a log."""
    found: list[tuple[int, str, object]] = []

    def take(number: int, message: InputMessage) -> None:
        found.append((number, message.key, message.event))

    stage_log = StageLog(Consumer(log), None, ACTIVATED, 1.0)  # type: ignore[arg-type]  # no stage is asked
    asyncio.run(stage_log.read(starts, ends, read, take))
    return found


def test_only_what_its_stage_took() -> None:
    """Another organisation's words, what has no key, and what went to the dead letters are passed over."""
    log: Log = {
        HERE: [
            ("acme/account/1", b"a"),
            ("acme2/account/1", b"b"),
            (None, b"c"),
            ("acme/account/2", b"?"),
            ("acme/account", b"d"),
            ("acme/account/3", None),
        ]
    }
    assert taken(log, {HERE: 0}, {HERE: 6}) == [(0, "acme/account/1", "a"), (0, "acme/account/3", None)]


def test_each_partition_from_an_offset_to_an_offset() -> None:
    """What comes before a place is known and what comes after it is left for the next time."""
    log: Log = {where: [(f"acme/account/{number}", encode(number)) for number in range(4)] for where in (HERE, THERE)}
    assert taken(log, {HERE: 1, THERE: 4}, {HERE: 3, THERE: 4}) == [
        (0, "acme/account/1", "1"), (0, "acme/account/2", "2")
    ]  # fmt: skip


def test_nothing_to_read_asks_nobody() -> None:
    """Where all is known the consumer is left alone."""
    assert taken({}, {HERE: 2}, {HERE: 2}) == []


def test_ends_of_one_partition() -> None:
    """A stage reads the same partition of several topics."""
    other = TopicPartition("other", 1)
    assert Goal(INDEXER, {}, {HERE: 1, THERE: 2, other: 3}, 0).ends_of(1) == {THERE: 2, other: 3}
