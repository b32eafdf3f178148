"""One worker stops at each thing that its turn does, while all others go on; then it goes on, or is lost.

Each history is one that went wrong once, or could.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from territory.wire.keys import partition_of
from tests.support.memory import PHASES, STAGES, MemoryHouse, Place, dice
from tests.support.oracle import expected
from tests.support.stepping import Dice
from tests.support.strategies import Change, Document
from tests.unit.support.oracle_examples import FIELDS, TREE, delete, link, model, patch, upsert
from tests.unit.test_against_oracle import assert_agrees, assert_redis_agrees

PARTITIONS = 2
STEPS_MAX = 36
STRIDE = 1 if settings().max_examples > 100 else 5
"""Every stop in the thorough profile, else a part of them."""
PLACES: list[Place] = [(stage.name, partition) for stage in STAGES for partition in range(PARTITIONS)]


def accounts_apart() -> tuple[str, str]:
    """Return two accounts whose families are in different partitions."""
    one, *others = [f"A-{number}" for number in range(20)]
    return one, next(
        other
        for other in others
        if partition_of(f"acme/account/{other}", PARTITIONS) != partition_of(f"acme/account/{one}", PARTITIONS)
    )


HERE, THERE = accounts_apart()
IN_US = {"country": "US"}
IN_CA = {"country": "US", "state": "CA"}
WON = {"amount": "999999999999999999999999999999", "stage": "Won", "close_date": "2017-03-01"}
TARGETS = [
    {"territory": territory, "period": period, "amount": "250"}
    for territory in ("world", "us", "us-west")
    for period in ("2017-Q1", "2017-Q2")
]
PLAIN = model()
WITH_TARGETS = model(targets=TARGETS)
WITHOUT_WEST = model([node for node in TREE if node["id"] not in ("us-west", "bay")], targets=TARGETS[:4])
RULED_ANEW = model([{**node, "rules": {}} if node["id"] == "us-west" else node for node in TREE])
FAMILY = [
    upsert("account", HERE, owner_id="rita", fields=IN_CA),
    upsert("account", THERE, owner_id="emma", fields=IN_US),
    upsert("contact", "C", owner_id="rita", account_id=HERE),
    upsert("deal", "D", owner_id="rita", account_id=HERE, contact_id="C", fields=WON),
]

FOREIGN = [*FAMILY[:3], upsert("deal", "D", owner_id="rita", account_id=THERE, contact_id="C", fields=WON)]
"""The deal names a contact of another account, in another partition."""
ALONE = [*FAMILY[:3], upsert("deal", "D", owner_id="rita", contact_id="C", fields=WON)]
"""The deal names a contact and no account."""

CONTACT_FIELDS = {**FIELDS, "contact": {"title": "text"}}


def sharing(criteria: Document, to: Document, **sections: Any) -> Document:
    """Return a model that shares accounts, and contacts of its own, and rolls up territory access."""
    rules = [
        {"id": "s1", "object": "account", "criteria": criteria, "to": to, "level": "edit"},
        {"id": "s2", "object": "contact", "criteria": {"field": "title", "is_not_empty": True}, "to": {"user": "rolf"}},
    ]
    return model(TREE, fields=CONTACT_FIELDS, sharing=rules, **sections)


SHARED_HERE = sharing({"field": "state", "eq": "CA"}, {"user": "emma"})
SHARED_THERE = sharing(
    {"field": "state", "ne": "CA"}, {"role_and_below": "vp-east"}, settings={"territory_access_rolls_up_roles": True}
)

Story = tuple[Document | None, list[Change], Document | None, list[Change]]
"""A model and changes that are worked off; then another model and changes, amid which a worker stops."""

STORIES: dict[str, Story] = {
    "a contact moves to another account": (PLAIN, FAMILY, None, [patch("contact", "C", 2, account_id=THERE)]),
    "a contact moves while the rules change": (
        PLAIN,
        FAMILY,
        RULED_ANEW,
        [patch("contact", "C", 2, account_id=THERE)],
    ),
    "a contact moves away and back": (
        PLAIN,
        FAMILY,
        None,
        [patch("contact", "C", 2, account_id=THERE), patch("contact", "C", 3, account_id=HERE)],
    ),
    "a contact is deleted and comes again elsewhere": (
        PLAIN,
        FAMILY,
        None,
        [delete("contact", "C", 2), upsert("contact", "C", 3, owner_id="rita", account_id=THERE)],
    ),
    "a contact is born, deleted and born elsewhere at once": (
        PLAIN,
        FAMILY[:2],
        None,
        [FAMILY[2], delete("contact", "C", 2), upsert("contact", "C", 3, owner_id="rita", account_id=THERE)],
    ),
    "a contact moves and is deleted": (
        PLAIN,
        FAMILY,
        RULED_ANEW,
        [patch("contact", "C", 2, account_id=THERE), delete("contact", "C", 3)],
    ),
    "a deal moves with the rules": (PLAIN, FAMILY, RULED_ANEW, [patch("deal", "D", 2, account_id=THERE)]),
    "an account is deleted under its contact and deal": (PLAIN, FAMILY, None, [delete("account", HERE, 2)]),
    "a patch comes too early": (
        PLAIN,
        [],
        None,
        [patch("account", HERE, 2, fields=IN_CA), upsert("account", HERE, owner_id="rita", fields=IN_US)],
    ),
    "a link comes between a death and a birth": (
        PLAIN,
        FAMILY,
        None,
        [
            delete("account", HERE, 2),
            link("account", HERE, "bay"),
            upsert("account", HERE, 3, owner_id="rita", fields=IN_US),
        ],
    ),
    "a model takes territories and their targets away": (WITH_TARGETS, FAMILY, WITHOUT_WEST, []),
    "a model comes first, its targets with it": (None, FAMILY, WITH_TARGETS, []),
    "a model comes amid the records": (None, FAMILY[:2], PLAIN, FAMILY[2:]),
    "an owner is deactivated while he gets a record": (
        PLAIN,
        FAMILY,
        model(users=[{"id": "cleo", "role": "ceo"}, {"id": "rita", "role": "rep-west", "active": False}]),
        [patch("account", THERE, 2, owner_id="rita")],
    ),
    "a deal's contact of another account moves, and that account changes": (
        PLAIN,
        FOREIGN,
        None,
        [
            patch("contact", "C", 2, account_id=THERE),
            patch("contact", "C", 3, account_id=HERE),
            patch("account", HERE, 2, fields=IN_US),
        ],
    ),
    "the account of a deal's contact changes with the rules": (
        PLAIN,
        FOREIGN,
        RULED_ANEW,
        [patch("account", HERE, 2, fields=IN_US), patch("deal", "D", 2, fields={"amount": "5"})],
    ),
    "a deal without an account loses its contact, which comes again elsewhere": (
        PLAIN,
        ALONE,
        None,
        [
            delete("contact", "C", 2),
            upsert("contact", "C", 3, account_id=THERE),
            patch("deal", "D", 2, contact_id=None),
            patch("deal", "D", 3, contact_id="C"),
        ],
    ),
    "sharing rules change, and what they ask for": (
        SHARED_HERE,
        FAMILY,
        SHARED_THERE,
        [patch("account", THERE, 2, fields=IN_CA), patch("contact", "C", 2, fields={"title": "Dr"})],
    ),
    "sharing rules go while a contact moves": (
        SHARED_THERE,
        [*FAMILY, patch("contact", "C", 2, fields={"title": "Dr"})],
        PLAIN,
        [patch("contact", "C", 3, account_id=THERE)],
    ),
}

FIRST, SECOND, THIRD = DAYS = date(2017, 2, 28), date(2017, 3, 1), date(2017, 3, 2)


def of_days(**entries: Any) -> Document:
    """Return a model in which the day decides who is in the west."""
    today = {"field": "since", "within_last_days": 0}
    nodes = [{**node, "rules": {"account": today}} if node["id"] == "us-west" else node for node in TREE]
    fields = {**FIELDS, "account": {**FIELDS["account"], "since": "date"}}
    shared = {"id": "s1", "object": "account", "criteria": {"not": today}, "to": {"role": "rep-west"}}
    return model(nodes, fields=fields, sharing=[shared], **entries)


def accounts_of(*days: date) -> list[Change]:
    """Return accounts in the US that are in the west on one day each, in turn."""
    return [
        upsert(
            "account", f"A-{number}", owner_id="rita", fields={**IN_US, "since": days[number % len(days)].isoformat()}
        )
        for number in range(8)
    ]


DAILY = of_days()
FOLLOWERS = [
    upsert("contact", "C", owner_id="rita", account_id="A-1"),
    upsert("deal", "D", owner_id="rita", account_id="A-1", contact_id="C", fields=WON),
]
FEWER = of_days(users=[{"id": "cleo", "role": "ceo"}, {"id": "rita", "role": "rep-west", "active": False}])

DAY_STORIES: dict[str, Story] = {
    "nothing but the day": (DAILY, [*accounts_of(*DAYS), *FOLLOWERS], None, []),
    "an account is of another day": (
        DAILY,
        [*accounts_of(SECOND), *FOLLOWERS],
        None,
        [patch("account", "A-1", 2, fields={"since": THIRD.isoformat()})],
    ),
    "a contact moves to an account of another day": (
        DAILY,
        [*accounts_of(SECOND, FIRST), *FOLLOWERS],
        None,
        [patch("contact", "C", 2, account_id="A-2")],
    ),
    "the model changes as well": (DAILY, [*accounts_of(*DAYS), *FOLLOWERS], FEWER, []),
    "days count no more": (DAILY, [*accounts_of(*DAYS), *FOLLOWERS], PLAIN, []),
}

each_story = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())


@pytest.mark.parametrize("beginning", ["at rest", "at once", "Redis lost"])
@each_story
def test_interruption_is_of_no_account(story: Story, beginning: str) -> None:
    """Whoever stops, wherever, for however long: the end state is the same (A8, A9, V5, F1)."""
    before, history, after, changes = story
    wanted = expected({"acme": after or before or {}}, [*history, *changes])
    for number, place in enumerate(PLACES):
        for steps in range((number + len(history)) % STRIDE, STEPS_MAX, STRIDE):
            house, random = MemoryHouse(PARTITIONS), dice(steps)
            happen(house, before, history)
            if beginning != "at once":
                house.run(random)
                house.compact()
            if beginning == "Redis lost":
                house.lose_redis()
            happen(house, after, changes)
            if not stop(house, place, steps, random):
                break
            house.run(random)
            assert_agrees(house.found(), wanted)
            assert_redis_agrees(house)


@pytest.mark.parametrize("last", DAYS, ids=["clock set back", "same day", "another day"])
@pytest.mark.parametrize("awake", [True, False], ids=["in its sweep", "before its sweep"])
@pytest.mark.parametrize("story", DAY_STORIES.values(), ids=DAY_STORIES.keys())
def test_day_passes_while_a_worker_stops(story: Story, awake: bool, last: date) -> None:
    """Before or amid the sweep of a day, until that or another day: the end state is the last day's (C7, A9)."""
    before, history, after, changes = story
    wanted = expected({"acme": on_day(after or before or {}, last)}, [*history, *changes])
    for number, place in enumerate(place for place in PLACES if place[0] in ("assigning", "indexing", "summing")):
        for steps in range(number % STRIDE, 3 * STEPS_MAX, STRIDE):
            house, random = MemoryHouse(PARTITIONS), dice(steps)
            house.day = FIRST
            happen(house, before, history)
            house.run(random)
            house.compact()
            house.day = SECOND
            happen(house, after, changes)
            house.run(random, only=earlier_than(place))
            if awake:
                house.hear(place)
            if not house.advance(place, steps // 2, random):
                break
            house.run(random, only=[other for other in PLACES if other != place])
            house.day = last
            if steps % 2:
                house.restart(*place)
            house.run(random)
            assert_agrees(house.found(), wanted)
            assert_redis_agrees(house)


def test_what_was_begun_is_repeated_under_its_day() -> None:
    """Of a turn without a commit the followers were told, too: they are corrected when the day passes (A9, C7).

    Under the next day alone the repeat has nothing to say of them.
    """
    house, random = MemoryHouse(1), dice(0)
    house.day = FIRST
    history = [*accounts_of(THIRD), *FOLLOWERS]
    happen(house, DAILY, history)
    house.run(random)
    moved = patch("account", "A-1", 2, fields={"since": FIRST.isoformat()})
    happen(house, None, [moved])
    house.run(random, only=earlier_than(("assigning", 0)))
    assert house.crash("assigning", 0, before="commit", random=random)
    assert house.assignments()["acme/contact/C"].territories == ("us-west",)
    house.day = SECOND
    house.run(random)
    assert_agrees(house.found(), expected({"acme": on_day(DAILY, SECOND)}, [*history, moved]))


@given(st.integers(0, 2**32))
@settings(max_examples=2 * settings().max_examples)
def test_days_come_and_go(seed: int) -> None:
    """Days, models, records and crashes in any order: the end state is that of the last day (C7, A9)."""
    house, random = MemoryHouse(1), dice(seed)
    house.day = FIRST
    document, history = DAILY, [*accounts_of(*DAYS)[:4], *FOLLOWERS]
    happen(house, document, history)
    house.run(random)
    assigning: Place = ("assigning", 0)
    for version in range(2, 30):
        match random.randint(0, 9):
            case 0 | 1 | 2:
                house.day = random.choice(DAYS)
            case 3 if random.randint(0, 2) == 0:
                document = random.choice((DAILY, FEWER, PLAIN))
                happen(house, document, [])
            case 4 | 5:
                change = random.choice((
                    patch("account", "A-1", version, fields={"since": random.choice(DAYS).isoformat()}),
                    patch("contact", "C", version, account_id=f"A-{random.randint(0, 3)}"),
                    patch("deal", "D", version, account_id=f"A-{random.randint(0, 3)}"),
                ))  # fmt: skip
                history.append(change)
                happen(house, None, [change])
                house.run(random, only=earlier_than(assigning))
            case 6 | 7:
                house.advance(assigning, random.randint(0, 4), random)
                house.crash(*assigning, before=random.choice(PHASES), random=random)
            case _:
                if random.randint(0, 1):
                    house.hear(assigning)
                house.advance(assigning, random.randint(1, 8), random)
    house.run(random)
    assert_agrees(house.found(), expected({"acme": on_day(document, house.day)}, history))
    assert_redis_agrees(house)


def on_day(document: Document, day: date) -> Document:
    """Return a model as the oracle takes it: with its day."""
    return {**document, "today": day}


def stop(house: MemoryHouse, place: Place, steps: int, random: Dice) -> bool:
    """Let one worker stop after some steps until the others are done; return whether it had so much to do.

    Until then it has not heard of the last model. Of three times it goes on once, is lost there
    once, and once a bit later.
    """
    house.run(random, only=earlier_than(place))
    if not house.advance(place, steps // 3, random):
        return False
    house.run(random, only=[other for other in PLACES if other != place])
    if steps % 3 == 2:
        house.hear(place)
        house.advance(place, random.randint(1, 6), random)
    if steps % 3:
        house.restart(*place)
    return True


def earlier_than(place: Place) -> list[Place]:
    """Return the workers of the stages before one."""
    stages = [stage.name for stage in STAGES]
    return [other for other in PLACES if stages.index(other[0]) < stages.index(place[0])]


def happen(house: MemoryHouse, document: Document | None, changes: list[Change]) -> None:
    """Apply a model, then publish changes."""
    if document is not None:
        house.apply_model(document)
    for number, change in enumerate(changes):
        whole: dict[str, Any] = {"event_id": f"e{number}", "occurred_at": "2017-01-02T08:00:00Z", **change}
        house.publish(whole)
