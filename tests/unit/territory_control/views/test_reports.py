from __future__ import annotations

import csv
import io

import pytest

from territory_admin.reports.table import ReportTable
from territory_control.output import Output
from territory_control.views.reports import report
from tests.unit.territory_control.views.rendering import rendered

REVENUE = ReportTable(
    report="revenue", org_id="acme", model_revision=7, currency="USD", period=None, territory_id=None,
    labels=("period", "territory_id"), figures=("deals_won", "won"),
    rows=(
        {"period": "2017-Q1", "territory_id": "world", "deals_won": 1234, "won": "1234567.5"},
        {"period": "2017-Q1", "territory_id": "[bold]a, b", "deals_won": 1, "won": None},
    ),
    totals={"deals_won": 1235, "won": "1234567.5"}, left_out={"missing_rate": 1, "unassigned": 1425},
)  # fmt: skip


def text(found: ReportTable, columns: int = 120) -> str:
    return rendered(report(found, columns), columns)


def test_a_report_is_a_table_with_its_totals() -> None:
    """Figures have their thousands grouped, names are unchanged, deals left out are counted (F2, F13)."""
    lines = [line.split() for line in text(REVENUE).splitlines()]
    assert lines[0] == ["period", "territory", "id", "deals", "won", "won"]
    assert lines[1] == ["2017-Q1", "world", "1,234", "1,234,567.50"]
    assert lines[2] == ["2017-Q1", "[bold]a,", "b", "1"]
    assert lines[3] == ["in", "all", "1,235", "1,234,567.50"]
    assert "(amounts in USD, model revision 7)" in text(REVENUE)
    assert "1,426 deals left out, of any period: missing_rate: 1, unassigned: 1,425" in text(REVENUE)


def test_totals_without_a_column_stand_below() -> None:
    """The number of targets has no column; without rows there is a sentence instead of a table."""
    stars = ReportTable("star-performers", "acme", 7, "USD", "2017-Q1", "west", ("period",), ("won",), (),
                        {"targets": 12, "reached": 0}, {})  # fmt: skip
    assert text(stars).splitlines() == [
        "no territory and no user has reached a target",
        "targets: 12, reached: 0 (amounts in USD, model revision 7)",
    ]


def pipeline(rows: int = 3) -> ReportTable:
    """Return a report with as many figures as the widest one."""
    figures = tuple(f"{part}{name}" for part in ("own_", "") for name in
                    ("deals_open", "pipeline", "best_case", "committed", "open", "weighted"))  # fmt: skip
    return ReportTable(
        "pipeline", "acme", 7, "USD", None, None, ("period", "territory_id", "territory"), figures,
        tuple({"period": "2017-Q1", "territory_id": f"emea-north-{number}", "territory": f"EMEA, North {number}",
               **dict.fromkeys(figures, "1234567.25")} for number in range(rows)),
        dict.fromkeys(figures, "1234567.25"), {},
    )  # fmt: skip


@pytest.mark.parametrize("columns", [80, 100, 140, 160, 400])
def test_every_row_keeps_the_columns_that_identify_it(columns: int) -> None:
    """In a narrow terminal the figures continue in further tables, each with period and territory."""
    lines = text(pipeline(), columns).splitlines()
    lines = lines[: next(number for number, line in enumerate(lines) if line.startswith("own deals open: "))]
    figures = [line for line in lines if "1,234,567.25" in line and "in all" not in line]
    assert figures
    assert all("2017-Q1" in line and "emea-north-" in line and "EMEA, North" in line for line in figures)
    assert sum(line.count("1,234,567.25") for line in figures) == 3 * 12
    assert max(map(len, lines)) <= columns


def test_a_figure_is_never_cut() -> None:
    """In a terminal too narrow for the labels beside one figure the labels fold, and every figure is whole."""
    lines = text(pipeline(), 48).splitlines()
    lines = lines[: next(number for number, line in enumerate(lines) if line.startswith("own deals open: "))]
    assert sum(line.count("1,234,567.25") for line in lines) == (3 + 1) * 12  # and the totals
    assert max(map(len, lines)) <= 48


def test_csv_is_the_rows_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """CSV has a heading, exact figures, empty cells for None, and quotes where a name needs them."""
    Output(as_json=False).csv([*REVENUE.labels, *REVENUE.figures], REVENUE.rows)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["period", "territory_id", "deals_won", "won"],
        ["2017-Q1", "world", "1234", "1234567.5"],
        ["2017-Q1", "[bold]a, b", "1", ""],
    ]
