"""After any history of deals, targets, trees and closed periods, the sums equal the oracle's to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_aggregator.partials.stage import PartialSumsFold
from territory.wire.events import Counted
from tests.support.memory import PHASES, MemoryHouse, dice
from tests.support.oracle import Expected, expected, records_after
from tests.support.oracle_forecast import adjustments, after_closing, judge, places_of, years_after_closing

ORG = "acme"
PERIODS = ("2016-Q4", "2017-Q1")
TREE: dict[str, str | None] = {"world": None, "west": "world", "bay": "west", "east": "world"}
MEMBERS = {"west": ["ann"], "bay": ["bob"], "east": ["eve"]}
STAGES = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Engaging": {"category": "best_case", "probability": "0.4"},
    "Signing": {"category": "committed", "probability": "0.9"},
    "Won": {"category": "won"},
    "Lost": {"category": "omitted"},
}
AT = "2017-01-02T08:00:00Z"

Row = dict[str, Any]
Change = dict[str, Any]
Model = dict[str, Any]


# --- histories --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Closing:
    """A model that closes or opens periods, and changes nothing that moves a deal to another territory."""

    model: Model
    seed: int | None = None
    """Seed of the faults while it takes effect; None: no faults."""


Happening = Change | Model | Closing | int
History = list[Happening]


def model_of(
    tree: dict[str, str | None], targets: dict[tuple[str, str, str | None], str], closed: frozenset[str], rate: str
) -> Model:
    return {
        "org": ORG,
        "currency": "USD",
        "roles": [{"id": "rep"}],
        "users": [{"id": name, "role": "rep"} for name in ("ann", "bob", "eve")],
        "stages": STAGES,
        "rates": [
            {"from": "EUR", "period": PERIODS[1], "rate": rate},
            {"from": "GBP", "period": PERIODS[0], "rate": "1.5"},
        ],
        "territories": [
            {"id": each, "users": MEMBERS.get(each, []), **({"parent": parent} if parent else {})}
            for each, parent in tree.items()
        ],
        "targets": [
            {"territory": territory, "period": period, "amount": amount, **({"user": user} if user else {})}
            for (territory, period, user), amount in targets.items()
        ],
        "frozen_periods": sorted(closed),
    }


_AMOUNTS = st.sampled_from(["100", "0.10", "33.33", "-7", "1e3", "99999999999999999999999.000000000001", "n/a", None])


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw deals that come, change, move and go, models, closings, and numbers: seeds of interruptions."""
    tree, closed, rate = dict(TREE), frozenset[str](), "1.08"
    targets: dict[tuple[str, str, str | None], str] = {}
    history: History = [model_of(tree, targets, closed, rate)]
    versions: dict[str, int] = {}
    for _ in range(draw(st.integers(5, 25))):
        what = draw(
            st.sampled_from(["deal"] * 8 + ["gone", "move", "tree", "target", "close", "close", "trouble", "trouble"])
        )
        deal = draw(st.sampled_from(["D-1", "D-2", "D-3", "D-4"]))
        match what:
            case "deal":
                fields = {
                    "amount": draw(_AMOUNTS),
                    "stage": draw(st.sampled_from([*STAGES, "Won", "?"])),
                    "close_date": draw(st.sampled_from(["2016-12-31", "2017-01-01", "2017-03-31", "2017-04-01"])),
                    "currency": draw(st.sampled_from(["USD", "USD", "EUR", "GBP"])),
                }
                owner = draw(st.sampled_from(["ann", "bob", "eve", None]))
                versions[deal] = versions.get(deal, 0) + 1
                history.append(change(deal, "upsert", versions[deal], owner_id=owner, fields=fields))
            case "gone":
                versions[deal] = versions.get(deal, 0) + 1
                history.append(change(deal, "delete", versions[deal]))
            case "move":
                versions[f"link {deal}"] = number = versions.get(f"link {deal}", 0) + 1
                kind = draw(st.sampled_from(["assign", "assign", "assign", "none"]))
                where = draw(st.sampled_from(list(TREE)))
                history.append(change(deal, "link", number, territory_id=where, kind=kind))
            case "tree":
                tree["bay"] = draw(st.sampled_from(["west", "east", "world"]))
                history.append(model_of(tree, targets, closed, rate))
            case "target":
                place = (draw(st.sampled_from(list(TREE))), draw(st.sampled_from([*PERIODS, "2016", "2017"])))
                key = (*place, draw(st.sampled_from([None, None, "ann"])))
                targets = targets | {key: draw(st.sampled_from(["0", "50", "100.10"]))}
                history.append(model_of(tree, targets, closed, rate))
            case "close":
                closed ^= {draw(st.sampled_from(PERIODS))}
                rate = draw(st.sampled_from([rate, "1.1"]))
                history.append(Closing(model_of(tree, targets, closed, rate), draw(st.none() | st.integers(0, 2**16))))
            case _:
                history.append(draw(st.integers(0, 2**16)))
    return history


def change(deal: str, op: str, version: int, **more: Any) -> Change:
    return {
        "event_id": "e", "org_id": ORG, "object": "deal", "id": deal, "version": version, "op": op,
        "occurred_at": AT, **more,
    }  # fmt: skip


# --- the oracle ------------------------------------------------------------------


@dataclass
class OracleLedger:
    """The oracle's view of a history so far."""

    changes: list[Change]
    model: Model
    closed: dict[str, dict[Any, Row]]
    judged: dict[str, dict[str, Any]]
    places: dict[str, set[Any]]
    """By closed period, the rows that deals were in when it was closed."""

    @property
    def now(self) -> Expected:
        return expected({ORG: self.model}, self.changes)

    @property
    def live(self) -> dict[Any, Row]:
        return {key[1:]: row for key, row in self.now.attainments.items()}

    @property
    def verdicts(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        placed = self.now.assignments
        for key, record in records_after(self.changes).items():
            territories = placed[key]["territories"]
            found[record.id] = judge(record, territories[0] if territories else None, self.model)
        return found

    def apply(self, model: Model) -> None:
        """Freeze the periods that a model closes, as they are under that model at this moment (F12)."""
        before, self.model = frozenset(self.closed), model
        for period in before - set(model["frozen_periods"]):
            del self.closed[period], self.judged[period], self.places[period]
        for period in set(model["frozen_periods"]) - before:
            self.closed[period] = {key: row for key, row in self.live.items() if key[1] == period}
            self.judged[period] = self.verdicts
            self.places[period] = {key for key in places_of(self.verdicts.values(), model) if key[1] == period}

    @property
    def rows(self) -> dict[Any, Row]:
        """All rows, with closed periods and the years that they are in."""
        live = {key for key in places_of(self.verdicts.values(), self.model) if key[1] not in self.closed}
        places = live.union(*self.places.values())
        return years_after_closing(after_closing(self.live, self.closed), self.closed.keys(), places, self.model)


def replayed(history: History) -> OracleLedger:
    ledger = OracleLedger([], {}, {}, {}, {})
    for each in history:
        match each:
            case Closing(model, _):
                ledger.apply(model)
            case dict() if "op" in each:
                ledger.changes.append(each)
            case dict():
                ledger.apply(each)
    return ledger


def play(history: History, partitions: int = 3) -> MemoryHouse:
    """Return the house after a history. A closing begins when the house is idle, and ends before the next event."""
    house = MemoryHouse(partitions)
    for each in history:
        match each:
            case Closing(model, seed):
                house.run()
                house.apply_model(model)
                if seed is not None:
                    trouble(house, seed)
                house.run()
            case dict() if "op" in each:
                house.publish(each)
            case dict():
                house.apply_model(each)
            case int():
                trouble(house, each)
    house.run()
    return house


def trouble(house: MemoryHouse, seed: int) -> None:
    """Let workers run for a while, then crash or restart one, or lose Redis."""
    random = dice(seed)
    for _ in range(random.randint(1, 80)):
        house.step(random)
    stage, partition = random.choice([place for place in house.places if place[0] in ("summing", "totals")])
    match random.randint(0, 4):
        case 0:
            house.restart(stage, partition)
        case 1:
            house.lose_redis()
        case 2:
            house.compact()
        case _:
            house.crash(stage, partition, before=random.choice(PHASES), random=random)


def shares(times: float) -> settings:
    return settings(max_examples=max(1, int(times * settings().max_examples)))


# --- properties -------------------------------------------------------------------------------


@shares(2)
@given(histories(), st.integers(1, 4))
def test_any_history_gives_the_oracles_sums(history: History, partitions: int) -> None:
    """Deals, moves, targets, closings, crashes: every figure is exact, closed ones stay (F1 to F10, F12)."""
    ledger, house = replayed(history), play(history, partitions)
    rows = {key[1:]: row for key, row in house.found().attainments.items()}
    assert rows == ledger.rows
    assert house.redis.attainments == {
        (row.org_id, row.territory_id, row.period, row.user_id): row for row in house.attainments().values()
    }
    assert house.redis.left_out == ledger.now.left_out
    assert_no_drift(house)


def assert_no_drift(house: MemoryHouse) -> None:
    """Assert that the audit finds no drift: roots, own sums and deals agree (F1, F2)."""
    for place in house.places:
        fold = house.fold(place)
        if isinstance(fold, PartialSumsFold):
            assert fold.audit(ORG, 1_000) == (True, {})


@shares(1)
@given(histories())
def test_adjustments_name_the_deals(history: History) -> None:
    """The listed deals are those that differ from the closed period; together they make up its adjustments (F12)."""
    history = [without_moves(each) for each in history]
    ledger, house = replayed(history), play(history)
    listed: dict[str, set[str]] = {period: set() for period in ledger.closed}
    for _, period, deal in house.redis.adjustments:
        listed[period].add(deal)
    assert listed == {
        period: adjustments(ledger.judged[period], ledger.verdicts, period, ledger.model) for period in ledger.closed
    }
    rows = {key[1:]: row for key, row in house.found().attainments.items()}
    for period in ledger.closed:
        for territory in TREE:
            row = rows.get((territory, period, None), {})
            assert row.get("adjustment_won", 0) == sum(
                map(Fraction, won_of(house, period, territory))
            )  # exact, unlike Decimal


def without_moves(each: Happening) -> Happening:
    """Return the same event, with the territories in the places that they had at first.

    A closing has to stay one: as an ordinary model it would close the period amid unprocessed changes.
    """
    match each:
        case Closing(model, seed):
            return Closing(in_first_places(model), seed)
        case dict() if "op" not in each:
            return in_first_places(each)
    return each


def in_first_places(model: Model) -> Model:
    nodes = [{**node, "parent": "west"} if node["id"] == "bay" else node for node in model["territories"]]
    return {**model, "territories": nodes}


def won_of(house: MemoryHouse, period: str, territory: str) -> Iterator[Decimal]:
    for (_, of, _), (frozen, now) in house.redis.adjustments.items():
        if of == period:
            yield won(now, territory)
            yield won(frozen, territory).copy_negate()


def won(counted: Counted | None, territory: str) -> Decimal:
    if counted is None or counted.category != "won" or territory not in counted.path:
        return Decimal(0)
    return counted.amount


# --- examples ---------------------------------------------------------------------------------


def figures(house: MemoryHouse, territory: str, period: str = PERIODS[1], user: str | None = None) -> Row:
    return house.found().attainments[ORG, territory, period, user]


def won_deal(deal: str, amount: str, version: int = 1, **more: Any) -> Change:
    fields = {"amount": amount, "stage": "Won", "close_date": "2017-02-01"} | more
    return change(deal, "upsert", version, owner_id="bob", fields=fields)


def put(deal: str, territory: str, version: int = 1) -> Change:
    return change(deal, "link", version, territory_id=territory, kind="assign")


TARGETS: dict[tuple[str, str, str | None], str] = {("bay", PERIODS[1], None): "150"}
OPEN = model_of(TREE, TARGETS, frozenset(), "1.08")
CLOSED = model_of(TREE, TARGETS, frozenset({PERIODS[1]}), "1.08")


def test_closed_period_keeps_its_figures() -> None:
    """A changed deal, a late deal and a new target become adjustments that name the deals (F12)."""
    house = play([OPEN, won_deal("D-1", "100"), put("D-1", "bay"), Closing(CLOSED)])
    then = figures(house, "bay")
    more = model_of(TREE, {("bay", PERIODS[1], None): "90"}, frozenset({PERIODS[1]}), "1.08")
    for each in (won_deal("D-1", "130", 2), won_deal("D-2", "7"), put("D-2", "bay")):
        house.publish(each)
    house.apply_model(more)
    house.run()
    now = figures(house, "bay")
    assert {name: now[name] for name in then if not name.startswith("adj")} == {
        name: then[name] for name in then if not name.startswith("adj")
    }
    assert (now["won"], now["target"], now["attainment_pct"]) == (Decimal(100), Decimal(150), "66.67")
    assert (now["adjustment_won"], now["adjustment_deals_won"], now["adjustment_target"]) == (37, 1, -60)
    assert set(house.redis.adjustments) == {(ORG, PERIODS[1], "D-1"), (ORG, PERIODS[1], "D-2")}
    house.apply_model(model_of(TREE, TARGETS, frozenset(), "1.08"))
    house.run()
    assert (figures(house, "bay")["won"], house.redis.adjustments) == (Decimal(137), {})


def test_closed_period_survives_a_resync() -> None:
    """Frozen figures survive the loss of Redis and a worker that has to publish everything again (F12)."""
    house = play([OPEN, won_deal("D-1", "100"), put("D-1", "bay"), Closing(CLOSED), change("D-1", "delete", 2)])
    before = house.found().attainments
    house.compact()
    house.lose_redis()
    house.run()
    assert house.found().attainments == before
    assert figures(house, "bay")["won"] == 100
    assert set(house.redis.adjustments) == {(ORG, PERIODS[1], "D-1")}


def test_target_mismatch() -> None:
    """A territory's target minus those of its children and users; a territory without a target has no mismatch (F5)."""
    targets: dict[tuple[str, str, str | None], str] = {
        ("west", PERIODS[1], None): "100.10",
        ("bay", PERIODS[1], None): "60",
        ("west", PERIODS[1], "ann"): "40",
        ("east", PERIODS[1], "eve"): "5",
    }
    house = play([model_of(TREE, targets, frozenset(), "1.08")])
    mismatches = {
        (key[1], key[3]): row.get("target_mismatch", "none") for key, row in house.found().attainments.items()
    }
    assert mismatches == {
        ("west", None): Decimal("0.10"), ("bay", None): Decimal(60), ("west", "ann"): "none", ("east", "eve"): "none",
    }  # fmt: skip


def test_subtree_moves_away_and_back() -> None:
    """Every figure is the same as before (F9)."""
    history: History = [OPEN]
    for number, territory in enumerate(("bay", "west", "east", "bay", "world")):
        history += [won_deal(f"D-{number}", f"{number}.01"), put(f"D-{number}", territory)]
    house = play(history)
    before = house.found().attainments
    for parent in ("east", "west"):
        house.apply_model(model_of({**TREE, "bay": parent}, TARGETS, frozenset(), "1.08"))
        house.run()
        assert (house.found().attainments == before) == (parent == "west")
