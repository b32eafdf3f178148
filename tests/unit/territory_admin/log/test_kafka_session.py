from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import NotCoordinatorForGroupError
from aiokafka.structs import OffsetAndMetadata

from territory.wire.topics import TOPICS
from territory_admin.log.kafka_session import KafkaSession, is_complete
from territory_runtime.settings import read_settings

HERE, THERE = TopicPartition("t", 0), TopicPartition("t", 1)


class MovingCoordinator:
    """A client for consumer groups whose coordinator moves from broker 1 to broker 2 after two answers."""

    def __init__(self) -> None:
        self.lookups = 0
        self.answers = 0

    async def find_coordinator(self, group: str) -> int:
        self.lookups += 1
        return 1 if self.answers < 2 else 2

    async def list_consumer_group_offsets(
        self, group: str, coordinator: int, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        if coordinator == 1 and self.answers == 2:
            raise NotCoordinatorForGroupError
        self.answers += 1
        return {HERE: OffsetAndMetadata(5, "3"), THERE: OffsetAndMetadata(-1, "")}


def test_a_groups_coordinator_is_looked_up_again_when_it_moved() -> None:
    """It is looked up once while it stays; partitions without a commit are left out."""
    session, admin = KafkaSession(read_settings({}), AsyncExitStack()), MovingCoordinator()
    client: Any = admin
    session._admin = client

    async def play() -> list[tuple[dict[TopicPartition, tuple[int, str]], int]]:
        return [(await session.committed_offsets("group", [HERE, THERE]), admin.lookups) for _ in range(4)]

    offsets = {HERE: (5, "3")}
    assert asyncio.run(play()) == [(offsets, 1), (offsets, 1), (offsets, 2), (offsets, 2)]


def test_topics_are_created_only_if_one_is_missing_or_unfit() -> None:
    """All topics with equal partition counts are complete; a missing topic or another count is not."""
    counts = {topic.name: topic.partitions or 3 for topic in TOPICS}
    assert is_complete(counts)
    for topic in TOPICS:
        assert not is_complete({name: count for name, count in counts.items() if name != topic.name})
        assert not is_complete(counts | {topic.name: 4})
