"""What the task loop relies on of its ports to a log: each promise once, for Kafka and for the adapters in memory.

`test_log.py` runs it in memory, `tests/integration/test_log_ports.py` on Apache Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from territory.stage import Message
from territory.wire.topics import ASSIGNMENTS, RECORDS
from territory_runtime.kafka.dead_letters import DeadLetter
from territory_runtime.loop.backpressure import lag_of
from territory_runtime.loop.ports import (
    Committed,
    ConsumedMessage,
    GroupOffsets,
    LogReader,
    LogWriter,
    TopicPartition,
)
from territory_runtime.loop.stage import Downstream
from territory_runtime.loop.upstream_watermark import applied_position

SECONDS = 5.0


@dataclass
class Worker:
    """One worker of a group, started, that was assigned partitions."""

    group: str
    reader: LogReader
    offsets: GroupOffsets
    writer: LogWriter
    assigned: frozenset[int]

    async def poll_until(self, where: TopicPartition, count: int) -> tuple[list[ConsumedMessage], int]:
        """Return so many messages of a partition, and the position after them."""
        found: list[ConsumedMessage] = []
        position = -1
        for _ in range(50):
            polled = await self.reader.poll([where], SECONDS / 10, 100)
            found += polled.messages.get(where, ())
            position = polled.positions[where]
            if len(found) >= count:
                return found, position
        raise AssertionError(f"{len(found)} messages came, expected {count}")

    async def end(self, where: TopicPartition) -> int:
        """Return the end of a partition."""
        return (await self.reader.end_offsets([where]))[where]


Start = Callable[[str], AbstractAsyncContextManager[Worker]]
"""Starts a worker of a group; it is assigned all partitions."""


def messages(*values: int, partition: int = 0) -> list[Message]:
    """Return messages for a partition."""
    return [Message(RECORDS.name, "contract/account/A", value, partition) for value in values]


def values_of(found: Sequence[ConsumedMessage]) -> list[bytes | None]:
    return [message.value for message in found]


async def messages_are_polled_in_the_order_in_which_they_were_sent(start: Start) -> None:
    """Of each partition; the position is the next offset."""
    where = TopicPartition(RECORDS.name, 1)
    async with start("order") as worker:
        begin = await worker.end(where)
        await worker.writer.send(messages(*range(7), partition=1), {})
        worker.reader.seek(where, begin)
        found, position = await worker.poll_until(where, 7)
        assert values_of(found) == [str(value).encode() for value in range(7)]
        assert [message.offset for message in found] == list(range(begin, begin + 7))
        assert position == begin + 7 == await worker.end(where) == worker.reader.known_end(where)


async def a_seek_goes_back(start: Start) -> None:
    """What was polled is polled again: a batch is repeated like that."""
    where = TopicPartition(RECORDS.name, 0)
    async with start("seek") as worker:
        begin = await worker.end(where)
        await worker.writer.send(messages(1, 2, 3), {})
        for offset, expected in ((begin, [b"1", b"2", b"3"]), (begin + 1, [b"2", b"3"])):
            worker.reader.seek(where, offset)
            found, _ = await worker.poll_until(where, len(expected))
            assert values_of(found) == expected


async def a_poll_ends_without_messages(start: Start) -> None:
    """It waits no longer than it was told, and the position stays."""
    where = TopicPartition(RECORDS.name, 0)
    async with start("idle") as worker:
        end = await worker.end(where)
        worker.reader.seek(where, end)
        polled = await worker.reader.poll([where], 0.05, 10)
        assert not any(polled.messages.values())
        assert polled.positions == {where: end}


async def a_partition_is_read_from_its_beginning_to_its_end(start: Start) -> None:
    """Up to the end at the time of the call, whatever the group has committed."""
    where = TopicPartition(RECORDS.name, 0)
    async with start("whole") as worker:
        await worker.writer.send(messages(1, 2, 3), {})
        end = await worker.end(where)
        read: list[ConsumedMessage] = []
        async for some in worker.reader.read_all(where):
            read += some
        assert values_of(read)[-3:] == [b"1", b"2", b"3"]
        assert read[-1].offset == end - 1


async def commits_are_kept_with_their_metadata(start: Start) -> None:
    """Also for other groups to read: sweeps wait for each other like that."""
    first, second = TopicPartition(RECORDS.name, 0), TopicPartition(RECORDS.name, 1)
    async with start("commits") as worker, start("others") as other:
        assert await other.offsets.committed(worker.group) == {}
        await worker.offsets.commit({first: Committed(3, "a # 1 2"), second: Committed(0, "")})
        await worker.offsets.commit({first: Committed(4, "b")})
        for each in (worker, other):
            found = await each.offsets.committed(worker.group)
            assert found == {first: Committed(4, "b"), second: Committed(0, "")}


async def nobody_commits_after_leaving(start: Start) -> None:
    """A worker that is no member any more is refused, also where the group is empty."""
    where = TopicPartition(RECORDS.name, 0)
    async with start("left") as worker, start("asks") as other:
        await worker.offsets.commit({where: Committed(3, "")})
        await worker.reader.stop()
        with pytest.raises(KafkaError):
            await worker.offsets.commit({where: Committed(9, "")})
        assert (await other.offsets.committed(worker.group))[where] == Committed(3, "")


async def nobody_commits_for_partitions_of_others(start: Start) -> None:
    """A worker that is not assigned a partition is refused: another may have it by now."""
    first, not_read = TopicPartition(RECORDS.name, 0), TopicPartition(ASSIGNMENTS.name, 0)
    async with start("refused") as worker:
        with pytest.raises(KafkaError):
            await worker.offsets.commit({first: Committed(3, ""), not_read: Committed(3, "")})
        assert await worker.offsets.committed(worker.group) == {}


async def dead_letters_are_sent(start: Start) -> None:
    """Many at once, of any topic."""
    async with start("letters") as worker:
        message: Any = next(iter(await _sent(worker, messages(1, 2))))
        letters = [DeadLetter.of(message, "contract", code=f"c{number}", reason="r") for number in range(20)]
        await worker.writer.send_dead_letters(letters)


async def the_lag_is_that_of_the_slowest_partition(start: Start) -> None:
    """By what the group has committed; one that never committed lags behind nothing (V8)."""
    places = [TopicPartition(RECORDS.name, number) for number in (0, 1)]
    async with start("fast") as worker, start("slow") as other:
        downstream = Downstream(other.group, RECORDS)
        before = [await worker.end(where) for where in places]
        await worker.writer.send(messages(1, 2, 3, 4, 5), {})
        await worker.writer.send(messages(1, 2, 3, partition=1), {})
        found = [await lag_of(downstream, worker.offsets, worker.reader)]
        for processed in ((0, 0), (4, 0), (5, 3)):
            commit = {
                where: Committed(begin + count, "")
                for where, begin, count in zip(places, before, processed, strict=True)
            }
            await other.offsets.commit(commit)
            found.append(await lag_of(downstream, worker.offsets, worker.reader))
        assert found == [0, 5, 3, 0]


async def the_upstream_position_is_read_from_its_commits(start: Start) -> None:
    """The least of all partitions, once all have committed (V8)."""
    async with start("down") as worker, start("up") as upstream:
        found = []
        for number, metadata in enumerate(("12 # 3 4", "9 > 15 : 5 of 8 # 1 2")):
            await upstream.offsets.commit({TopicPartition(RECORDS.name, number): Committed(0, metadata)})
            found.append(await applied_position(worker.offsets, upstream.group, 2))
        assert found == [-1, 9]


async def _sent(worker: Worker, some: list[Message]) -> list[ConsumedMessage]:
    where = TopicPartition(RECORDS.name, 0)
    begin = await worker.end(where)
    await worker.writer.send(some, {})
    worker.reader.seek(where, begin)
    found, _ = await worker.poll_until(where, len(some))
    return found


CONTRACT = (
    messages_are_polled_in_the_order_in_which_they_were_sent,
    a_seek_goes_back,
    a_poll_ends_without_messages,
    a_partition_is_read_from_its_beginning_to_its_end,
    commits_are_kept_with_their_metadata,
    nobody_commits_after_leaving,
    nobody_commits_for_partitions_of_others,
    dead_letters_are_sent,
    the_lag_is_that_of_the_slowest_partition,
    the_upstream_position_is_read_from_its_commits,
)
"""Every promise; each takes `start`."""
