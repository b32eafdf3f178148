"""The sums of one partition."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from forecast_aggregator.partials.cells import Cell, CellKey, Cells
from forecast_aggregator.partials.contribution import Contribution
from territory.wire.events import SUMS
from tests.unit.forecast_aggregator.examples import Q1, contribution


def cells_of(*contributions: Contribution) -> Cells:
    cells = Cells()
    for each in contributions:
        cells.put(each)
    return cells


def nonzero(cell: Cell) -> dict[str, Decimal]:
    return {name: amount for name, amount in cell.sums.items() if amount}


WEST: CellKey = ("west", Q1, None)
BOB: CellKey = ("bay", Q1, "bob")


def test_deal_counts_along_its_path() -> None:
    """It counts in its territory, in every ancestor, and in its owner's own sums there (F1, F4)."""
    cells = cells_of(contribution("bay", "west", "world"))
    assert set(cells.cells) == {("bay", Q1, None), WEST, ("world", Q1, None), BOB}
    assert all(nonzero(cell) == {"won": Decimal(100)} for cell in cells.cells.values())
    assert all((cell.deals, cell.deals_won) == (1, 1) for cell in cells.cells.values())
    assert set(cells.changed) == set(cells.cells)


@pytest.mark.parametrize("other", [{"category": "pipeline"}, {"owner_id": None}], ids=["open", "owned by nobody"])
def test_persons_part_is_won_deals_of_an_owner(other: dict[str, Any]) -> None:
    """Open deals and deals without an owner are in no person's sums (F4)."""
    assert set(cells_of(contribution("bay", **other)).cells) == {("bay", Q1, None)}


def test_each_deal_is_in_one_category() -> None:
    """`weighted` and `won_by_others` are counted in addition to the category (F1, F3)."""
    cells = cells_of(
        contribution("bay", "west", by_others=True),
        contribution("bay", "west", amount="50", category="pipeline", weighted=Decimal(5), by_others=True),
        contribution("west", amount="7", category="best_case"),
        contribution("west", amount="8", category="committed", weighted=Decimal("0.8")),
    )
    cell = cells.cells[WEST]
    assert nonzero(cell) == {
        "won": Decimal(100), "pipeline": Decimal(50), "best_case": Decimal(7), "committed": Decimal(8),
        "weighted": Decimal("5.8"), "won_by_others": Decimal(100),
    }  # fmt: skip
    assert set(cell.sums) == set(SUMS)
    assert (cell.deals, cell.deals_won) == (4, 1)


def test_subtracting_a_deal_leaves_nothing() -> None:
    """The cell is removed with its last deal, and its partial is marked as changed (F9)."""
    each = contribution("bay", "west", weighted=Decimal(3), by_others=True)
    cells = cells_of(each)
    cells.changed.clear()
    cells.take(each)
    assert cells.cells == {}
    assert set(cells.changed) == {("bay", Q1, None), WEST, BOB}


def test_sums_are_exact() -> None:
    """Adding and subtracting a deal of many digits leaves the other deals' sum unchanged (F10)."""
    large, small = contribution("bay", amount="1" + "0" * 29), contribution("bay", amount="0.000000000001")
    cells = cells_of(large, small)
    assert cells.cells["bay", Q1, None].sums["won"] == Decimal("1" + "0" * 29 + ".000000000001")
    cells.take(large)
    assert cells.cells["bay", Q1, None].sums["won"] == Decimal("0.000000000001")


def test_zero_is_a_sum() -> None:
    """A cell whose deals add up to 0 stays until its last deal is removed (F1)."""
    cells = cells_of(contribution("bay", amount="5"), contribution("bay", amount="-5"), contribution("bay", amount="0"))
    cell = cells.cells["bay", Q1, None]
    assert (cell.sums["won"], cell.deals, cell.deals_won) == (Decimal(0), 3, 3)
