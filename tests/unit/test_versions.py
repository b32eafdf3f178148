"""Workers of another version: what the one before left on the topics is gone on from, what the next one adds is let be.

versions/ has what a whole house of an earlier commit left after a story: every message, every offset and note.
They were written by that commit's own code, run in memory. tests/e2e/test_versions.py has both at work at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from territory.wire import topics
from territory.wire.codec import encode, reader_of
from territory.wire.events import ModelActivated, ModelPiece, read_access_change, read_attainment
from territory_runtime.loop.commit_metadata import CommitMetadata
from tests.support.expectations import differences
from tests.support.memory import STAGES, MemoryHouse
from tests.support.memory_log import Stored
from tests.support.memory_redis import MemoryRedis
from tests.support.stepping import Process
from tests.support.stories import ORG, Expect, Story, load_stories
from tests.unit.territory.examples import EVENTS, FEW, dumps, json_values

LEFT = sorted((Path(__file__).parent / "versions").glob("*.jsonl"))
STORIES = {story.name: story for story in load_stories(Path(__file__).parents[1] / "scenarios")}

PRODUCTION = [MemoryHouse(1).stage(stage.name, Process()) for stage in STAGES]
READERS = {topic: read for stage in PRODUCTION for topic, read in stage.readers.items()} | {
    stage.state[0].name: stage.state[1] for stage in PRODUCTION
}
READERS[topics.ATTAINMENTS.name] = read_attainment
READERS[topics.ACCESS_CHANGES.name] = read_access_change

each_house = pytest.mark.parametrize("left", LEFT, ids=lambda path: path.stem)


def lines_of(left: Path) -> Iterator[dict[str, Any]]:
    """Yield what an earlier house left, a message or a committed offset a line."""
    with left.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def story_of(left: Path) -> Story:
    """Return the story that was told to it; the file's name is the commit's and the story's."""
    return STORIES[left.stem.partition("-")[2]]


def taken_over(left: Path) -> MemoryHouse:
    """Return a house of today whose workers find what an earlier one left on its topics, and an empty Redis."""
    house = MemoryHouse(partitions=2)
    for line in lines_of(left):
        if "topic" in line:
            headers = tuple((name, text.encode()) for name, text in line["headers"])
            value = None if line["value"] is None else line["value"].encode()
            log = house.log(line["topic"], line["partition"])
            assert len(log) == line["offset"]
            log.append(Stored(line["key"].encode(), value, headers, line["ms"]))
        else:
            house.commit(line["stage"], line["partition"], line["offsets"], line["note"])
    house._pieces[ORG] = {}
    house._activate()
    house.redis = MemoryRedis(house.partitions)
    house.restart_all()
    return house


def test_there_is_something_to_take_over() -> None:
    """The files are there."""
    assert len(LEFT) == 3


@each_house
def test_messages_of_an_earlier_version_are_read(left: Path) -> None:
    """Every message, by today's reader of its topic; attributes that came later have what they have by themselves."""
    read = 0
    for line in lines_of(left):
        if line.get("value") is None:
            continue
        kind = ModelActivated if line["key"].endswith("/activation/model") else ModelPiece
        reader = READERS.get(line["topic"]) or reader_of(kind)
        assert reader(line["value"].encode()) is not None
        read += 1
    assert read > 20


@each_house
def test_notes_of_an_earlier_version_are_read(left: Path) -> None:
    """Each says what it said: up to which activation, and which day."""
    notes = [line["note"] for line in lines_of(left) if "note" in line]
    assert len(notes) == len(STAGES) * 2
    assert all(str(CommitMetadata.read(note)) == note for note in notes)


@each_house
def test_an_earlier_house_is_taken_over(left: Path) -> None:
    """Today's workers go on from there: they fill Redis, the end is the story's, and nothing is said twice (A9)."""
    house = taken_over(left)
    said = {partition: len(house.log(topics.ASSIGNMENTS.name, partition)) for partition in range(2)}
    assert sum(said.values())
    house.run()
    assert {partition: len(house.log(topics.ASSIGNMENTS.name, partition)) for partition in range(2)} == said
    expect = [step for step in story_of(left).steps if isinstance(step, Expect)][-1]
    assert differences(expect, house.state_of(ORG)) == []
    assert house.dead_letters == {}


def added_to(value: Any, more: Any) -> Any:
    """Return an event as plain JSON with an attribute that nobody knows, in it and in the events within it."""
    if isinstance(value, Struct):
        inner = {name: added_to(getattr(value, name), more) for name in value.__struct_fields__}
        return {"added_later": more, **inner}
    return [added_to(item, more) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@FEW
def test_what_a_later_version_adds_is_let_be(kind: Any, data: st.DataObject) -> None:
    """A reader passes over attributes that it does not know: so the version before reads what the next one writes.

    New attributes are optional and mean nothing to whoever does not know them; another meaning is a new topic.
    """
    event = data.draw(EVENTS[kind])
    more = json.loads(dumps(data.draw(json_values)))
    assert reader_of(kind)(encode(added_to(event, more))) == event


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", CommitMetadata()),
        ("12 of a later version", CommitMetadata()),
        ("12 1488283200 # 3 4 + 5", CommitMetadata()),
    ],
)
def test_a_note_that_a_later_version_wrote(text: str, meant: CommitMetadata) -> None:
    """A note that is not understood says that nothing is known: all is said again, which is harmless."""
    assert CommitMetadata.read(text) == meant
