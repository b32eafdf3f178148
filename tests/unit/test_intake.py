"""Intake in the whole pipeline: patches that wait, states of an earlier version, several partitions of one record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import read_record
from territory.wire.keys import partition_of, upstream_partition_of
from territory.wire.rerouting import CHANGE, REROUTED
from tests.support.memory import PHASES, MemoryHouse, dice
from tests.support.oracle import expected
from tests.support.strategies import ORG
from tests.unit.support.oracle_examples import delete, link, model, patch, upsert
from tests.unit.test_against_oracle import assert_agrees, assert_redis_agrees

HOUR_MS = 60 * 60 * 1000
IN_CA = {"country": "US", "state": "CA"}
PEOPLE = model()


def house_with(*changes: dict[str, Any], partitions: int = 2) -> MemoryHouse:
    house = MemoryHouse(partitions)
    house.apply_model(PEOPLE)
    for change in changes:
        house.publish(change)
    house.run()
    return house


def states(house: MemoryHouse, partition: int) -> dict[str, bytes]:
    """Return the last states of intake in one partition."""
    last: dict[str, bytes] = {}
    log = house.log(topics.RECORD_STATES.name, partition)
    for _, stored in log.between(0, len(log)):
        last.pop(stored.key.decode(), None)
        if stored.value is not None:
            last[stored.key.decode()] = stored.value
    return last


# --- patches that wait ------------------------------------------------------------------------


def test_patch_becomes_a_dead_letter_after_an_hour_without_any_message() -> None:
    """Also in a partition that is silent; the hour begins anew with a restart (A13)."""
    early = patch("account", "A", 2, owner_id="rita")
    house = house_with(early)
    number = upstream_partition_of("acme/account/A", 2)
    for _ in range(2):
        house.restart("intake", number)
        wake(house, number)
        house.cluster.now_ms += HOUR_MS - 60_000
        wake(house, number)
        assert house.dead_letters == {}
    house.cluster.now_ms += 61_000
    wake(house, number)
    assert house.dead_letters == {(topics.RECORDS.name, number, 0): "no_record"}
    assert states(house, number) == {}
    house.restart("intake", number)
    house.publish(upsert("account", "A", 1, owner_id="rolf"))
    house.run()
    assert house.assignments()["acme/account/A"].owner_id == "rolf"


def wake(house: MemoryHouse, number: int) -> None:
    """Let intake look at its clock; a message for another record would do as well."""
    worker = house._workers["intake", number]
    for _ in range(50):
        worker._idle_in = None
        worker.step()


@pytest.mark.parametrize("before", PHASES)
def test_crash_while_a_patch_is_given_up(before: Any) -> None:
    """The dead letter is there afterwards, and the patch is gone (A13)."""
    house = house_with(patch("account", "A", 2, owner_id="rita"))
    number = upstream_partition_of("acme/account/A", 2)
    wake(house, number)
    house.cluster.now_ms += HOUR_MS
    house._workers["intake", number]._idle_in = None
    house.crash("intake", number, before=before)
    wake(house, number)
    house.cluster.now_ms += HOUR_MS
    wake(house, number)
    assert set(house.dead_letters.values()) == {"no_record"}
    assert states(house, number) == {}


# --- states of an earlier version ---------------------------------------------------------------

PAST = [
    *(upsert("account", f"A{number}", owner_id="rita", fields=IN_CA) for number in range(4)),
    *(upsert("contact", f"C{number}", owner_id="emma", account_id=f"A{number}") for number in range(4)),
    link("account", "A1", "us-east"),
    delete("account", "A2", 2),
]
FUTURE = [
    patch("account", "A0", 2, owner_id="rolf"),
    delete("account", "A1", 3),
    patch("contact", "C3", 2, account_id="A0"),
    link("account", "A3", "us-east"),
    upsert("account", "A2", 1, owner_id="emma"),
]


def as_an_earlier_version_left_it() -> MemoryHouse:
    """Return a house whose records are where librdkafka's partitioner put them, without what this version notes."""
    house = house_with(*PAST)
    kept = {key: value for number in range(2) for key, value in states(house, number).items()}
    for number in range(2):
        house.log(topics.RECORD_STATES.name, number).trim(10**6)
    for key, value in kept.items():
        number = partition_of(key, 2)
        plain = replace(read_record(value), source_partition=-1, source_offset=-1, seen=(), seen_links=())
        old = encode(replace(plain, intake_partition=number))
        house.cluster.append(topics.RECORD_STATES.name, number, key.encode(), old)
    house.restart_all()
    return house


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.sampled_from([partition_of, upstream_partition_of]))
def test_states_of_an_earlier_version_are_found(seed: int, partitioner: Any) -> None:
    """Whatever the upstream's partitioner is now, and whenever workers stop, nothing is lost or said twice (A13)."""
    house, random = as_an_earlier_version_left_it(), dice(seed)
    house.partitioner = partitioner
    for change in FUTURE:
        for _ in range(random.randint(0, 20)):
            house.step(random)
        if random.randint(0, 2) == 0:
            house.crash("intake", random.randrange(2), before=random.choice(PHASES), random=random)
        house.publish(change)
    house.run()
    assert house.dead_letters == {}
    assert_agrees(house.found(), expected({ORG: PEOPLE}, [*PAST, *FUTURE]))
    assert_redis_agrees(house)
    for number in range(2):
        assert all(upstream_partition_of(key, 2) == number for key in states(house, number))


def test_sending_states_home_says_nothing_new() -> None:
    """No assignment is published again, and it is done without any message (ADR 0008)."""
    house = as_an_earlier_version_left_it()
    said = [len(house.log(topics.ASSIGNMENTS.name, number)) for number in range(2)]
    house.run()
    assert [len(house.log(topics.ASSIGNMENTS.name, number)) for number in range(2)] == said
    assert sum(len(states(house, number)) for number in range(2)) == 8


# --- one record on several partitions -------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 2**16), st.permutations(range(1, 8)))
def test_whole_records_on_any_partition(seed: int, versions: list[int]) -> None:
    """Upserts and a delete of a record, anywhere, in any order, under crashes: the same end (A9, A13)."""
    house, random = MemoryHouse(3), dice(seed)
    house.apply_model(PEOPLE)
    history = [
        delete("account", "A", version)
        if version == 3
        else upsert(
            "account", "A", version, owner_id=("rita", "emma")[version % 2], fields=IN_CA if version > 5 else {}
        )
        for version in versions
    ]
    for change in history:
        house.publish(change, partition=random.randrange(3))
        for _ in range(random.randint(0, 20)):
            house.step(random)
        if random.randint(0, 3) == 0:
            house.crash("intake", random.randrange(3), before=random.choice(PHASES), random=random)
    house.run()
    assert_agrees(house.found(), expected({ORG: PEOPLE}, history))
    assert_redis_agrees(house)
    assert house.dead_letters == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_patches_that_overtake_their_record(order: tuple[int, ...]) -> None:
    """A record and its patches on three partitions, each consumed alone: all are applied (A13)."""
    house = MemoryHouse(3)
    house.apply_model(PEOPLE)
    home = upstream_partition_of("acme/account/A", 3)
    changes = [
        upsert("account", "A", 1, owner_id="rita", fields={"country": "US"}),
        patch("account", "A", 2, fields={"state": "CA"}),
        patch("account", "A", 3, owner_id="emma"),
    ]
    for place, number in enumerate(order):
        house.publish(changes[number], partition=(home + place) % 3)
        if number:
            house.run()
    house.run()
    found = house.assignments()["acme/account/A"]
    assert (found.owner_id, found.version) == ("emma", 3)
    assert house.dead_letters == {}


def test_changes_at_home_take_no_detour() -> None:
    """What arrives at home costs no further message, and what does not costs one (A13)."""
    house, _away = MemoryHouse(3), (upstream_partition_of("acme/account/A", 3) + 1) % 3
    house.publish(upsert("account", "A"))
    house.run()
    assert sent_home(house) == 0
    house.publish(
        patch("account", "A", 2, owner_id="rita"), partition=(upstream_partition_of("acme/account/A", 3) + 1) % 3
    )
    house.run()
    assert sent_home(house) == 1


def sent_home(house: MemoryHouse) -> int:
    logs = [house.log(topics.RELEASES.name, number) for number in range(3)]
    return sum((REROUTED, CHANGE.encode()) in stored.headers for log in logs for _, stored in log.between(0, len(log)))
