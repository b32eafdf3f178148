from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory.money import text_of
from territory_admin.reports.standard import OpenPipeline, Revenue, SalesCycle, StarPerformers, durations
from territory_admin.reports.table import Report, ReportTable, Scope
from tests.support import oracle_forecast
from tests.support.oracle_values import total as exact_sum
from tests.unit.forecast_aggregator.examples import deal
from tests.unit.territory_admin.reports.examples import (
    DOCUMENT,
    Q1,
    Q2,
    History,
    assignments,
    deals_of,
    figures,
    histories,
    model,
    placed_deals,
    reported,
)

ABOVE = {"world": ("world",), "west": ("west", "world"), "bay": ("bay", "west", "world"), "east": ("east", "world")}
REPORTS = (Revenue, OpenPipeline, StarPerformers, SalesCycle)


def report(kind: type[Report], history: History, period: str | None = None, where: str | None = None) -> ReportTable:
    return reported(kind(Scope(model(), period, where)), deals_of(history))


def amounts(table: ReportTable, name: str) -> dict[tuple[str, str], Decimal]:
    """Return a figure by territory and period, where it is not 0."""
    found = {(row["territory_id"], row["period"]): Decimal(row[name] or 0) for row in table.rows}
    return {(str(where), str(period)): amount for (where, period), amount in found.items() if amount}


def of_oracle(history: History, name: str, *, years: bool = False) -> dict[tuple[str, str], Decimal]:
    rows = oracle_forecast.attainments(placed_deals(history), DOCUMENT)
    return {
        (key[0], key[1]): row[name]
        for key, row in rows.items()
        if key[2] is None and row[name] and (len(key[1]) == len("2017")) is years
    }


@given(histories)
def test_sums_are_those_of_attainments(history: History) -> None:
    """Revenue and pipeline by territory, roll-up included, equal the oracle's attainments (F1, F13)."""
    won, is_open = report(Revenue, history), report(OpenPipeline, history)
    assert amounts(won, "won") == of_oracle(history, "won")
    assert amounts(won, "deals_won") == of_oracle(history, "deals_won")
    for name in ("pipeline", "best_case", "committed", "weighted"):
        assert amounts(is_open, name) == of_oracle(history, name)


@given(histories)
def test_sums_of_a_year(history: History) -> None:
    """A report for a fiscal year shows the year, not its quarters, with the oracle's figures (F14)."""
    won = amounts(report(Revenue, history, "2017"), "won")
    expected = of_oracle(history, "won", years=True)
    assert won == {place: amount for place, amount in expected.items() if place[1] == "2017"}


@given(histories, st.sampled_from([None, Q1, Q2, "2017"]), st.sampled_from([None, "world", "west", "bay"]))
def test_totals_count_every_deal_once(history: History, period: str | None, where: str | None) -> None:
    """Own sums add up to the totals, and so do the sums of the topmost territories (F2)."""
    for kind, name in ((Revenue, "won"), (OpenPipeline, "open"), (OpenPipeline, "weighted")):
        table = report(kind, history, period, where)
        total = Decimal(table.totals[name] or 0)
        assert exact_sum(amounts(table, f"own_{name}").values()) == total
        tops = [amount for (at, _), amount in amounts(table, name).items() if at == (where or "world")]
        assert exact_sum(tops) == total
        assert all(where is None or where in ABOVE[str(row["territory_id"])] for row in table.rows)
        assert all(period in (None, row["period"]) for row in table.rows)


@given(histories)
def test_star_performers_have_won_their_target(history: History) -> None:
    """They are the oracle's: territories and users who won at least a target above 0 (F6, F8)."""
    rows = oracle_forecast.attainments(placed_deals(history), DOCUMENT)
    stars = {key for key, row in rows.items() if row["target"] and row["won"] >= row["target"]}
    table = report(StarPerformers, history)
    assert {(row["territory_id"], row["period"], row["user_id"]) for row in table.rows} == stars
    assert table.totals == {"targets": 5, "reached": len(stars)}
    for row in table.rows:
        user_id = None if row["user_id"] is None else str(row["user_id"])
        expected = rows[str(row["territory_id"]), str(row["period"]), user_id]
        assert (row["won"], row["deals_won"]) == (text_of(expected["won"]), expected["deals_won"])
        assert row["attainment_pct"] == expected["attainment_pct"]


@given(histories, st.sampled_from([None, "west"]))
def test_left_out_deals_are_counted(history: History, where: str | None) -> None:
    """Every deal in no sum is counted by its reason, if the report covers its territory (F2, F10)."""
    deals = placed_deals(history)
    inside = [(each, at) for each, at in deals if where is None or (at is not None and where in ABOVE[at])]
    expected = Counter(oracle_forecast.left_out(inside, DOCUMENT).values())
    for kind in (Revenue, OpenPipeline, StarPerformers):
        assert report(kind, history, None, where).left_out == dict(expected)


@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_deals_does_not_matter(history: History, random: Any) -> None:
    """Rows and figures are the same in whatever order deals are read (A9)."""
    deals = deals_of(history)
    mixed = random.sample(deals, len(deals))
    for kind in REPORTS:
        assert reported(kind(Scope(model())), deals) == reported(kind(Scope(model())), mixed)


def test_star_performers_are_sorted_by_attainment() -> None:
    """Within a period the highest share of the target is first; a target of 0 does not count (F8, F6)."""
    table = report(
        StarPerformers,
        assignments(deal("bay", "D-1", amount="250"), deal("east", "D-2", amount="50"),
                    deal("bay", "D-3", amount="100", owner_id="eve", close_date="2017-04-01")),
    )  # fmt: skip
    assert figures(table, "period", "territory_id", "user_id", "target", "won", "attainment_pct") == [
        ("2017", "west", None, "150", "350", "233.33"),  # two quarters of the year
        (Q1, "bay", "bob", "99.5", "250", "251.26"),
        (Q1, "west", None, "100", "250", "250.00"),
        (Q1, "world", None, "300", "300", "100.00"),
        (Q2, "bay", "eve", "100", "100", "100.00"),
    ]
    assert figures(table, "territory", "user")[1] == ("bay", "Bob")
    assert report(StarPerformers, [], Q2, "west").totals == {"targets": 1, "reached": 0}


def test_revenue_is_own_and_rolled_up() -> None:
    """There is a row for each period and territory, in the order of the tree (F1, F13)."""
    history = assignments(
        deal("bay", "D-1"), deal("west", "D-2", amount="0.5"), deal("east", "D-3", close_date="2017-05-01")
    )
    table = report(Revenue, history)
    assert figures(table, "period", "territory_id", "own_deals_won", "own_won", "deals_won", "won") == [
        (Q1, "world", 0, "0", 2, "100.5"),
        (Q1, "west", 1, "0.5", 2, "100.5"),
        (Q1, "bay", 1, "100", 1, "100"),
        (Q2, "world", 0, "0", 1, "100"),
        (Q2, "east", 1, "100", 1, "100"),
    ]
    assert table.totals == {"deals_won": 3, "won": "200.5"}
    assert (table.currency, table.model_revision, table.period, table.territory_id) == ("USD", 1, None, None)
    assert figures(report(Revenue, history, Q1, "west"), "territory_id", "won") == [("west", "100.5"), ("bay", "100")]


def test_open_deals_are_shown_by_category() -> None:
    """Each open deal is in one category; won deals are in none (F1)."""
    table = report(
        OpenPipeline,
        assignments(
            deal("bay", "D-1", stage="Prospecting"), deal("bay", "D-2", stage="Engaging", amount="10"),
            deal("west", "D-3", stage="Signing", probability="0.5"), deal("bay", "D-4"),
        ),
        Q1, "west",
    )  # fmt: skip
    names = ("territory_id", "deals_open", "pipeline", "best_case", "committed", "open", "weighted", "own_open")
    assert figures(table, *names) == [
        ("west", 3, "100", "10", "100", "210", "64", "100"),
        ("bay", 2, "100", "10", "0", "110", "14", "110"),
    ]


def test_sales_cycles_are_measured_where_dates_allow() -> None:
    """Count, mean, median and 90th percentile, own and rolled up; other deals are counted by reason (F13)."""
    history = assignments(
        deal("bay", "D-1", created_at="2017-02-27"), deal("bay", "D-2", created_at="2017-02-26"),
        deal("west", "D-3", created_at="2017-02-18"), deal("bay", "D-4"), deal("bay", "D-5", created_at="2017-03-01"),
        deal("bay", "D-6", stage="Prospecting", created_at="2017-02-01"),
    )  # fmt: skip
    table = report(SalesCycle, history)
    assert figures(table, "territory_id", "own_deals", "own_mean_days", "own_median_days", "own_p90_days") == [
        ("world", 0, None, None, None),
        ("west", 1, "10", "10", 10),
        ("bay", 2, "1.5", "1.5", 2),
    ]
    assert figures(table, "deals", "mean_days", "median_days", "p90_days") == [
        (3, "4.33", "2", 10),
        (3, "4.33", "2", 10),
        (2, "1.5", "1.5", 2),
    ]
    assert table.totals == {"deals": 3, "mean_days": "4.33", "median_days": "2", "p90_days": 10}
    assert table.left_out == {"created_after_close": 1, "no_created_at": 1}


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_durations_are_exact(days: list[int]) -> None:
    """The median is exact; the 90th percentile is the shortest time that nine of ten deals did not exceed."""
    days.sort()
    count, mean, median, p90 = durations(days)
    assert count == len(days)
    assert abs(Fraction(mean or 0) - Fraction(sum(days), len(days))) <= Fraction(1, 200)
    middle = (Fraction(days[(len(days) - 1) // 2]) + days[len(days) // 2]) / 2
    assert Fraction(median or 0) == middle
    enough = [day for day in days if 10 * sum(1 for other in days if other <= day) >= 9 * len(days)]
    assert p90 == min(enough)
    assert days[math.ceil(Fraction(9 * len(days), 10)) - 1] == p90


@pytest.mark.parametrize(("days", "expected"), [([], (0, None, None, None)), ([0], (1, "0", "0", 0))])
def test_durations_of_few_deals(days: list[int], expected: tuple[Any, ...]) -> None:
    """No deal has no durations; one deal has its own."""
    assert durations(days) == expected
