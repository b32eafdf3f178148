"""What makes a worker not ready although it has nothing to do: a broker or a topic that is away."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from territory.wire.topics import DEAD_LETTERS, MODEL, TOPICS, Topic
from territory_runtime.health import Health
from territory_runtime.kafka.topic_admin import TopicsUnfit
from territory_runtime.kafka.topic_health import PART, TopicHealth, check_topics
from territory_runtime.settings import Settings, read_settings
from tests.unit.territory_runtime.kafka.fakes import FakeAdmin

COUNTS = {topic.name: topic.partitions or 8 for topic in TOPICS}


def test_topics_as_they_were() -> None:
    """Topics of others do not matter."""
    check_topics(COUNTS | {"other": 1}, 8)


def test_a_topic_that_is_missing() -> None:
    """It is named, with the partitions that it must have."""
    with pytest.raises(TopicsUnfit, match=rf"{DEAD_LETTERS.name} is missing; create it with the 8"):
        check_topics({name: count for name, count in COUNTS.items() if name != DEAD_LETTERS.name}, 8)


@pytest.mark.parametrize(("topic", "count"), [(DEAD_LETTERS, 4), (DEAD_LETTERS, 16), (MODEL, 8)])
def test_other_partitions_than_before(topic: Topic, count: int) -> None:
    """Fewer, or more: records would be looked for where they are not."""
    with pytest.raises(TopicsUnfit, match=f"{topic.name} has {count} partitions, it had"):
        check_topics(COUNTS | {topic.name: count}, 8)


class Checked:
    """Topic checks with the admin clients that they opened; an outage is not waited for."""

    def __init__(self) -> None:
        self.health = Health()
        self.admins: list[FakeAdmin] = []
        self.fault: Exception | None = None
        self.topics = TopicHealth(read_settings({}), self.health, 8, stopping=lambda: True, connect=self._connect)

    def _connect(self, _: Settings) -> FakeAdmin:
        self.admins.append(FakeAdmin(COUNTS | {"other": 3}))
        self.admins[-1].fault = self.fault
        return self.admins[-1]


def test_one_connection_serves_all_checks() -> None:
    """A check asks for our topics alone, and lets a broker create none of them."""
    checked = Checked()

    async def play() -> None:
        for _ in range(3):
            await checked.topics.check()
        assert checked.health.ready
        await checked.topics.close()

    asyncio.run(play())
    [admin] = checked.admins
    assert len(admin.requests) == 3
    assert {name for request in admin.requests for name in request._topics or []} == set(COUNTS)
    assert {request._allow_auto_topic_creation for request in admin.requests} == {False}
    assert not admin.is_open


def test_a_connection_that_failed_is_replaced() -> None:
    """/ready fails meanwhile with the reason, and the old connection is closed."""
    checked = Checked()

    async def play() -> None:
        await checked.topics.check()
        checked.admins[0].fault = checked.fault = KafkaConnectionError("gone")
        await checked.topics.check()
        assert "Kafka is away: KafkaConnectionError" in checked.health.hindrances[PART]
        await checked.topics.check()
        checked.fault = None
        checked.health.clear(PART)
        await checked.topics.check()
        assert checked.health.ready

    asyncio.run(play())
    assert [admin.is_open for admin in checked.admins] == [False, False, True]


def test_a_missing_topic_keeps_the_connection() -> None:
    """The broker answered: it is the topic that is away."""
    checked = Checked()

    async def play() -> None:
        await checked.topics.check()
        del checked.admins[0].partitions[MODEL.name]
        await checked.topics.check()

    asyncio.run(play())
    assert f"{MODEL.name} is missing" in checked.health.hindrances[PART]
    assert [admin.is_open for admin in checked.admins] == [True]
