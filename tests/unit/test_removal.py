"""An organisation is removed with everything of it, and others notice nothing (A12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from territory.wire import topics
from tests.support.memory import PHASES, MemoryHouse, dice
from tests.support.stepping import Dice
from tests.unit.support.oracle_examples import TREE, delete, link, model, patch, upsert

GONE, STAYS = "acme", "other"
WON = {"stage": "Won", "amount": "100", "close_date": "2017-07-01", "state": "CA", "country": "US"}
IN_CA = {"country": "US", "state": "CA"}
TARGETS = [{"territory": "us-west", "period": "2017-Q3", "amount": "10"}]
COMPACTED = [topic for topic in topics.TOPICS if topic.cleanup == "compact"]
SEEDS = range(12)
STEPS = 1_500


def of(org: str, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return changes as another organisation's."""
    return [{**change, "org_id": org, "event_id": f"{org} {change['event_id']}"} for change in changes]


def history() -> list[dict[str, Any]]:
    """Return changes of all kinds: families, a foreign contact, a move, a deletion, a link, a patch that waits."""
    changes = [upsert("account", f"A-{n}", owner_id="rita", fields=IN_CA) for n in range(5)]
    changes += [upsert("contact", f"C-{n}", owner_id="emma", account_id=f"A-{n}") for n in range(5)]
    changes += [
        upsert("deal", f"D-{n}", owner_id="rita", account_id=f"A-{n}", contact_id=f"C-{(n + 1) % 5}", fields=WON)
        for n in range(5)
    ]
    changes += [
        upsert("deal", "D-alone", owner_id="rita", contact_id="C-1", fields=WON),
        upsert("deal", "D-left-out", owner_id="rita", fields={**WON, "close_date": None}),
        upsert("lead", "L-1", owner_id="rita", fields=IN_CA),
        link("account", "A-3", "us-west"),
        link("account", "A-unknown", "us-west"),
        patch("account", "A-awaited", 2, fields=IN_CA),
        patch("contact", "C-2", 2, account_id="A-4"),
        delete("contact", "C-3", 2),
        delete("lead", "L-1", 2),
    ]
    return changes


def documents(org: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an organisation's model with targets, and the same with a closed period."""
    first = {**model(TREE, targets=TARGETS), "org": org}
    return first, {**first, "frozen_periods": ["2017-Q3"]}


def live_messages(house: MemoryHouse, org: str) -> Iterator[tuple[str, str]]:
    """Yield topic and key of each live message of an organisation, after compaction, partition by partition."""
    for topic in COMPACTED:
        for partition in range(topic.partitions or house.partitions):
            log, last = house.log(topic.name, partition), dict[str, bytes | None]()
            for _, stored in log.between(0, len(log)):
                last[stored.key.decode()] = stored.value
            yield from ((topic.name, key) for key, value in last.items() if value is not None and of_org(key, org))


def of_org(key: str, org: str) -> bool:
    return key.split("/", 1)[0] == org


def assert_nothing_is_left(house: MemoryHouse, org: str) -> None:
    """Kafka has the removal alone, Redis and memory have nothing."""
    assert list(live_messages(house, org)) == [(topics.MODEL.name, f"{org}/activation/model")]
    redis = house.redis
    for found in (redis.visible, redis.editable, redis.attainments):  # the command deletes the two lists of deals
        assert [place for place in found if place[0] == org] == []
    assert org not in redis.admins
    assert [key for key in redis.records if of_org(key, org)] == []
    for place in house.places:
        [task] = house._workers[place].loop._tasks.values()
        assert org not in task.revisions, "it would get an entry of its progress in Redis again"
        fold: Any = house.fold(place)
        match place[0]:
            case "intake":
                assert [key for key in fold._records if of_org(key, org)] == []
            case "assigning":
                assert list(fold._table.family_keys(org)) == []
            case "indexing" | "totals":
                assert fold.keys(org) == []
            case "summing":
                assert not fold.ledger(org).deals
                assert not fold.ledger(org).closed.frozen_deals


def filled(partitions: int, random: Dice) -> MemoryHouse:
    """Return a house with two organisations that have a past: a resynchronised index, a closed period, adjustments."""
    house = MemoryHouse(partitions)
    for org in (GONE, STAYS):
        first, closed = documents(org)
        house.apply_model(first)
        for change in of(org, history()):
            house.publish(change)
        house.run(random)
        house.apply_model(closed)
        house.run(random)
        house.publish(of(org, [patch("deal", "D-1", 2, fields={"amount": "70"})])[0])
    house.run(random)
    house.lose_redis()
    house.run(random)
    assert {org for org, *_ in house.redis.adjustments} == {GONE, STAYS}
    return house


def late() -> list[dict[str, Any]]:
    """Return changes that come during a removal."""
    return [
        upsert("account", "A-late", owner_id="rita", fields=IN_CA),
        patch("deal", "D-2", 2, fields={"amount": "55"}),
        patch("contact", "C-4", 2, account_id="A-0"),
        delete("account", "A-1", 2),
        upsert("deal", "D-late", owner_id="rita", account_id="A-2", contact_id="C-0", fields=WON),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_of_an_organisation_goes_and_others_notice_nothing(seed: int) -> None:
    """Under traffic of both, with workers lost at any point; the other one's end state is the oracle's (A12)."""
    random = dice(seed)
    house = filled(random.randint(1, 3), random)
    arriving = [*of(GONE, late()), *of(STAYS, late())]
    random.shuffle(arriving)
    for change in arriving[:4]:  # some are under way when the organisation is removed
        house.publish(change)
    for _ in range(random.randint(0, 60)):
        house.step(random)
    house.remove_organisation(GONE)
    waiting = arriving[4:]
    for _ in range(STEPS):
        match random.randint(0, 50):
            case 0:
                house.crash(*random.choice(house.places), before=random.choice(PHASES), random=random)
            case 1 if waiting:
                house.publish(waiting.pop())
            case 2 if random.randint(0, 9) == 0:
                house.remove_organisation(GONE)  # the command was interrupted, and is run again
            case _:
                house.step(random)
    for change in waiting:
        house.publish(change)
    house.run(random)
    assert_nothing_is_left(house, GONE)
    changes = [json.loads(stored.value) for stored in published(house) if of_org(stored.key.decode(), STAYS)]
    found = house.state_of(STAYS)
    untouched = filled_alone(house.partitions, changes)
    assert found == untouched.state_of(STAYS)
    house.compact()
    house.restart_all()
    house.lose_redis()
    house.run(random)
    assert_nothing_is_left(house, GONE)
    assert house.state_of(STAYS) == found


def published(house: MemoryHouse) -> Iterator[Any]:
    for partition in range(house.partitions):
        log = house.log(topics.RECORDS.name, partition)
        yield from (stored for _, stored in log.between(0, len(log)) if stored.value is not None)


def filled_alone(partitions: int, changes: list[dict[str, Any]]) -> MemoryHouse:
    """Return a house in which the other organisation never had a neighbour."""
    house = MemoryHouse(partitions)
    first, closed = documents(STAYS)
    house.apply_model(first)
    known = {change["event_id"] for change in of(STAYS, history())}
    before = [change for change in changes if change["event_id"] in known]
    for change in before:
        house.publish(change)
    house.run()
    house.apply_model(closed)
    house.run()
    for change in changes:
        if change["event_id"] not in known:
            house.publish(change)
    house.run()
    return house


def test_late_changes_are_ignored_until_a_model_is_applied_again() -> None:
    """A removed organisation takes no records; applied again it begins anew, whatever its versions were (A12)."""
    random = dice(1)
    house = filled(2, random)
    house.remove_organisation(GONE)
    house.run(random)
    for change in of(GONE, late()):
        house.publish(change)
    house.run(random)
    assert_nothing_is_left(house, GONE)
    first, _ = documents(GONE)
    revision = house.apply_model(first)
    assert revision == 4
    house.run(random)  # as `territory apply` waits
    again = of(GONE, [upsert("account", "A-0", owner_id="rita", fields=IN_CA)])
    for change in again:
        house.publish(change)
    house.run(random)
    assert [key for key in house.assignments() if of_org(key, GONE)] == [f"{GONE}/account/A-0"]
