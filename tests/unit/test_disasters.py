"""Kafka lost and restored from a mirror: topics cut at different moments, no offsets, Redis as it was (A9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from territory.wire import topics
from tests.support.expectations import differences
from tests.support.memory import MemoryHouse, dice
from tests.support.oracle_records import Record, key_of, record_after
from tests.support.stepping import Dice
from tests.support.stories import ORG, Apply, Expect, Publish, Raw, Restart, Story, load_stories

STORIES = [
    story
    for story in load_stories(Path(__file__).parents[1] / "scenarios")
    if isinstance(story.steps[-1], Expect) and story.model is not None
]
SEEDS = range(3)
PARTITIONS = 2
HIGHER = 1_000
LEFT_OUT = (topics.FAMILIES, topics.RELEASES, topics.SUBSCRIPTIONS, topics.PARTIALS)
"""What the services make anew of the rest."""


def tell(house: MemoryHouse, story: Story, random: Dice) -> None:
    """Have a house work off a story."""
    for step in story.steps:
        match step:
            case Publish(messages):
                for message in messages:
                    house.publish(message.value, message.key) if isinstance(message, Raw) else house.publish(message)
            case Apply(model):
                house.apply_model(model)
            case Expect() | Restart():
                house.run(random)


def mirrored(house: MemoryHouse, random: Dice) -> MemoryHouse:
    """Return a house on a mirror: each partition's messages up to some moment, numbered anew; and the same Redis.

    What compaction took is not there, so offsets are others. The model topic is whole up to an activation. What
    follows from other topics is left out: copies that end at different moments would contradict one another.
    """
    mirror = MemoryHouse(PARTITIONS)
    house.compact()
    for topic in topics.TOPICS:
        for partition in range(topic.partitions or PARTITIONS):
            kept = [stored for _, stored in house.log(topic.name, partition).between(0, 10**9)]
            if topic in LEFT_OUT:
                kept = []
            elif topic is not topics.MODEL:
                kept = kept[: random.randint(0, len(kept))]
            for stored in kept:
                mirror.log(topic.name, partition).append(stored)
    mirror.redis = house.redis
    mirror.cluster.now_ms = house.cluster.now_ms
    mirror._pieces = {ORG: {}}
    mirror._activate()
    mirror.restart_all()
    return mirror


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_mirror_is_gone_on_from(story: Story, seed: int) -> None:
    """All is said again, and what upstreams publish once more fills what the mirror lacked: the end is the story's."""
    random = dice(seed)
    house = MemoryHouse(PARTITIONS)
    assert story.model is not None
    house.apply_model(story.model)
    tell(house, story, random)
    mirror = mirrored(house, random)
    for _ in range(random.randint(0, 40)):  # the services are at work when the first are published again
        mirror.step(random)
    for change in once_more(story, random):
        mirror.publish(change)
    mirror.run(random)
    expect = [step for step in story.steps if isinstance(step, Expect)][-1]
    found = differences(expect, mirror.state_of(ORG))
    # What was refused is not sent once more: its letters are on a topic that the mirror has, or has not.
    assert [line for line in found if not line.startswith("dead_letters")] == []


def once_more(story: Story, random: Dice) -> Iterator[dict[str, Any]]:
    """Yield what an upstream publishes once more: every record as it is in the end, in any order, with higher versions.

    The same versions would not do: intake's state may have got through where what it had passed on has not.
    """
    changes = [change for step in story.steps if isinstance(step, Publish) for change in step.changes]
    keys = sorted({key_of(change["org_id"], change["object"], change["id"]) for change in changes})
    random.shuffle(keys)
    for key in keys:
        org, kind, name = key.split("/", 2)
        record, linked = Record(org, kind, name), set()
        for change in changes:
            if key_of(change["org_id"], change["object"], change["id"]) == key:
                record = record_after(record, change)
                linked |= {change["territory_id"]} if change["op"] == "link" else set()
        common = {"org_id": org, "object": kind, "id": name, "occurred_at": "2017-07-14T12:00:00Z"}
        if record.version:
            said: dict[str, Any] = {"op": "upsert" if record.alive else "delete"}
            if record.alive:
                said |= {"owner_id": record.owner_id, "account_id": record.account_id, "contact_id": record.contact_id}
                said["fields"] = {field: value for field, value in record.fields.items() if value is not None}
            yield {**common, **said, "version": record.version + HIGHER, "event_id": f"once more {key}"}
        if record.alive or not record.version:
            for number, territory in enumerate(sorted(linked)):
                decided = {"op": "link", "territory_id": territory, "kind": record.by_hand.get(territory, "none")}
                version = record.link_version + HIGHER + number
                yield {**common, **decided, "version": version, "event_id": f"once more {key} {territory}"}


def test_there_are_stories_to_tell() -> None:
    """Most end with what is then true."""
    assert len(STORIES) > 15
