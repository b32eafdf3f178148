"""Looking whether the broker is there, and every topic as it was at the start: also a service with nothing to do tells.

A fetch says nothing of a broker that is away, and a consumer takes a topic that was deleted for
one that others read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from mode import Service

from territory.wire.topics import TOPICS
from territory_runtime.health import Health
from territory_runtime.kafka.topic_admin import TopicsUnfit, partition_counts_now
from territory_runtime.retry import KAFKA_AWAY, GivenUp, retry_while_unavailable
from territory_runtime.settings import Settings

PART = "topics"
LOOK_SECONDS = 5.0


def check_topics(counts: Mapping[str, int], partitions: int) -> None:
    """Raises: TopicsUnfit when a topic is not there, or has other partitions than it had.

    Args:
        counts: By topic, how many partitions it has.
        partitions: How many the partitioned ones had at the start.
    """
    missing = [topic.name for topic in TOPICS if topic.name not in counts]
    if missing:
        raise TopicsUnfit(f"{', '.join(missing)} is not there; create it with the {partitions} partitions that it had")
    for topic in TOPICS:
        expected = topic.partitions or partitions
        if counts[topic.name] != expected:
            raise TopicsUnfit(
                f"{topic.name} has {counts[topic.name]} partitions, it had {expected}; stop all services, "
                "create it anew with as many as the others and start them again"
            )


class TopicWatcher(Service):
    """Keeps /ready from being true while the broker or a topic is away."""

    def __init__(self, settings: Settings, health: Health, partitions: int) -> None:
        super().__init__()
        self._settings = settings
        self._health = health
        self._partitions = partitions

    @Service.task
    async def _follow(self) -> None:
        away = (*KAFKA_AWAY, TopicsUnfit)
        with suppress(GivenUp):
            while not self.should_stop:
                await retry_while_unavailable(PART, self._health, away, self._look, lambda: self.should_stop)
                self._health.beat(PART)
                await self.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        check_topics(await partition_counts_now(self._settings), self._partitions)
