"""What is said to be reached is reached."""

from __future__ import annotations

import pytest
from benchmarks.results import Figure, Report, Table, figure, table


@pytest.mark.parametrize(
    ("bounds", "reached", "promise"),
    [
        ({"ratio_min": 2}, True, "≥ 2 × baseline"),
        ({"ratio_min": 2.1}, False, "≥ 2.1 × baseline"),
        ({"ratio_max": 2.1}, True, "< 2.1 × baseline"),
        ({"ratio_max": 2}, False, "< 2 × baseline"),
        ({"value_min": 10}, True, "≥ 10 s"),
        ({"value_min": 11}, False, "≥ 11 s"),
        ({"value_max": 11}, True, "< 11 s"),
        ({"value_max": 10}, False, "< 10 s"),
        ({}, None, None),
    ],
)
def test_a_promise_is_held_against_the_median(
    bounds: dict[str, float], reached: bool | None, promise: str | None
) -> None:
    """A promise is reached or not by the median of the runs, a ratio by that of the runs' own ratios."""
    found = figure("it", "s", [(10, 5), (8, 4), (90, 1)], **bounds)
    assert (found.value, found.baseline, found.ratio) == (10, 4, 2)
    assert (found.reached, found.promise) == (reached, promise)


def test_a_value_may_stand_alone() -> None:
    """Without a baseline there is no ratio."""
    found = figure("it", "s", [(3.0, None)], value_max=5)
    assert (found.value, found.baseline, found.ratio, found.reached) == (3.0, None, None, True)


def test_tables_of_a_report_follow_its_figures() -> None:
    """The printed table has every figure and every row."""
    report = Report(
        "p1", "", {}, {}, (Figure("it", "s", 1234.5), Figure("other", "s", 0.5)),
        tables=(Table("engines", ("engine", "build"), (("plain", "1 s"),)),),
    )  # fmt: skip
    printed = table([report])
    assert "p1 it     1,234 s" in printed
    assert "p1 other  0.5 s" in printed
    assert printed.endswith("engine  build\nplain   1 s")


def test_a_table_without_rows_has_its_head() -> None:
    """No benchmark, no figures, no fault."""
    assert table([]).startswith("  value")
