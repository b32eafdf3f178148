from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from territory_admin.reports.table import ReportTable
from territory_control.commands.reports import shown
from territory_control.output import Output

REVENUE = ReportTable(
    report="revenue", org_id="acme", model_revision=7, currency="USD", period=None, territory_id=None,
    labels=("period", "territory_id"), figures=("deals_won", "won"),
    rows=(
        {"period": "2017-Q1", "territory_id": "world", "deals_won": 1234, "won": "1234567.5"},
        {"period": "2017-Q1", "territory_id": "[bold]a, b", "deals_won": 1, "won": None},
    ),
    totals={"deals_won": 1235, "won": "1234567.5"}, left_out={"missing_rate": 1, "unassigned": 1425},
)  # fmt: skip


def text(found: ReportTable) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    with console.capture() as captured:
        for part in shown(found):
            console.print(part, markup=False)
    return captured.get()


def test_a_report_is_a_table_with_its_totals() -> None:
    """Figures are easy to read, names are as they are; what is left out is counted and said (F2, F13)."""
    lines = [line.split() for line in text(REVENUE).splitlines()]
    assert lines[0] == ["period", "territory", "id", "deals", "won", "won"]
    assert lines[1] == ["2017-Q1", "world", "1,234", "1,234,567.5"]
    assert lines[2] == ["2017-Q1", "[bold]a,", "b", "1"]
    assert lines[3] == ["in", "all", "1,235", "1,234,567.5"]
    assert "(amounts in USD, model revision 7)" in text(REVENUE)
    assert "1,426 deals left out, of any period: missing_rate: 1, unassigned: 1,425" in text(REVENUE)


def test_totals_without_a_column_are_below() -> None:
    """Such as how many targets there are; without rows there is a word, and no table."""
    stars = ReportTable("star-performers", "acme", 7, "USD", "2017-Q1", "west", ("period",), ("won",), (),
                        {"targets": 12, "reached": 0}, {})  # fmt: skip
    assert text(stars).splitlines() == [
        "no deal to report there",
        "targets: 12, reached: 0 (amounts in USD, model revision 7)",
    ]


def test_csv_is_the_rows_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """With a heading, exact figures, nothing for None, and quotes where a name needs them."""
    Output(as_json=False).csv([*REVENUE.labels, *REVENUE.figures], REVENUE.rows)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["period", "territory_id", "deals_won", "won"],
        ["2017-Q1", "world", "1234", "1234567.5"],
        ["2017-Q1", "[bold]a, b", "1", ""],
    ]
