"""The one table of topics."""

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
    """A name ends in the version of its meaning; what only our own services read is named so."""
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    for topic in TOPICS:
        assert re.fullmatch(r"[a-z]+(\.[a-z-]+)+\.v[0-9]+", topic.name)
        assert topic.public is not topic.name.startswith("territory.internal.")


def test_policies() -> None:
    """State is compacted and stays for ever; what happened is deleted after some days."""
    for topic in TOPICS:
        assert (topic.cleanup == "delete") is (topic.retention_days is not None)


def test_every_topic_says_what_it_is() -> None:
    """The table says of each topic what is on it, its key, who writes and who reads it."""
    for topic in TOPICS:
        assert topic.description.endswith(".")
        assert all((topic.key, topic.written_by, topic.read_by))
