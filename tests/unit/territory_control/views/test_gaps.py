"""Each gap of a model is shown with its name, why it matters, and what to do."""

from __future__ import annotations

import pytest

from territory_admin.lint.gaps import ModelGaps, UnequalTarget, UnstaffedTerritory
from territory_control.views.gaps import ROWS_MAX, model_gaps
from tests.unit.territory_control.views.rendering import rendered

NONE = ModelGaps(False, (), (), ())


@pytest.mark.parametrize(
    ("gaps", "lines"),
    [
        (NONE, []),
        (
            ModelGaps(True, (), (), ()),
            ["warning: the organisation has no territories: no record gets one, and no deal is in a forecast. "
             "Add territories, or look whether this is the right file"],
        ),
        (
            ModelGaps(False, (UnstaffedTerritory("a", "top"), UnstaffedTerritory("b", None),
                              UnstaffedTerritory("c", "top")), (), ()),
            ["warning: 1 territory without an active user: b: nobody sees their records by territory. "
             "Add users or a manager",
             "warning: 2 territories without an active user: a, c: only those in top see them. Add users or a manager"],
        ),
        (
            ModelGaps(False, (), ("ann",), ()),
            ["warning: 1 active user in no territory: ann: they see records as owners, by role or by sharing only. "
             "Add them to a territory, or set active: false for those who left"],
        ),
        (
            ModelGaps(False, (), (), (UnequalTarget("west", "2017-Q1", "1000", "900.5"),)),
            ["warning: 1 target of territories is not the sum of the targets below (children and users), "
             "so reports of the parts and of the whole disagree. Correct one of them",
             "  west 2017-Q1: 1,000.00, below it 900.50"],
        ),
    ],
)  # fmt: skip
def test_gaps_are_explained(gaps: ModelGaps, lines: list[str]) -> None:
    """A warning names the thing, why it matters, and what to do; a model without gaps has none."""
    assert [line.plain for line in model_gaps(gaps)] == lines


def test_many_targets_are_cut() -> None:
    """A long list is cut in the terminal, with its length."""
    many = tuple(UnequalTarget(f"t{number}", "2017-Q1", "1", "2") for number in range(ROWS_MAX + 3))
    text = rendered(model_gaps(ModelGaps(False, (), (), many)))
    assert "13 targets of territories are not the sums" in text
    assert "… 3 more (--json has all)" in text
