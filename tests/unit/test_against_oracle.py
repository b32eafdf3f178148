"""Whatever happens, in whatever order the services get to it, the end state is the one that the rules imply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.memory import PHASES, MemoryHouse, dice
from tests.support.oracle import Expected, expected, records_after
from tests.support.oracle_forecast import Counted, credited_user, judge, year_of
from tests.support.oracle_tree import ancestors_of
from tests.support.oracle_values import total
from tests.support.stepping import Dice
from tests.support.strategies import (
    ORG,
    PARTITIONERS,
    Apply,
    Dawn,
    Event,
    Happening,
    Publish,
    Tale,
    Tombstone,
    Work,
    tales,
)

Rows = dict[tuple[str, str, str | None], dict[str, Any]]
"""One organisation's attainments by territory, period and user or None."""

STEPS_MAX = 60
OF_DEALS = ("won", "pipeline", "best_case", "committed", "weighted", "deals_won")
"""The figures that are the same wherever below a territory a deal is."""


def tried(share: float) -> settings:
    """Return settings for a part of what the profile says."""
    return settings(max_examples=max(1, int(share * settings().max_examples)))


@tried(4)
@given(tales())
def test_end_state_is_what_the_rules_imply(tale: Tale) -> None:
    """Assignments, access and sums are functions of the records and the model alone (A9)."""
    house = play(tale)
    assert_agrees(house.found(), expected(tale.models, tale.history))
    assert_redis_agrees(house)


@tried(1.5)
@given(tales(), st.integers(1, 5))
def test_schedule_is_of_no_account(tale: Tale, partitions: int) -> None:
    """Late, early, interrupted or all at once, on more or fewer partitions: every word is the same (A9, A10)."""
    calm = Tale(tuple(each for each in tale.happenings if not isinstance(each, Work)), tale.partitioner)
    assert told(play(tale)) == told(play(calm, partitions))


@tried(1)
@given(tales(), st.integers(0, 2**16))
def test_worker_that_was_away_for_days(tale: Tale, seed: int) -> None:
    """Compaction has taken what a worker had not read yet; it finds out, and says everything again (A9)."""
    house, random = house_of(tale), dice(seed)
    for happening in tale.happenings:
        do(happening, house)
        if random.randint(0, 9) == 0:
            stage, partition = random.choice(house.places)
            house.compact_unread(stage, partition)
            house.restart(stage, partition)
    house.run()
    assert_agrees(house.found(), expected(tale.models, tale.history))
    assert_redis_agrees(house)


@tried(1)
@given(tales())
def test_no_reader_is_sent_back(tale: Tale) -> None:
    """Where nobody deletes and nothing breaks, a record stays there, and never at an older version (V8)."""
    house = house_of(tale)
    versions: dict[str, int] = {}
    for happening in tale.happenings:
        if isinstance(happening, Publish) and happening.change["op"] == "delete":
            continue
        if not isinstance(happening, Work):
            do(happening, house)
            continue
        random = dice(happening.seed)
        for _ in range(STEPS_MAX):
            house.step(random)
            now = {key: record.version or 0 for key, record in house.redis.records.items()}
            assert all(now.get(key, 0) >= version for key, version in versions.items())
            versions = now


@tried(1)
@given(tales())
def test_sums_add_up(tale: Tale) -> None:
    """A territory's sum is that of its own deals and of its children; no deal is in two, none is lost (F1, F2, F4).

    The same holds for fiscal years (F14).
    """
    found = play(tale).found()
    for org, model in tale.models.items():
        rows: Rows = {key[1:]: row for key, row in found.attainments.items() if key[0] == org}
        parents = {node["id"]: node.get("parent") for node in model["territories"]}
        own: dict[tuple[str, str], list[Counted]] = {}
        for deal in deals_of(org, tale, found):
            for period in (deal.period, year_of(deal.period)):
                own.setdefault((deal.territory, period), []).append(deal)
        for territory, period, user in rows:
            if user is None:
                children = [child for child, parent in parents.items() if parent == territory]
                assert_adds_up(rows, (territory, period), children, own.pop((territory, period), []), model)
        assert own == {}


@tried(1)
@given(tales(), st.integers(0, 2**16))
def test_deal_that_moves_takes_its_whole_amount_along(tale: Tale, seed: int) -> None:
    """At the lowest common ancestor and above nothing changes (F9)."""
    assume(ORG in tale.models)
    model = tale.models[ORG]
    house, random = play(tale), dice(seed)
    before = house.found()
    deals = {
        key: row["territories"] for key, row in sorted(before.assignments.items()) if key.startswith(f"{ORG}/deal/")
    }
    assume(deals)
    key = random.choice([key for key, placed in deals.items() if placed] or list(deals))
    origin, goal = (random.choice([node["id"] for node in model["territories"]]) for _ in range(2))
    if deals[key]:
        (origin,) = deals[key]
    else:
        put_by_hand(house, key.split("/")[2], origin, model, version=1000)
        house.run()
        before = house.found()
    put_by_hand(house, key.split("/")[2], goal, model, version=2000)
    house.run()
    after = house.found()
    assert after.assignments[key]["territories"] == [goal]
    for above in common_ancestors(origin, goal, model):
        assert figures_of(after, above) == figures_of(before, above)


# --- playing a tale ---------------------------------------------------------------------------


def play(tale: Tale, partitions: int = 3) -> MemoryHouse:
    """Return the house after all has happened and been worked off."""
    house = house_of(tale, partitions)
    for happening in tale.happenings:
        do(happening, house)
    house.run()
    return house


def house_of(tale: Tale, partitions: int = 3) -> MemoryHouse:
    """Return a house before anything has happened, whose upstreams partition as in a tale."""
    house = MemoryHouse(partitions)
    house.partitioner = PARTITIONERS[tale.partitioner]
    return house


def do(happening: Happening, house: MemoryHouse) -> None:
    """Let one thing happen."""
    match happening:
        case Publish(change):
            house.publish(change)
        case Tombstone(key):
            house.publish(None, key)
        case Apply(model):
            house.apply_model(model)
        case Dawn(day):
            house.day = day
        case Work(what, seed):
            work(what, dice(seed), house)


def work(what: Event, random: Dice, house: MemoryHouse) -> None:
    """Give the services some time, or let something happen to one of them."""
    place = random.choice(house.places)
    match what:
        case "steps":
            for _ in range(random.randint(1, STEPS_MAX)):
                house.step(random)
        case "restart":
            house.restart(*place)
        case "crash":
            house.crash(*place, before=random.choice(PHASES), random=random)
        case "quiet":
            house.run(random)
        case "compact":
            house.compact()
        case "lose_redis":
            house.lose_redis()


# --- what is compared -------------------------------------------------------------------------


def assert_agrees(found: Expected, wanted: Expected) -> None:
    """Compare part by part: pytest shows the first difference best so."""
    assert found.assignments == wanted.assignments
    assert found.visible == wanted.visible
    assert found.editable == wanted.editable
    assert found.admins == wanted.admins
    assert found.left_out == wanted.left_out
    assert found.attainments == wanted.attainments


def assert_redis_agrees(house: MemoryHouse) -> None:
    """What Redis says of records and attainments is what the topics say; who follows the index has the same sets."""
    redis = house.redis
    assert house.follower.sets() == redis.visible
    assert house.follower.sets(editable=True) == redis.editable
    assert redis.attainments == {
        (row.org_id, row.territory_id, row.period, row.user_id): row for row in house.attainments().values()
    }
    stands = {key: (each.version, each.owner_id, each.territories) for key, each in redis.records.items()}
    said = house.assignments()
    assert stands == {key: (each.version, each.owner_id, each.territories) for key, each in said.items()}


def told(house: MemoryHouse) -> dict[str, Any]:
    """Return all that was said in the end, but which event and revision it came from."""
    redis = house.redis
    return {
        "assignments": {
            key: replace(each, event_id="", since_ms=0, model_revision=1) for key, each in house.assignments().items()
        },
        "attainments": {key: replace(each, model_revision=1) for key, each in house.attainments().items()},
        "redis": (redis.visible, redis.editable, redis.admins, redis.left_out),
    }


def deals_of(org: str, tale: Tale, found: Expected) -> Iterator[Counted]:
    """Return the deals that count, in the territories where they were found."""
    for key, record in records_after(tale.history).items():
        if record.org == org and record.object == "deal":
            territories = found.assignments[key]["territories"]
            verdict = judge(record, territories[0] if territories else None, tale.models[org])
            if isinstance(verdict, Counted):
                yield verdict


def assert_adds_up(
    rows: Rows, place: tuple[str, str], children: list[str], deals: list[Counted], model: dict[str, Any]
) -> None:
    """One territory's row is its children's rows and its own deals; its users' rows are of its own deals."""
    territory, period = place
    row = rows[territory, period, None]
    below = [rows[child, period, None] for child in children if (child, period, None) in rows]
    for category in ("won", "pipeline", "best_case", "committed"):
        own = [deal.amount for deal in deals if deal.category == category]
        assert row[category] == total([*own, *(child[category] for child in below)])
    won = [deal for deal in deals if deal.category == "won"]
    assert row["deals_won"] == len(won) + sum(child["deals_won"] for child in below)
    of_users = [rows[key]["deals_won"] for key in rows if key[:2] == place and key[2] is not None]
    assert sum(of_users) == sum(1 for deal in won if credited_user(deal, model) is not None)


def put_by_hand(house: MemoryHouse, deal: str, goal: str, model: dict[str, Any], version: int) -> None:
    """Take all manual links of a deal back, and assign it to one territory."""
    decisions = [(node["id"], "none") for node in model["territories"]] + [(goal, "assign")]
    for number, (territory, kind) in enumerate(decisions):
        house.publish(
            {
                "event_id": f"by-hand-{number}",
                "org_id": ORG,
                "object": "deal",
                "id": deal,
                "version": version + number,
                "op": "link",
                "occurred_at": "2017-01-02T08:00:00Z",
                "territory_id": territory,
                "kind": kind,
            }
        )


def common_ancestors(one: str, other: str, model: dict[str, Any]) -> set[str]:
    """Return the territories that both are in or below."""
    paths = ({each, *ancestors_of(model, "territories", each)} for each in (one, other))
    return set.intersection(*paths)


def figures_of(found: Expected, territory: str) -> dict[str, list[Any]]:
    """Return the figures of a territory in every period, as far as they do not ask who its members are."""
    return {
        period: [row[name] for name in OF_DEALS]
        for (org, place, period, user), row in found.attainments.items()
        if (org, place, user) == (ORG, territory, None)
    }
