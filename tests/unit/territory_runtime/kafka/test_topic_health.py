"""Which topics a running service does without, and which not."""

from __future__ import annotations

import pytest

from territory.wire.topics import DEAD_LETTERS, MODEL, TOPICS, Topic
from territory_runtime.kafka.topic_admin import TopicsUnfit
from territory_runtime.kafka.topic_health import check_topics

COUNTS = {topic.name: topic.partitions or 8 for topic in TOPICS}


def test_topics_as_they_were() -> None:
    """Others' topics do not matter."""
    check_topics(COUNTS | {"other": 1}, 8)


def test_a_topic_that_is_gone() -> None:
    """It is named, with the partitions that it must have."""
    with pytest.raises(TopicsUnfit, match=rf"{DEAD_LETTERS.name} is not there; create it with the 8"):
        check_topics({name: count for name, count in COUNTS.items() if name != DEAD_LETTERS.name}, 8)


@pytest.mark.parametrize(("topic", "count"), [(DEAD_LETTERS, 4), (DEAD_LETTERS, 16), (MODEL, 8)])
def test_other_partitions_than_before(topic: Topic, count: int) -> None:
    """Fewer, or more: records would be looked for where they are not."""
    with pytest.raises(TopicsUnfit, match=f"{topic.name} has {count} partitions, it had"):
        check_topics(COUNTS | {topic.name: count}, 8)
