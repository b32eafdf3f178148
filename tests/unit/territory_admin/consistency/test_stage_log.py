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
    """A consumer in memory: it returns the messages of its assigned partitions from the position that was sought."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, places: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, where: TopicPartition, offset: int) -> None:
        self._positions[where] = offset

    def unsubscribe(self) -> None:
        self._positions = {}

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
    """Decode a message, or refuse it."""
    if value == b"?":
        raise BadMessage("wrong", "found ?")
    return value.decode()


def taken(
    log: Log,
    starts: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> list[tuple[int, str, object]]:
    """Return the partition, key and event of each message that is read."""
    found: list[tuple[int, str, object]] = []

    def take(number: int, message: InputMessage) -> None:
        found.append((number, message.key, message.event))

    stage_log = StageLog(Consumer(log), None, ACTIVATED, 1.0)  # type: ignore[arg-type]  # the pipeline is not used
    asyncio.run(stage_log.read(starts, ends, read, take))
    return found


def test_only_the_organisations_readable_messages_are_read() -> None:
    """Messages of other organisations, without a key, or refused by the stage are ignored."""
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


def test_each_partition_is_read_from_an_offset_to_an_offset() -> None:
    """Messages before the start and from the end on are not read."""
    log: Log = {where: [(f"acme/account/{number}", encode(number)) for number in range(4)] for where in (HERE, THERE)}
    assert taken(log, {HERE: 1, THERE: 4}, {HERE: 3, THERE: 4}) == [
        (0, "acme/account/1", "1"), (0, "acme/account/2", "2")
    ]  # fmt: skip


def test_the_consumer_is_not_used_without_anything_to_read() -> None:
    """If the start is the end, the consumer is not assigned the partition."""
    assert taken({}, {HERE: 2}, {HERE: 2}) == []


def test_a_goal_has_the_ends_of_one_partition_number() -> None:
    """A stage reads the partitions of one number from several topics."""
    other = TopicPartition("other", 1)
    assert Goal(INDEXER, {}, {HERE: 1, THERE: 2, other: 3}, 0).ends_of(1) == {THERE: 2, other: 3}
