"""Topics on a real broker: created where they are missing, never altered where they exist.

Our topics have fixed names, so these tests have a broker of their own and begin without any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from territory.wire.topics import ASSIGNMENTS, DAY_MS, DEAD_LETTERS, MODEL, RECORDS, TOPICS, Topic
from territory_control.local.child_process import until
from territory_runtime.kafka.clients import LETTER_BYTES_MAX, REQUEST_BYTES_MAX
from territory_runtime.kafka.topic_admin import (
    COMPACTION_LAG_MS,
    Provisioned,
    TopicsUnfit,
    partition_counts,
    provision,
)
from territory_runtime.settings import Settings
from tests.integration.examples import settings_for, topic_admin
from tests.support.servers import find_kafka, serving

pytestmark = pytest.mark.kafka

NAMES = {topic.name for topic in TOPICS}
SETTLED_SECONDS = 30.0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give settings for a broker of this module's own, with five partitions for new topics."""
    with serving("kafka", find_kafka(), tmp_path_factory.mktemp("provision")) as server:
        yield settings_for(server.bootstrap_servers, 5)


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Give a client for a broker without any of our topics."""
    with topic_admin(settings) as client:
        there = list(partition_counts(client))
        if there:
            client.delete_topics(there)
        wait_for(client, {})
        yield client


def wait_for(admin: KafkaAdminClient, counts: dict[str, int]) -> None:
    """Return when these are our topics: a broker acknowledges a change some time before it shows it."""
    assert until(lambda: partition_counts(admin) == counts, SETTLED_SECONDS), partition_counts(admin)


def create(admin: KafkaAdminClient, partitions: dict[Topic, int], **configuration: str) -> dict[str, int]:
    """Create topics as an operator would; return what there is then."""
    dotted = {name.replace("_", "."): value for name, value in configuration.items()}
    admin.create_topics([NewTopic(topic.name, count, 1, topic_configs=dotted) for topic, count in partitions.items()])
    counts = {topic.name: count for topic, count in partitions.items()}
    wait_for(admin, counts)
    return counts


def settings_of(admin: KafkaAdminClient, topic: Topic) -> dict[str, str]:
    """Return the settings of a topic that the broker has."""
    found: Any = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    [by_name] = found[ConfigResourceType.TOPIC.name.lower()].values()
    return {name: setting["value"] for name, setting in by_name.items()}


def test_missing_topics_are_created(admin: KafkaAdminClient, settings: Settings) -> None:
    """All of the table, with its partitions and policies; a second time there is nothing to do (contracts: Topics)."""
    assert provision(admin, settings) == Provisioned(5, tuple(topic.name for topic in TOPICS))
    wait_for(admin, {topic.name: topic.partitions or 5 for topic in TOPICS})
    for topic in TOPICS:
        found = settings_of(admin, topic)
        assert found["cleanup.policy"] == topic.cleanup
        assert found["max.message.bytes"] == str(LETTER_BYTES_MAX if topic is DEAD_LETTERS else REQUEST_BYTES_MAX)
        if topic.retention_days is not None:
            assert found["retention.ms"] == str(topic.retention_days * DAY_MS)
        if topic.cleanup == "compact":
            assert found["min.compaction.lag.ms"] == found["delete.retention.ms"] == str(COMPACTION_LAG_MS)
    assert provision(admin, settings) == Provisioned(5, ())


def test_existing_topics_are_never_altered(admin: KafkaAdminClient, settings: Settings) -> None:
    """An operator's own settings stay, and missing topics get as many partitions as there are (contracts: Topics)."""
    create(admin, {RECORDS: 2}, retention_ms="1000", cleanup_policy="compact")
    provisioned = provision(admin, settings)
    assert provisioned.partitions == 2
    assert set(provisioned.created) == NAMES - {RECORDS.name}
    wait_for(admin, {topic.name: topic.partitions or 2 for topic in TOPICS})
    found = settings_of(admin, RECORDS)
    assert (found["retention.ms"], found["cleanup.policy"]) == ("1000", "compact")


def test_different_numbers_of_partitions(admin: KafkaAdminClient, settings: Settings) -> None:
    """Refused with each topic and its number, and nothing is created: stages read one partition of several topics."""
    there = create(admin, {RECORDS: 2, ASSIGNMENTS: 3})
    with pytest.raises(TopicsUnfit) as unfit:
        provision(admin, settings)
    assert f"{RECORDS.name} has 2" in str(unfit.value)
    assert f"{ASSIGNMENTS.name} has 3" in str(unfit.value)
    assert "create those again that differ" in str(unfit.value)
    assert partition_counts(admin) == there


def test_model_topic_has_one_partition(admin: KafkaAdminClient, settings: Settings) -> None:
    """With two there is no order between pieces and their activation: refused by name (contracts: Topics)."""
    there = create(admin, {MODEL: 2})
    with pytest.raises(TopicsUnfit, match=rf"{MODEL.name} must have 1 partition, found .*2"):
        provision(admin, settings)
    assert partition_counts(admin) == there


def test_other_topics_are_none_of_ours(admin: KafkaAdminClient, settings: Settings) -> None:
    """A topic of somebody else's, with whatever partitions, neither hinders nor changes (contracts: Topics)."""
    admin.create_topics([NewTopic("somebody.else", 7, 1)])
    assert provision(admin, settings).partitions == 5
    wait_for(admin, {topic.name: topic.partitions or 5 for topic in TOPICS})
    [other] = admin.describe_topics(["somebody.else"])
    assert len(other["partitions"]) == 7
