"""Assignments of a consumer group, as the task loop gets them."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from territory_runtime.kafka.log_reader import AssignmentForwarder


class Listener:
    """Remembers what it was assigned."""

    def __init__(self) -> None:
        self.assigned: list[frozenset[int]] = []

    async def on_revoked(self) -> None: ...

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        self.assigned.append(partitions)


def test_only_partitions_of_all_topics_are_taken() -> None:
    """Beside a worker that reads one topic fewer, the group may give a partition of the other topic alone (A9)."""
    listener = Listener()
    forwarder = AssignmentForwarder(listener, ["families", "subscriptions"])
    whole = {TopicPartition(topic, number) for topic in ("families", "subscriptions") for number in (1, 2)}
    asyncio.run(forwarder.on_partitions_assigned(whole | {TopicPartition("subscriptions", 0)}))
    asyncio.run(forwarder.on_partitions_assigned(set()))
    assert listener.assigned == [frozenset({1, 2}), frozenset()]
