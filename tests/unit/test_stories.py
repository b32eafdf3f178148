"""The stories, in memory: what every ring must find, found by the folds alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from territory.errors import ModelRefused
from territory.wire.keys import partition_of
from tests.support.expectations import differences
from tests.support.memory import MemoryHouse, dice
from tests.support.stepping import Dice
from tests.support.stories import ORG, Apply, Expect, Publish, Raw, Refuse, Restart, Story, load_stories

SCENARIOS = Path(__file__).parents[1] / "scenarios"
STORIES = load_stories(SCENARIOS)
SEEDS = range(5)

each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


@each_story
def test_story(story: Story) -> None:
    """A story's expectations hold when everything is worked off in order."""
    _tell(story, restless=None)


@pytest.mark.parametrize("seed", SEEDS)
@each_story
def test_story_out_of_step(story: Story, seed: int) -> None:
    """They hold all the same when stages lag behind one another and workers come and go (A9)."""
    _tell(story, restless=seed)


def _tell(story: Story, restless: int | None) -> None:
    random = dice(restless or 0)
    house = MemoryHouse(partitions=3 if restless is None else 1 + restless)
    if restless is not None and restless % 2:
        house.partitioner = partition_of  # as librdkafka's clients (A13)
    if story.model is not None:
        house.apply_model(story.model)
    for number, step in enumerate(story.steps):
        if isinstance(step, Expect):
            house.run(random)
            assert differences(step, house.state_of(ORG)) == [], f"step {number}"
        else:
            _do(step, house)
        if restless is not None:
            _disturb(house, random)


def _do(step: Publish | Apply | Refuse | Restart, house: MemoryHouse) -> None:
    match step:
        case Publish(messages):
            for message in messages:
                house.publish(message.value, message.key) if isinstance(message, Raw) else house.publish(message)
        case Apply(model):
            house.apply_model(model)
        case Refuse(model):
            with pytest.raises(ModelRefused):
                house.apply_model(model)
        case Restart():
            house.restart_all()


def _disturb(house: MemoryHouse, random: Dice) -> None:
    house.compact()
    for _ in range(random.randint(0, 60)):
        house.step(random)
        if random.randint(0, 9) == 0:
            house.restart(*random.choice(house.places))
