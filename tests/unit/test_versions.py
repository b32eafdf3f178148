"""Upgrades: today's workers continue from what an earlier version left, and ignore what a later one adds.

versions/ has what a whole deployment of an earlier commit left after a story: every message, and every committed
offset with its metadata. That commit's own code wrote them, run in memory. tests/e2e/test_versions.py runs workers
of both versions at once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from territory.wire import topics
from territory.wire.codec import encode, reader_of
from territory.wire.events import Link, ModelActivated, ModelPiece, read_access_change, read_attainment, read_record
from territory_runtime.loop.commit_metadata import CommitMetadata
from tests.support.expectations import differences
from tests.support.memory import GROUPS, PHASES, STAGES, MemoryHouse, dice
from tests.support.memory_log import Stored
from tests.support.memory_redis import MemoryRedis
from tests.support.stepping import Process
from tests.support.stories import ORG, Expect, Publish, Story, load_stories
from tests.unit.support.oracle_examples import model, upsert
from tests.unit.territory.examples import EVENTS, FEW, dumps, json_values
from tests.unit.test_interruptions import happen

RECORDED = sorted((Path(__file__).parent / "versions").glob("*.jsonl"))
FOREIGN = sorted((Path(__file__).parent / "versions" / "before-foreign-contacts").glob("*.jsonl"))
RULES_CHANGED = sorted((Path(__file__).parent / "versions" / "before-editions").glob("*.jsonl"))
"""Stories of which that version's output was another: days and zones, money, unreadable values, fiscal years."""
STORIES = {story.name: story for story in load_stories(Path(__file__).parents[1] / "scenarios")}

PRODUCTION = [MemoryHouse(1).stage(stage.name, Process()) for stage in STAGES]
READERS = {topic: read for stage in PRODUCTION for topic, read in stage.readers.items()} | {
    stage.state[0].name: stage.state[1] for stage in PRODUCTION
}
READERS[topics.ATTAINMENTS.name] = read_attainment
READERS[topics.ACCESS_CHANGES.name] = read_access_change

each_house = pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)


def lines_of(recorded: Path) -> Iterator[dict[str, Any]]:
    """Yield what an earlier version left: a message, or a committed offset, a line."""
    with recorded.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def story_of(recorded: Path) -> Story:
    """Return the story that was played; a file's name is the commit's and the story's."""
    return STORIES[recorded.stem.partition("-")[2]]


def taken_over(recorded: Path) -> MemoryHouse:
    """Return a pipeline of today whose workers find what an earlier version left on its topics, and an empty Redis."""
    house = MemoryHouse(partitions=2)
    for line in lines_of(recorded):
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
    house.redis = MemoryRedis(house.partitions)  # it has fences of workers that started before the recording
    house.restart_all()
    return house


def test_two_versions_are_recorded() -> None:
    """The files are there: three stories of each commit."""
    assert Counter(path.stem.partition("-")[0] for path in RECORDED) == {"5f9ea46": 3, "489376a": 3}


@each_house
def test_messages_of_an_earlier_version_are_read(recorded: Path) -> None:
    """Today's reader of a topic reads every message; attributes that were added later have their defaults."""
    read = 0
    for line in lines_of(recorded):
        if line.get("value") is None:
            continue
        kind = ModelActivated if line["key"].endswith("/activation/model") else ModelPiece
        reader = READERS.get(line["topic"]) or reader_of(kind)
        assert reader(line["value"].encode()) is not None
        read += 1
    assert read > 20


@each_house
def test_commit_metadata_of_an_earlier_version_is_read(recorded: Path) -> None:
    """It means the same activation and day as before, and is written the same way."""
    notes = [line["note"] for line in lines_of(recorded) if "note" in line]
    assert len(notes) == len(STAGES) * 2
    assert all(str(CommitMetadata.read(note)) == note for note in notes)


def emitted_in(house: MemoryHouse) -> list[list[bytes]]:
    """Return the keys of the assignments on each partition, in their order."""
    logs = [house.log(topics.ASSIGNMENTS.name, partition) for partition in range(2)]
    return [[message.key for _, message in log.between(0, len(log))] for log in logs]


@each_house
def test_workers_continue_from_an_earlier_version(recorded: Path) -> None:
    """They fill Redis, and the end state is the story's; every assignment is emitted once more, as the assigner has
    another edition, and not again at the next restart (A9, ADR 0019)."""
    house = taken_over(recorded)
    emitted = emitted_in(house)
    assert sum(map(len, emitted))
    house.run()
    for before, after in zip(emitted, emitted_in(house), strict=True):
        assert after[: len(before)] == before
        assert len(set(after[len(before) :])) == len(after) - len(before)
    emitted = emitted_in(house)
    house.restart_all()
    house.run()
    assert emitted_in(house) == emitted
    expect = [step for step in story_of(recorded).steps if isinstance(step, Expect)][-1]
    assert differences(expect, house.state_of(ORG)) == []
    assert house.dead_letters == {}


def test_groups_that_an_earlier_version_ignored() -> None:
    """An earlier access indexer gave members nothing; its successor gives what the same model gives (V10, A8)."""
    house = MemoryHouse(2)
    happen(house, model(groups=[{"id": "queue", "users": ["rita"]}]), [upsert("lead", "L", owner_id="queue")])
    house.run()
    sets = {("acme", user, "lead"): {"L"} for user in ("rita", "vera", "cleo")}
    assert house.redis.visible == house.redis.editable == sets
    house.redis.visible.clear()
    house.redis.editable.clear()
    for at, committed in list(house.cluster.committed[GROUPS["indexing"]].items()):
        earlier = str(CommitMetadata.read(committed.metadata)._replace(edition=0))
        house.commit("indexing", at.partition, {at.topic: committed.offset}, earlier)
    house.restart_all()
    house.run()
    assert house.redis.visible == house.redis.editable == sets


def test_sums_of_an_earlier_edition_are_published_once() -> None:
    """Sums that mean something else since a release are all published after the upgrade, and once (ADR 0019, F14)."""
    house = MemoryHouse(partitions=1)
    story = STORIES["fiscal-years"]
    assert story.model is not None
    house.apply_model(story.model)
    assert isinstance(story.steps[0], Publish)
    for change in story.steps[0].changes:
        house.publish(change)
    house.run()
    group = next(stage.group for stage in STAGES if stage.name == "summing")
    before = {key for key in house.last_values(topics.PARTIALS.name) if not key.endswith("/#0")}
    for number in range(2):
        committed = house.cluster.committed[group]
        for where, each in committed.items():
            metadata = CommitMetadata.read(each.metadata)
            assert metadata.edition > 0
            if number == 0:
                committed[where] = each._replace(metadata=str(metadata._replace(edition=0)))
        end = len(house.log(topics.PARTIALS.name, 0))
        house.restart("summing", 0)
        house.run()
        again = [stored.key.decode() for _, stored in house.log(topics.PARTIALS.name, 0).between(end, 10_000)]
        assert {key for key in again if not key.endswith("/#0")} == (before if number == 0 else set())
    assert "acme/west/2017/bob#0" in before


def test_values_that_an_earlier_version_took_for_missing() -> None:
    """An earlier assigner assigned a record by a value that it could not read; its successor takes that back (C2)."""
    house = MemoryHouse(2)
    open_to_all = {"account": {"not": {"field": "vip", "eq": True}}}
    document = model([{"id": "world"}, {"id": "open", "parent": "world", "users": ["rita"], "rules": open_to_all}])
    happen(
        house, document | {"fields": {"account": {"vip": "boolean"}}}, [upsert("account", "A", fields={"vip": "on"})]
    )
    house.run()
    right = house.assignments()["acme/account/A"]
    assert right.links == ()
    wrong = replace(right, links=(Link("open", ("rule",), ()),))
    log = next(log for number in range(2) if len(log := house.log(topics.ASSIGNMENTS.name, number)))
    log.append(list(log.between(0, len(log)))[-1][1]._replace(value=encode(wrong)))
    for at, committed in list(house.cluster.committed[GROUPS["assigning"]].items()):
        if at.topic == topics.FAMILIES.name:
            earlier = str(CommitMetadata.read(committed.metadata)._replace(edition=0))
            house.commit("assigning", at.partition, {at.topic: committed.offset}, earlier)
    house.restart_all()
    house.run()
    assert house.assignments()["acme/account/A"].links == ()
    assert house.redis.visible == {}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("recorded", FOREIGN, ids=lambda path: path.stem)
def test_deals_get_contacts_of_other_families_after_an_upgrade(recorded: Path, seed: int) -> None:
    """Without anybody's action, and whoever stops meanwhile; no other record changes (A6, A9).

    The version before decided them by their accounts, and stopped before the story's first expectation.
    """
    house, random = taken_over(recorded), dice(seed)
    before = dict(house.assignments())
    for _ in range(seed):
        for _ in range(random.randint(0, 20)):
            house.step(random)
        house.crash("assigning", random.randrange(2), before=random.choice(PHASES), random=random)
        house.restart("intake", random.randrange(2))
    house.run(random)
    expect = next(step for step in story_of(recorded).steps if isinstance(step, Expect))
    assert differences(expect, house.state_of(ORG)) == []
    assert house.dead_letters == {}
    changed = {key for key, found in house.assignments().items() if found.links != before[key].links}
    assert changed
    assert all(key.startswith(f"{ORG}/deal/") for key in changed)


def told_today(story: Story) -> MemoryHouse:
    """Return a pipeline that today's version alone has run, up to the story's first expectation."""
    house = MemoryHouse(partitions=2)
    assert story.model is not None
    house.apply_model(story.model)
    for step in takewhile(lambda step: not isinstance(step, Expect), story.steps):
        assert isinstance(step, Publish)
        for change in step.changes:
            house.publish(change)
    house.run()
    return house


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("recorded", RULES_CHANGED, ids=lambda path: path.stem)
def test_changed_rules_hold_for_all_records_after_an_upgrade(recorded: Path, seed: int) -> None:
    """Without anybody's action, and whoever stops meanwhile, the end state is that of today's version alone: years of
    the fiscal calendar, close dates in the zone, money in rules, unreadable values (A9, ADR 0019; F14, C2, C8, C9)."""
    house, random = taken_over(recorded), dice(seed)
    today = told_today(story_of(recorded))
    wanted = today.state_of(ORG)
    for place in house.places * seed:
        for _ in range(random.randint(0, 10)):
            house.step(random)
        house.crash(*place, before=random.choice(PHASES), random=random)
    house.run(random)
    assert house.state_of(ORG) == wanted
    assert house.last_values(topics.ATTAINMENTS.name).keys() == today.last_values(topics.ATTAINMENTS.name).keys()
    expect = next(step for step in story_of(recorded).steps if isinstance(step, Expect))
    assert differences(expect, wanted) == []


@pytest.mark.parametrize("recorded", RULES_CHANGED, ids=lambda path: path.stem)
def test_rules_have_changed_since_the_recording(recorded: Path) -> None:
    """The recordings have something to mend: assignments or attainments that are others today."""
    house = taken_over(recorded)
    today = told_today(story_of(recorded))
    said = [
        (
            {key: found.links for key, found in one.assignments().items()},
            one.last_values(topics.ATTAINMENTS.name).keys(),
            one.last_values(topics.PARTIALS.name).keys(),
        )
        for one in (house, today)
    ]
    assert said[0] != said[1]


def test_accounts_that_an_earlier_version_changed_after_a_rollback_are_copied() -> None:
    """A worker that knows no copies sent none of an account that it decided; after the next upgrade deals in other
    families follow that account all the same (A6, A9)."""
    house = told_today(STORIES["contact-of-another-account"])
    group = GROUPS["assigning"]
    committed = house.cluster.committed[group]
    for where, each in list(committed.items()):
        if where.topic != topics.FAMILIES.name:
            continue
        log = house.log(where.topic, where.partition)
        for _, stored in list(log.between(0, len(log))):
            if stored.key == b"acme/account/A-2" and stored.value is not None:
                account = read_record(stored.value)
                moved = replace(account, version=account.version + 1, fields={"country": "FR"})
                log.append(stored._replace(value=encode(moved)))
        earlier = str(CommitMetadata.read(each.metadata)._replace(edition=0))
        committed[where] = each._replace(offset=len(log), metadata=earlier)
    house.restart_all()
    house.run()
    assert house.assignments()["acme/deal/D-1"].territories == ("france",)


def added_to(value: Any, more: Any) -> Any:
    """Return an event as plain JSON with an unknown attribute, in it and in the events within it."""
    if isinstance(value, Struct):
        inner = {name: added_to(getattr(value, name), more) for name in value.__struct_fields__}
        return {"added_later": more, **inner}
    return [added_to(item, more) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@FEW
def test_attributes_of_a_later_version_are_ignored(kind: Any, data: st.DataObject) -> None:
    """A reader ignores attributes that it does not know, so the previous version reads what the next one writes.

    New attributes are optional, and ignoring them is right; another meaning is a new topic.
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
def test_commit_metadata_of_a_later_version(text: str, meant: CommitMetadata) -> None:
    """Metadata in an unknown form means that nothing is known: everything is emitted again, which is harmless."""
    assert CommitMetadata.read(text) == meant
