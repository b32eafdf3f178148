"""The table of topics."""

from __future__ import annotations

import re

from territory.wire.topics import TOPICS


def test_the_topics_of_the_contract() -> None:
    """The public topics are those of the contract, with its policies (contracts: topics)."""
    assert {
        topic.name: (topic.cleanup, topic.retention_days, topic.partitions) for topic in TOPICS if topic.public
    } == {
        "crm.records.v1": ("delete", 7, None),
        "territory.model.v1": ("compact", None, 1),
        "territory.assignments.v1": ("compact", None, None),
        "territory.attainments.v1": ("compact", None, None),
        "territory.access-changes.v1": ("delete", 7, None),
        "territory.dead-letters.v1": ("delete", 30, None),
    }


def test_names() -> None:
    """A name ends in a version, and internal topics are named `territory.internal`."""
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    for topic in TOPICS:
        assert re.fullmatch(r"[a-z]+(\.[a-z-]+)+\.v[0-9]+", topic.name)
        assert topic.public is not topic.name.startswith("territory.internal.")


def test_policies() -> None:
    """Topics with state are compacted; topics with events are deleted after some days."""
    for topic in TOPICS:
        assert (topic.cleanup == "delete") is (topic.retention_days is not None)


def test_every_topic_is_described() -> None:
    """Every topic has a description, a key, writers and readers."""
    for topic in TOPICS:
        assert topic.description.endswith(".")
        assert all((topic.key, topic.written_by, topic.read_by))
