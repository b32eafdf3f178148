"""On the way from one model to another nobody sees what neither of them shows (V8).

Everything is worked off under one model, then another comes; each worker hears of it in its own
time, and may be lost at any point. The sets are looked at after every change of them.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.memory import FIRST_DAY, PHASES, MemoryHouse, dice
from tests.support.oracle import Expected, expected
from tests.support.stepping import Dice
from tests.support.strategies import Document, Upstream, edited, models
from tests.unit.support.oracle_examples import TREE, model, patch, upsert
from tests.unit.test_against_oracle import assert_agrees, tried
from tests.unit.test_interruptions import happen

CHANGES = 25
STEPS_MAX = 5_000


@pytest.mark.parametrize("swapped", [False, True])
def test_who_is_let_in_does_not_see_what_is_about_to_leave(swapped: bool) -> None:
    """A territory's rule and its members change at once: the new ones never see the old records (V8)."""
    west = next(node for node in TREE if node["id"] == "us-west")
    others = [node for node in TREE if node["id"] != "us-west"]
    ritas = model([*others, {**west, "users": ["rita"]}])
    emmas = model([*others, {**west, "users": ["emma"], "rules": {"account": {"field": "country", "eq": "Nowhere"}}}])
    history = [upsert("account", f"A-{n}", owner_id="cleo", fields={"country": "US", "state": "CA"}) for n in range(4)]
    history.append(upsert("account", "A-4", owner_id="cleo", fields={"country": "US"}))
    late = [patch("account", "A-4", 2, fields={"state": "CA"})]
    for seed in range(30):
        assert_no_leak(*((emmas, ritas) if swapped else (ritas, emmas)), history, late, dice(seed))


@tried(1)
@given(models(), st.integers(0, 2**24))
def test_no_leak_on_the_way(before: Document, seed: int) -> None:
    """Of any two models, whatever differs between them, and whoever is lost on the way (V1, V8)."""
    random, upstream = dice(seed), Upstream()
    history = [upstream.change(random) for _ in range(CHANGES)]
    after = before
    for _ in range(random.randint(1, 3)):
        after = edited(after, random)
    assert_no_leak(before, after, history, [], random)


def assert_no_leak(
    before: Document, after: Document, history: list[dict[str, Any]], late: list[dict[str, Any]], random: Dice
) -> None:
    """Let a model follow another, some records changing meanwhile; sets never hold what none of these states gives."""
    org = before["org"]
    house = MemoryHouse(2)
    happen(house, before, history)
    house.run(random)
    shown = [
        expected({org: {**each, "today": FIRST_DAY}}, changes)
        for each in (before, after)
        for changes in (history, [*history, *late])
    ]
    house.apply_model(after)
    happen(house, None, late)
    ahead = random.choice(house.places)
    for _ in range(STEPS_MAX):
        match random.randint(0, 60):
            case 0:
                house.crash(*random.choice(house.places), before=random.choice(PHASES), random=random)
            case 1:
                ahead = random.choice(house.places)
            case 2:
                house.hear(ahead)
            case number if number > 15:
                house.advance(ahead, 1, random)
            case _:
                if not house.step(random):
                    break
        assert_shows_no_more(house, shown)
    house.run(random)
    assert_agrees(house.found(), shown[-1])


def assert_shows_no_more(house: MemoryHouse, shown: list[Expected]) -> None:
    """What sets hold, and who is an administrator, is in one of some end states."""
    for kind in ("visible", "editable"):
        for place, ids in getattr(house.redis, kind).items():
            allowed = set().union(*(getattr(each, kind).get(place, set()) for each in shown))
            assert ids <= allowed, (kind, place)
    for org, users in house.redis.admins.items():
        assert users <= set().union(*(each.admins.get(org, set()) for each in shown))
