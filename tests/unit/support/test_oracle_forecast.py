"""The oracle's forecast against examples computed by hand, and two properties."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracle import attainment_pct, period_of
from tests.support.oracle_forecast import after_closing, years_after_closing

from .oracle_examples import (
    MUCH,
    PARENT,
    STAGES,
    SUM_TREE,
    Document,
    deal,
    link,
    model,
    outcome,
    row,
    sums,
)


def test_roll_up_of_all_categories() -> None:
    """A row sums its own deals and its children's rows, category by category (F1)."""
    state = sums(
        deal("D1", "leaf", "100.10"),
        deal("D2", "left", "20"),
        deal("D3", "right", 3.3),
        deal("D4", "leaf", "50", "Prospecting"),
        deal("D5", "leaf", "40", "Engaging"),
        deal("D6", "right", "30", "Signing"),
        deal("D7", "left", "999", "Lost"),
        deal("D8", "leaf", "7", close_date="2017-04-01"),
        targets=[{"territory": "left", "period": "2017-Q1", "amount": "200"}],
    )
    leaf = {
        "target": None,
        "won": Decimal("100.10"),
        "pipeline": Decimal(50),
        "best_case": Decimal(40),
        "committed": Decimal(0),
        "weighted": Decimal(21),  # 50 at 0.1 and 40 at 0.4
        "won_by_others": Decimal(0),
        "deals_won": 1,
        "attainment_pct": None,
        "gap": None,
        "shortage": None,
        "coverage": None,
        "target_mismatch": None,
        "star_performer": False,
    }
    left = {
        **leaf,
        "target": Decimal(200),
        "won": Decimal("120.10"),
        "won_by_others": Decimal(20),  # rita is no member of left itself
        "deals_won": 2,
        "attainment_pct": "60.05",
        "gap": Decimal("79.90"),
        "shortage": Decimal("29.90"),
        "coverage": "0.63",  # 50 of 79.90
        "target_mismatch": Decimal(200),
    }
    root = {
        **leaf,
        "won": Decimal("123.40"),
        "committed": Decimal(30),
        "weighted": Decimal(48),  # 21 and 30 at 0.9
        "won_by_others": Decimal("23.30"),
        "deals_won": 3,
    }
    assert row(state, "leaf") == leaf
    assert row(state, "left") == left
    assert row(state, "root") == root
    assert {key[1:3] for key in state.attainments if key[3] is None} == {
        (territory, period)
        for territory, periods in {
            "leaf": ["2017-Q1", "2017-Q2", "2017"],
            "left": ["2017-Q1", "2017-Q2", "2017"],
            "right": ["2017-Q1", "2017"],
            "root": ["2017-Q1", "2017-Q2", "2017"],
        }.items()
        for period in periods
    }
    assert state.left_out == {}


@pytest.mark.parametrize(
    ("fields", "category", "weighted"),
    [
        ({}, "pipeline", "10"),
        ({"forecast_category": "committed"}, "committed", "10"),
        ({"forecast_category": "hopeful"}, "pipeline", "10"),
        ({"forecast_category": 3}, "pipeline", "10"),
        ({"probability": "0.25"}, "pipeline", "25"),
        ({"probability": 1.5}, "pipeline", "10"),
        ({"probability": 0}, "pipeline", "0"),
        ({"forecast_category": "best_case", "stage": "Unheard of"}, "best_case", "0"),
        ({"forecast_category": "won", "probability": "0.5"}, "won", "0"),
        ({"forecast_category": "Best Case"}, "best_case", "10"),
        ({"forecast_category": "MostLikely"}, "best_case", "10"),
        ({"forecast_category": "forecast"}, "committed", "10"),
        ({"forecast_category": "Closed"}, "pipeline", "10"),  # contradicts an open stage
        ({"forecast_category": "Closed", "stage": "Won"}, "won", "0"),
        ({"probability": "75%"}, "pipeline", "75"),
        ({"probability": 75}, "pipeline", "10"),
        ({"probability": "-1%"}, "pipeline", "10"),
        ({"probability": "101 %"}, "pipeline", "10"),
    ],
)
def test_category_and_probability(fields: Document, category: str, weighted: str) -> None:
    """A deal may override its stage's category and probability (F1)."""
    changes = deal("D", "leaf", "100", "Prospecting")
    changes[0]["fields"].update(fields)
    found = row(sums(changes), "leaf")
    categories = ("won", "pipeline", "best_case", "committed")
    assert {each: found[each] for each in categories if found[each]} == {category: Decimal(100)}
    assert found["weighted"] == Decimal(weighted)


def test_names_and_units_of_the_model() -> None:
    """A model adds names of categories or overrides them, and says that probabilities are in per cent (F1)."""
    stages = {"Open": {"category": "pipeline", "probability": 10}, "Won": {"category": "won"}}
    state = sums(
        deal("D1", "leaf", "100", "Open", forecast_category="UP-SIDE"),
        deal("D2", "left", "100", "Open", forecast_category="Closed", probability=1),
        deal("D3", "right", "100", "Open", forecast_category=100000001, probability=75),
        deal("D4", "right", "100", "Open", probability=101),
        stages=stages,
        settings={"probability": "percent"},
        forecast_categories={"Up side": "committed", "closed": "best_case", "100000001": "best_case"},
    )
    assert [row(state, "leaf")[name] for name in ("committed", "weighted")] == [100, 10]
    assert [row(state, "left")[name] for name in ("best_case", "weighted")] == [100, 11]
    assert [row(state, "right")[name] for name in ("best_case", "pipeline", "weighted")] == [100, 100, 85]


def test_close_date_is_a_day_of_the_zone() -> None:
    """An instant counts on its day in the organisation's time zone; a date is a day (C8, F10)."""
    state = sums(
        deal("D1", "leaf", "1", close_date="2017-04-01T06:59:59Z"),
        deal("D2", "leaf", "2", close_date="2017-03-31T23:59:59-07:00"),
        deal("D3", "leaf", "4", close_date="2017-04-01"),
        deal("D4", "leaf", "8", close_date="2017-04-01T07:00:00Z"),
        settings={"time_zone": "America/Los_Angeles"},
    )
    assert [row(state, "leaf", period)["won"] for period in ("2017-Q1", "2017-Q2")] == [3, 12]


def test_left_out() -> None:
    """Deals without a territory, stage, amount or close date are listed, omitted ones not (F2)."""
    state = sums(
        deal("no-territory", None),
        deal("no-territory-lost", None, stage="Lost"),
        deal("no-territory-no-stage", None, stage="?"),
        deal("lost", "leaf", None, "Lost"),
        deal("lost-by-override", "leaf", None, "?", forecast_category="omitted"),
        deal("no-stage", "leaf", None, "?"),
        deal("no-amount", "leaf", "much", close_date="soon"),
        deal("no-date", "leaf", currency="EUR", close_date="soon"),
        deal("no-rate", "leaf", currency="EUR"),
        deal("counts", "leaf", "0"),
    )
    assert state.left_out == {
        ("acme", "no-territory"): "unassigned",
        ("acme", "no-territory-lost"): "unassigned",
        ("acme", "no-territory-no-stage"): "unassigned",
        ("acme", "no-stage"): "unknown_stage",
        ("acme", "no-amount"): "no_amount",
        ("acme", "no-date"): "no_close_date",
        ("acme", "no-rate"): "missing_rate",
    }
    assert {key for key in state.attainments if key[2] != "2017"} == {
        ("acme", "leaf", "2017-Q1", None),
        ("acme", "leaf", "2017-Q1", "rita"),
        ("acme", "left", "2017-Q1", None),
        ("acme", "root", "2017-Q1", None),
    }
    assert row(state, "root")["won"] == 0


def test_won_by_others() -> None:
    """Credit goes to the deal's territory; deals won by non-members are also shown apart (F3)."""
    state = sums(
        deal("D1", "leaf", "1", owner="rita"),
        deal("D2", "leaf", "2", owner="vera"),  # a member of left, not of leaf
        deal("D3", "left", "4", owner="vera"),  # the manager is a member
        deal("D4", "right", "8", owner=None),
        deal("D5", "right", "16", "Signing", owner="rita"),  # not won
    )
    shown = {each: (row(state, each)["won"], row(state, each)["won_by_others"]) for each in PARENT}
    assert shown == {"leaf": (3, 2), "left": (7, 2), "right": (8, 8), "root": (15, 10)}


def test_user_rows() -> None:
    """A user's row sums his own won deals of the territory itself, against his target (F4)."""
    state = sums(
        deal("D1", "leaf", "10"),
        deal("D2", "leaf", "20"),
        deal("D3", "left", "40"),
        deal("D4", "leaf", "80", "Signing"),
        deal("D5", "leaf", "160", owner="vera"),
        targets=[
            {"territory": "leaf", "user": "rita", "period": "2017-Q1", "amount": "90"},
            {"territory": "right", "user": "emma", "period": "2017-Q2", "amount": "5"},
        ],
    )
    users = {
        key[1:]: dict(found) for key, found in state.attainments.items() if key[3] is not None and key[2] != "2017"
    }
    empty = {"target": None, "attainment_pct": None, "deals_won": 1, "star_performer": False}
    assert users == {
        ("leaf", "2017-Q1", "rita"): {
            "target": Decimal(90),
            "won": Decimal(30),
            "deals_won": 2,
            "attainment_pct": "33.33",
            "star_performer": False,
        },
        ("left", "2017-Q1", "rita"): {**empty, "won": Decimal(40)},
        ("leaf", "2017-Q1", "vera"): {**empty, "won": Decimal(160)},
        ("right", "2017-Q2", "emma"): {
            "target": Decimal(5),
            "won": Decimal(0),
            "deals_won": 0,
            "attainment_pct": "0.00",
            "star_performer": False,
        },
    }
    assert ("acme", "right", "2017-Q2", None) not in state.attainments


def test_mismatch_coverage_and_stars() -> None:
    """Target mismatch, coverage and star performers (F5, F7, F8)."""
    wanted = [("root", None, "100"), ("left", None, "70"), ("right", None, "30"), ("left", "rita", "60.5")]
    state = sums(
        deal("D1", "left", "70"),
        deal("D2", "right", "12", "Prospecting"),
        targets=[
            {"territory": place, "period": "2017-Q1", "amount": amount, **({"user": user} if user else {})}
            for place, user, amount in wanted
        ],
    )
    found = {
        place: tuple(row(state, place)[name] for name in ("target_mismatch", "coverage", "star_performer"))
        for place in ("root", "left", "right")
    }
    assert found == {
        "root": (Decimal(0), "0.40", False),
        "left": (Decimal("9.5"), None, True),
        "right": (Decimal(30), "0.40", False),
    }
    assert state.attainments["acme", "left", "2017-Q1", "rita"]["star_performer"]


def test_years() -> None:
    """A fiscal year's row sums its periods, against a target of its own (F14, F5)."""
    state = sums(
        deal("D1", "leaf", "10", close_date="2016-07-01"),
        deal("D2", "left", "20", close_date="2017-06-30"),
        deal("D3", "right", "40", close_date="2017-07-01"),
        deal("D4", "leaf", "80", "Prospecting", close_date="2017-01-01"),
        fiscal_year_start=7,
        targets=[
            {"territory": "left", "period": "2017", "amount": "60"},
            {"territory": "leaf", "period": "2017", "amount": "50"},
            {"territory": "leaf", "period": "2017", "user": "rita", "amount": "5"},
            {"territory": "leaf", "period": "2017-Q1", "amount": "7"},
        ],
    )
    figures = ("won", "pipeline", "weighted", "target", "attainment_pct", "gap", "target_mismatch")
    assert [row(state, "left", "2017")[name] for name in figures] == [30, 80, 8, 60, "50.00", 30, 10]
    assert [row(state, "root", "2017")[name] for name in figures] == [30, 80, 8, None, None, None, None]
    assert row(state, "root", "2018")["won"] == 40
    assert state.attainments["acme", "leaf", "2017", "rita"]["star_performer"]
    assert row(state, "leaf", "2017-Q1")["target"] == 7


def test_years_with_closed_periods() -> None:
    """A year shows a closed period as it was closed, and the others as they are now (F12, F14)."""
    document = model(SUM_TREE, targets=[{"territory": "left", "period": "2017", "amount": "100"}])
    then = outcome(document, *deal("D1", "left", "70"), *deal("D2", "left", "5", close_date="2017-05-01")).attainments
    now = outcome(document, *deal("D1", "left", "50"), *deal("D2", "left", "7", close_date="2017-05-01")).attainments
    closed = {key[1:]: dict(each) for key, each in then.items() if key[2] == "2017-Q1"}
    rows = after_closing({key[1:]: dict(each) for key, each in now.items()}, {"2017-Q1": closed})
    places: set[Any] = {("left", "2017-Q1", None), ("left", "2017-Q2", None)}
    years = years_after_closing(rows, {"2017-Q1"}, places, document)
    assert [years["left", "2017", None][name] for name in ("won", "deals_won", "gap")] == [77, 2, 23]
    assert ("root", "2017", None) not in years
    assert {key: each for key, each in years.items() if key[1] != "2017"} == {
        key: each for key, each in rows.items() if key[1] != "2017"
    }


def test_closed_rows() -> None:
    """Closed periods keep their figures and show adjustments; a missing row counts as zeros (F12)."""
    then, now = ({key[1:]: dict(each) for key, each in sums(*deals).attainments.items()} for deals in (
        [deal("D1", "left", "70")], [deal("D1", "left", "50"), deal("D2", "right", "1")],
    ))  # fmt: skip
    rows = after_closing(now, {"2017-Q1": {key: each for key, each in then.items() if key[1] == "2017-Q1"}})
    figures = ("won", "deals_won", "adjustment_won", "adjustment_deals_won", "frozen")
    assert [rows["left", "2017-Q1", None][name] for name in figures] == [70, 1, -20, 0, True]
    assert [rows["right", "2017-Q1", None][name] for name in figures] == [0, 0, 1, 1, True]
    assert after_closing(now, {}) == now
    of_quarter = {key: each for key, each in then.items() if key[1] == "2017-Q1"}
    assert after_closing({}, {"2017-Q1": of_quarter}).keys() == of_quarter.keys()


@pytest.mark.parametrize(
    ("won", "target", "shown"),
    [
        ("50", "200", "25.00"),
        ("200", "200", "100.00"),
        ("1", "3", "33.33"),
        ("2", "3", "66.67"),
        ("0.00125", "10", "0.01"),  # 0.0125 %
        ("0.0005", "10", "0.00"),  # 0.005 %: half to even
        ("0.0015", "10", "0.02"),  # 0.015 %: half to even
        ("1e29", "0.000000000001", "1" + "0" * 43 + ".00"),
        ("50", "0", None),
        ("50", None, None),
    ],
)
def test_attainment_pct(won: str, target: str | None, shown: str | None) -> None:
    """Won by target in percent; without a target, or with 0, there is none (F6)."""
    assert attainment_pct(Decimal(won), None if target is None else Decimal(target)) == shown


@pytest.mark.parametrize(
    ("target", "gap", "shortage"),
    [
        ("500", "400", "350"),
        ("130", "30", "0"),
        ("100", "0", "0"),
        ("60", "0", "0"),
        ("0", "0", "0"),
    ],
)
def test_gap_and_shortage(target: str, gap: str, shortage: str) -> None:
    """The gap is target less won; the shortage also subtracts the pipeline (F7)."""
    state = sums(
        deal("D1", "leaf", "100"),
        deal("D2", "leaf", "50", "Prospecting"),
        deal("D3", "leaf", "1000", "Engaging"),
        targets=[{"territory": "leaf", "period": "2017-Q1", "amount": target}],
    )
    found = row(state, "leaf")
    assert (found["gap"], found["shortage"]) == (Decimal(gap), Decimal(shortage))


def test_moved_deal() -> None:
    """A deal that moves moves its whole amount; sums of common ancestors stay (F9)."""
    before = sums(deal("D", "leaf"), deal("E", "right", "1"))
    moved = [link("deal", "D", "leaf", "none", 2), link("deal", "D", "right", "assign", 3)]
    after = sums(deal("D", "leaf"), deal("E", "right", "1"), moved)
    assert [row(before, each)["won"] for each in ("leaf", "left", "right", "root")] == [
        100,
        100,
        1,
        101,
    ]
    assert [row(after, each)["won"] for each in ("right", "root")] == [101, 101]
    assert ("acme", "leaf", "2017-Q1", None) not in after.attainments


def test_moved_territory() -> None:
    """A territory that moves moves its sums (F9)."""
    moved = [{**each, "parent": "right"} if each["id"] == "leaf" else each for each in SUM_TREE]
    state = outcome(model(moved), *deal("D", "leaf"))
    assert {key[1] for key in state.attainments if key[3] is None} == {"leaf", "right", "root"}


def test_exact_sums_and_currencies() -> None:
    """Sums are exact; other currencies convert by the rate of the close date's period (F10)."""
    rates = [
        {"from": "EUR", "period": "2017-Q1", "rate": "1.08"},
        {"from": "EUR", "period": "2017-Q2", "rate": 1.1},
        {"from": "GBP", "period": "2017-Q2", "rate": "1.3"},
    ]
    state = sums(
        deal("D1", "leaf", 0.1),
        deal("D2", "leaf", 0.2),
        deal("D3", "leaf", "99999999999999999999999999999.000000000001"),
        deal("D4", "leaf", "0.3", currency="EUR"),
        deal("D5", "leaf", "10", currency="EUR", close_date="2017-06-30"),
        deal("D6", "leaf", "10", currency="GBP"),
        deal("D7", "leaf", "0.01", currency="USD"),
        deal("D8", "leaf", "10", currency="eur ", close_date="2018-12-31"),
        deal("D9", "leaf", "10", currency="Euro"),
        deal("D10", "leaf", "10", currency=978),
        rates=rates,
    )
    assert row(state, "root", "2018-Q4")["won"] == Decimal(11)  # a rate holds until the next one
    assert row(state, "root")["won"] == Decimal("99999999999999999999999999999.634000000001")
    assert row(state, "root", "2017-Q2")["won"] == Decimal(11)
    assert state.left_out == {("acme", deal_id): "missing_rate" for deal_id in ("D6", "D9", "D10")}


@pytest.mark.parametrize(
    ("day", "kind", "start", "period"),
    [
        (date(2017, 3, 31), "quarter", 1, "2017-Q1"),
        (date(2017, 4, 1), "quarter", 1, "2017-Q2"),
        (date(2017, 12, 31), "month", 1, "2017-12"),
        (date(2016, 4, 15), "quarter", 4, "2017-Q1"),
        (date(2016, 4, 15), "month", 4, "2017-01"),
        (date(2017, 3, 31), "quarter", 4, "2017-Q4"),
        (date(2017, 3, 31), "month", 4, "2017-12"),
        (date(2016, 12, 1), "month", 12, "2017-01"),
        (date(2017, 1, 1), "month", 12, "2017-02"),
        (date(2017, 1, 31), "quarter", 2, "2017-Q4"),
        (date(2017, 2, 1), "quarter", 2, "2018-Q1"),
    ],
)
def test_periods(day: date, kind: str, start: int, period: str) -> None:
    """A fiscal year that does not start in January is named for the year in which it ends (glossary)."""
    assert period_of(day, kind, start) == period


def test_periods_of_the_model() -> None:
    """Sums fall into the periods that the model defines (F1)."""
    state = sums(deal("D", "leaf", close_date="2016-04-15"), fiscal_year_start=4, period="month")
    assert row(state, "root", "2017-01")["won"] == 100


places = st.sampled_from(sorted(PARENT))
cents = st.integers(-(10**6), 10**12).map(lambda number: Decimal(number).scaleb(-2))
deal_lists = st.lists(
    st.tuples(
        st.none() | places,
        cents,
        st.sampled_from([*STAGES, "?"]),
        st.sampled_from(["2017-03-01", "2017-04-01", "soon"]),
    ),
    max_size=8,
)


@given(deal_lists)
@MUCH
def test_root_is_the_sum_of_all_deals(
    deals: list[tuple[str | None, Decimal, str, str]],
) -> None:
    """The root equals the sum over all deals that have a territory, in each period (F2)."""
    state = sums(
        *(
            deal(f"D{number}", territory, str(amount), stage, close_date=closes)
            for number, (territory, amount, stage, closes) in enumerate(deals)
        )
    )
    for period, day in {"2017-Q1": "2017-03-01", "2017-Q2": "2017-04-01"}.items():
        for column, stage in {"won": "Won", "pipeline": "Prospecting"}.items():
            at_root = state.attainments.get(("acme", "root", period, None), {}).get(column, 0)
            assert at_root == sum(
                amount
                for territory, amount, of_stage, closes in deals
                if territory is not None and (of_stage, closes) == (stage, day)
            )
    assert {key for key, reason in state.left_out.items() if reason == "unassigned"} == {
        ("acme", f"D{number}") for number, (place, *_rest) in enumerate(deals) if place is None
    }


@given(deal_lists, places, places, cents)
@MUCH
def test_moving_a_deal_changes_nothing_at_the_common_ancestor(
    deals: list[tuple[str | None, Decimal, str, str]], source: str, goal: str, amount: Decimal
) -> None:
    """A move changes nothing at the lowest common ancestor and above (F9)."""
    others = [
        change
        for number, (territory, value, stage, closes) in enumerate(deals)
        for change in deal(f"D{number}", territory, str(value), stage, close_date=closes)
    ]
    moving = deal("moving", source, str(amount))
    move = [link("deal", "moving", source, "none", 2), link("deal", "moving", goal, "assign", 3)]
    before, after = sums(others, moving), sums(others, moving, move)
    above_both = set(_path(source)) & set(_path(goal))
    assert "root" in above_both
    for territory in above_both:
        was, is_now = row(before, territory), row(after, territory)
        if source != goal:  # the owner may be a member of one of them only (F3)
            del was["won_by_others"], is_now["won_by_others"]
        assert was == is_now


def _path(territory: str) -> list[str]:
    path = [territory]
    while (parent := PARENT[path[-1]]) is not None:
        path.append(parent)
    return path
