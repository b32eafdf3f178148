"""Topics: creates those that are missing, never alters those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient

from territory.wire.topics import DAY_MS, DEAD_LETTERS, TOPICS, Topic
from territory_runtime.kafka.aiokafka_internals import describe_topics_without_creating
from territory_runtime.kafka.clients import LETTER_BYTES_MAX, REQUEST_BYTES_MAX
from territory_runtime.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic

COMPACTION_LAG_MS = DAY_MS
"""Age before which compaction removes nothing.

A stage restores from a compacted topic up to its committed offset, so messages before that offset
must still be there even where a later one has replaced them. A worker that was away for longer
than half of this time takes nothing as known.
"""


class TopicsUnfit(Exception):
    """Raised when existing topics have the wrong partitions; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """How many partitions each partitioned topic has, and which topics were created now."""

    partitions: int
    created: tuple[str, ...]


def provision(admin: KafkaAdminClient, settings: Settings) -> Provisioned:
    """Create the topics that are missing.

    All partitioned topics need the same number of partitions: a stage reads the same partition of
    several. A missing one gets as many as the others have.

    Raises: TopicsUnfit; kafka.errors.KafkaError.
    """
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415 -- as in clients.topic_admin

    counts = partition_counts(admin)
    partitions = _common(counts, settings)
    missing = [topic for topic in TOPICS if topic.name not in counts]
    for topic in missing:
        try:
            admin.create_topics([_new(topic, partitions, settings)])
        except TopicAlreadyExistsError:
            continue  # another worker started at the same time
    if missing:
        partitions = _common(partition_counts(admin), settings)
    return Provisioned(partitions, tuple(topic.name for topic in missing))


def partition_counts(admin: KafkaAdminClient) -> dict[str, int]:
    """Return the number of partitions of each of our topics that exists.

    All topics of the cluster are described: kafka-python asks by name in a way that lets a broker with
    auto.create.topics.enable create what is missing, with its own defaults.

    Raises: kafka.errors.KafkaError.
    """
    return _counts(admin.describe_topics(), "name")


async def partition_counts_of(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return the same from a started aiokafka client, which asks for our topics alone and creates none.

    Raises: aiokafka.errors.KafkaError.
    """
    return _counts(await describe_topics_without_creating(admin, [topic.name for topic in TOPICS]), "topic")


def _counts(described: Iterable[Mapping[str, Any]], name_field: str) -> dict[str, int]:
    ours = {topic.name for topic in TOPICS}
    return {
        topic[name_field]: len(topic["partitions"])
        for topic in described
        if topic[name_field] in ours and not topic["error_code"]
    }


def _common(counts: dict[str, int], settings: Settings) -> int:
    single = {topic.name for topic in TOPICS if topic.partitions is not None}
    found = {name: count for name, count in counts.items() if name not in single}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} has {count}" for name, count in sorted(found.items()))
        raise TopicsUnfit(
            f"the topics have different numbers of partitions: {shown}; they must be equal, "
            "because a stage reads the same partition of several: create those again that differ"
        )
    wrong = {name: counts[name] for name in single if counts.get(name, 1) != 1}
    if wrong:
        raise TopicsUnfit(f"{', '.join(wrong)} must have 1 partition, found {wrong}; create it again")
    return next(iter(found.values()), settings.kafka_partitions)


def _new(topic: Topic, partitions: int, settings: Settings) -> NewTopic:
    from kafka.admin import NewTopic  # noqa: PLC0415 -- as in clients.topic_admin

    bytes_max = LETTER_BYTES_MAX if topic is DEAD_LETTERS else REQUEST_BYTES_MAX
    configuration = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(bytes_max)}
    if topic.retention_days is not None:
        configuration["retention.ms"] = str(topic.retention_days * DAY_MS)
    if topic.cleanup == "compact":
        configuration["min.compaction.lag.ms"] = str(COMPACTION_LAG_MS)
        configuration["delete.retention.ms"] = str(COMPACTION_LAG_MS)
    return NewTopic(
        name=topic.name,
        num_partitions=topic.partitions or partitions,
        replication_factor=settings.kafka_replication_factor,
        topic_configs=configuration,
    )
