from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from territory.model.compiled import Model, compile_model
from territory_admin.queries.redis_reader import AdjustedDeal, AttainmentRow
from territory_control.views.attainment_tree import BAR_CELLS, adjustments_table, attainment_tree, percent_bar
from tests.unit.territory_control.views.rendering import rendered


def model() -> Model:
    return compile_model(
        {
            "org": "acme",
            "roles": [{"id": "rep"}],
            "users": [{"id": "ann", "name": "Ann", "role": "rep"}],
            "territories": [
                {"id": "world", "name": "World"},
                {"id": "west", "name": "West", "parent": "world", "users": ["ann"]},
                {"id": "east", "name": "East", "parent": "world"},
            ],
        },
        1,
    )


def row(territory_id: str, period: str, won: str, percent: str | None, user_id: str | None = None) -> AttainmentRow:
    return AttainmentRow(
        territory_id, period, user_id, target=None, won=won, pipeline="0", best_case="0", committed="0", weighted="0",
        won_by_others="0", deals_won=1, attainment_pct=percent, gap=None, shortage=None, model_revision=1,
    )  # fmt: skip


def lines(rows: list[AttainmentRow], columns: int = 120) -> list[str]:
    return rendered(attainment_tree(model(), rows, columns), columns).splitlines()


@given(st.decimals(-1000, 1000, places=2))
def test_a_bar_is_always_as_wide(percent: Decimal) -> None:
    """A bar is empty at 0 and full from 100 per cent on."""
    drawn = percent_bar(percent)
    assert len(drawn) == BAR_CELLS
    assert (drawn == "█" * BAR_CELLS) == (percent >= 100)
    assert percent > 0 or drawn == "·" * BAR_CELLS


def test_territories_are_below_their_parents_and_users_below_their_territories() -> None:
    """The tree is the model's; a territory without figures is shown when one below it has some."""
    drawn = lines([row("west", "2017-Q1", "1234.5", "61.73"), row("west", "2017-Q1", "7", None, "ann")])
    assert drawn[0].split() == ["2017-Q1", "won"]
    assert drawn[1].strip() == "└── World"
    assert drawn[2].split() == ["└──", "West", "████▉···", "62%", "1,234.50"]
    assert drawn[3].split() == ["└──", "Ann", "no", "target", "7.00"]
    assert len(drawn) == 4


def test_bars_are_aligned_with_their_period() -> None:
    """The depth of a line does not move its bars."""
    rows = [row(name, period, "1", "100.00") for name in ("world", "west", "east") for period in ("2017-Q1", "2017-Q2")]
    drawn = lines(rows)
    assert {line.index("████████") for line in drawn[1:]} == {drawn[0].index("2017-Q1")}
    assert len({len(line) for line in drawn}) == 1


def test_periods_that_do_not_fit_are_mentioned() -> None:
    """The last periods are shown and the hidden ones are counted; the amount won includes all periods."""
    rows = [row("world", f"2017-{month:02d}", "10", "50.00") for month in range(1, 13)]
    drawn = lines(rows, columns=80)
    assert "2017-12" in drawn[0]
    assert "2017-01" not in drawn[0]
    assert drawn[1].endswith("120.00")
    assert "periods not shown" in drawn[2]
    assert "2017-01" in drawn[2]


def test_the_present_period_is_shown_although_later_ones_do_not_fit() -> None:
    """Deals that close in years to come do not hide what counts today; with too few before it, later ones are shown."""
    rows = [row("world", f"{year}-Q{number}", "10", None) for year in (2016, 2017, 2018) for number in range(1, 5)]

    def heads(today: date) -> list[str]:
        return rendered(attainment_tree(model(), rows, 80, today)).splitlines()[0].split()[:-1]

    assert heads(date(2017, 5, 1))[-1] == "2017-Q2"
    assert heads(date(2016, 1, 1))[0] == "2016-Q1"
    assert len(heads(date(2016, 1, 1))) == len(heads(date(2017, 5, 1))) > 1
    assert heads(date(2030, 1, 1))[-1] == "2018-Q4"
    assert heads(date(2010, 1, 1))[0] == "2016-Q1"


def test_a_territory_that_is_not_in_the_model_is_left_out() -> None:
    """Figures of a removed territory, which Redis may still have for a moment, are not shown."""
    assert len(lines([row("atlantis", "2017-Q1", "1", None)])) == 1


def test_a_closed_period_is_marked() -> None:
    """A closed period has a star; the legend stands below the tree and is no branch of it (F12)."""
    closed = replace(row("west", "2017-Q1", "5", "50.00"), frozen=True)
    head, *_, west, legend = lines([closed])
    assert "2017-Q1" in head
    assert legend.startswith("* closed")
    assert "--adjustments" in legend
    assert "50%*" in west


def test_table_of_adjustments() -> None:
    """Each deal has a line: what it counted for, and what it counts for now (F12)."""
    now = {"path": ["bay", "west"], "category": "won", "amount": "1234.5"}
    text = rendered([adjustments_table([AdjustedDeal("2017-Q1", "D-1", None, now)])])
    assert "nothing" in text
    assert "1,234.50 won in bay" in text


def test_years_are_shown_only_by_themselves() -> None:
    """A fiscal year adds up its periods: beside them it is not drawn, nor in the column `won` (F14)."""
    of_year = row("world", "2017", "3", "50.00")
    drawn = lines([of_year, row("world", "2017-Q1", "1", None), row("world", "2017-Q2", "2", None)])
    assert drawn[0].split() == ["2017-Q1", "2017-Q2", "won"]
    assert drawn[1].split()[-1] == "3.00"
    assert drawn[-1].strip() == "fiscal years: --period 2017"
    two = lines([of_year, row("world", "2018", "1", None), row("world", "2018-Q1", "1", None)])
    assert two[-1].strip() == "fiscal years: --period 2017, --period 2018"
    alone = lines([of_year])
    assert alone[0].split() == ["2017", "won"]
    assert len(alone) == 2
