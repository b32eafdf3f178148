"""Periodic check that the broker answers and that every topic has its partitions.

Consumers do not report it: a fetch waits silently for a broker that is away, and a group member takes a
deleted topic for one that other members read. So a worker without work reports outages, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from territory.wire.topics import TOPICS
from territory_runtime.health import Health
from territory_runtime.kafka import clients
from territory_runtime.kafka.topic_admin import TopicsUnfit, partition_counts_of
from territory_runtime.retry import KAFKA_AWAY, GivenUp, retry_while_unavailable
from territory_runtime.settings import Settings

PART = "topics"
CHECK_SECONDS = 5.0


def check_topics(counts: Mapping[str, int], partitions: int) -> None:
    """Raises: TopicsUnfit when a topic is missing, or has other partitions than at the start.

    Args:
        counts: By topic, how many partitions it has now.
        partitions: How many each partitioned topic had at the start.
    """
    missing = [topic.name for topic in TOPICS if topic.name not in counts]
    if missing:
        raise TopicsUnfit(f"{', '.join(missing)} is missing; create it with the {partitions} partitions that it had")
    for topic in TOPICS:
        expected = topic.partitions or partitions
        if counts[topic.name] != expected:
            raise TopicsUnfit(
                f"{topic.name} has {counts[topic.name]} partitions, it had {expected}; stop all services, "
                "create it again with as many as the others and restart them"
            )


class TopicHealth:
    """Makes /ready fail while the broker or a topic is away. One connection serves all checks until it fails."""

    def __init__(
        self,
        settings: Settings,
        health: Health,
        partitions: int,
        *,
        stopping: Callable[[], bool] = lambda: False,
        connect: Callable[[Settings], AIOKafkaAdminClient] = clients.group_admin,
    ) -> None:
        """Take what to check.

        Args:
            settings: How to reach Kafka.
            health: Where the outcome goes.
            partitions: How many each partitioned topic had at the start.
            stopping: Whether the process is stopping: then an outage is not waited for.
            connect: Makes an admin client; not started.
        """
        self._settings = settings
        self._health = health
        self._partitions = partitions
        self._stopping = stopping
        self._connect = connect
        self._admin: AIOKafkaAdminClient | None = None

    async def check(self) -> None:
        """Check once; during an outage, again and again until it is over."""
        with suppress(GivenUp):
            await retry_while_unavailable(
                PART, self._health, (*KAFKA_AWAY, TopicsUnfit), self._check_once, self._stopping
            )
            self._health.beat(PART)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _check_once(self) -> None:
        try:
            if self._admin is None:
                self._admin = self._connect(self._settings)
                await self._admin.start()
            counts = await partition_counts_of(self._admin)
        except (KafkaError, OSError):
            await self.close()  # it may know brokers that are gone for good
            raise
        check_topics(counts, self._partitions)
