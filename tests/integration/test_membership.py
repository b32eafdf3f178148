"""Members of a stage's group on a real broker: sticky, static, and mixed with the version before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.admin import NewTopic

from territory_admin.log.topic_reader import started
from territory_runtime.kafka import clients
from territory_runtime.kafka.assignor import CopartitionedAssignor
from territory_runtime.settings import Settings
from tests.integration.examples import settings_for, topic_admin
from tests.support.servers import Kafka

pytestmark = pytest.mark.kafka

PARTITIONS = 8
SECONDS_MAX = 60.0


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """A member of a group that only looks at what it is assigned."""

    def __init__(self, group: Group, name: str, *, is_old: bool = False) -> None:
        self.assigned: list[dict[str, set[int]]] = []
        self.assignor = CopartitionedAssignor()
        self.assignor.address = lambda: f"{name}:9464"
        self.group = group
        self._name = name
        self._is_old = is_old

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to do: what it has is what it was assigned last."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        by_topic: dict[str, set[int]] = {topic: set() for topic in self.group.topics}
        for where in assigned:
            by_topic[where.topic].add(where.partition)
        self.assigned.append(by_topic)
        self.group.changed.set()

    @property
    def numbers(self) -> set[int]:
        """The partition numbers that it was assigned last, the same of all topics."""
        if not self.assigned:
            return set()
        one, *others = self.assigned[-1].values()
        assert all(numbers == one for numbers in others)
        return one

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Member]:
        """Be a member in the block."""
        consumer: AIOKafkaConsumer = clients.group_consumer(
            self.group.settings(self._name),
            self.group.name,
            RangePartitionAssignor if self._is_old else self.assignor,  # as the version before
        )
        consumer.subscribe(self.group.topics, listener=self)
        async with started(consumer):
            yield self


class Group:
    """A group that reads two topics."""

    def __init__(self, settings: Settings, name: str, *, is_static: bool = False) -> None:
        self.name = name[-80:]
        self.topics = [f"{self.name}-a", f"{self.name}-b"]
        self.changed = asyncio.Event()
        self._settings = settings
        self._is_static = is_static
        with topic_admin(settings) as admin:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in self.topics])

    def settings(self, member: str) -> Settings:
        instance = member if self._is_static else None
        update = {"kafka_session_timeout_seconds": 20.0, "kafka_group_instance_id": instance}
        return self._settings.model_copy(update=update)

    async def until_settled(self, *members: Member, sizes: list[int]) -> None:
        """Wait until these members have all partitions between them, so many each."""
        async with asyncio.timeout(SECONDS_MAX):
            while (
                sorted(number for member in members for number in member.numbers) != list(range(PARTITIONS))
                or sorted(len(member.numbers) for member in members) != sizes
            ):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def settings(kafka: Kafka) -> Settings:
    """Give the settings of a worker on the Kafka of this test run."""
    return settings_for(kafka.bootstrap_servers)


def test_a_static_member_that_restarts_moves_no_partition(settings: Settings, unique: str) -> None:
    """It gets its own back within the session, and the others do not hear of it (KIP-345)."""

    async def play() -> None:
        group = Group(settings, unique, is_static=True)
        stays, leaves, returns = Member(group, "one"), Member(group, "two"), Member(group, "two")
        async with stays.running():
            async with leaves.running():
                await group.until_settled(stays, leaves, sizes=[4, 4])
                rebalances = len(stays.assigned)
            async with returns.running():
                await group.until_settled(stays, returns, sizes=[4, 4])
                assert returns.numbers == leaves.numbers
                await asyncio.sleep(2 * clients.HEARTBEAT_MS_MAX / 1000)  # so soon it would have heard
                assert len(stays.assigned) == rebalances

    asyncio.run(play())


def test_members_keep_what_they_have(settings: Settings, unique: str) -> None:
    """One that joins takes its share, one that leaves gives its own to the others; nothing else moves (B2)."""

    async def play() -> None:
        group = Group(settings, unique)
        first, second, third = (Member(group, name) for name in ("one", "two", "three"))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(first.running())
            await stack.enter_async_context(second.running())
            await group.until_settled(first, second, sizes=[4, 4])
            before = first.numbers, second.numbers
            async with third.running():
                await group.until_settled(first, second, third, sizes=[2, 3, 3])
                assert (first.numbers <= before[0], second.numbers <= before[1]) == (True, True)
                owners = {address: set(numbers) for address, numbers in first.assignor.owners.items()}
                assert owners == {
                    "one:9464": first.numbers, "two:9464": second.numbers, "three:9464": third.numbers,
                }  # fmt: skip
                during = first.numbers, second.numbers
            await group.until_settled(first, second, sizes=[4, 4])
            assert (first.numbers >= during[0], second.numbers >= during[1]) == (True, True)

    asyncio.run(play())


def test_a_rolling_upgrade(settings: Settings, unique: str) -> None:
    """Members of the version before and of this one share the partitions, whoever leads, until all are of this one."""

    async def play() -> None:
        group = Group(settings, unique)
        old, older = Member(group, "old", is_old=True), Member(group, "older", is_old=True)
        new, newer = Member(group, "new"), Member(group, "newer")
        async with AsyncExitStack() as stack:
            async with older.running():
                async with old.running():
                    await group.until_settled(old, older, sizes=[4, 4])
                await stack.enter_async_context(new.running())
                await group.until_settled(new, older, sizes=[4, 4])
            await stack.enter_async_context(newer.running())
            await group.until_settled(new, newer, sizes=[4, 4])

    asyncio.run(play())
