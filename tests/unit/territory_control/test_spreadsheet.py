from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from territory_admin.errors import Refused
from territory_control import spreadsheet
from territory_control.output import Output
from territory_control.spreadsheet import without_formula, workbook

SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells_of(content: bytes) -> dict[str, tuple[str, str]]:
    """Return each cell's type (`s` text, `n` number) and content, as a spreadsheet reads them."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert not [name for name in book.namelist() if "external" in name or "vba" in name]
        shared = [
            "".join(part.text or "" for part in item.iter(f"{SPACE}t"))
            for item in ET.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314 -- our own file
        ]
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314 -- our own file
    assert not list(sheet.iter(f"{SPACE}f"))  # no formula
    found = {}
    for cell in sheet.iter(f"{SPACE}c"):
        kind, value = cell.get("t", "n"), cell.findtext(f"{SPACE}v") or ""
        found[cell.attrib["r"]] = (kind, shared[int(value)] if kind == "s" else value)
    return found


def test_ids_are_texts_and_figures_are_numbers() -> None:
    """Ids keep their zeros and all of their 19 digits; amounts are numbers; None is an empty cell."""
    rows: list[dict[str, Any]] = [
        {"id": "0012", "period": "2017-03", "won": "1234567.5", "deals": 3},
        {"id": "5725767000000411001", "period": None, "won": None, "deals": 0},
        {"id": "=1+1", "period": "x", "won": "0.0000012", "deals": -1},
    ]
    cells = cells_of(workbook("revenue", ("id", "period", "won", "deals"), rows, ("won", "deals")))
    assert (cells["A2"], cells["B2"]) == (("s", "0012"), ("s", "2017-03"))
    assert (cells["C2"], cells["D2"]) == (("n", "1234567.5"), ("n", "3"))
    assert cells["A3"] == ("s", "5725767000000411001")
    assert "B3" not in cells
    assert "C3" not in cells
    assert cells["A4"] == ("s", "=1+1")
    assert float(cells["C4"][1]) == 0.0000012


def test_a_figure_with_too_many_digits_is_a_text() -> None:
    """A spreadsheet would round it: 15 digits are exact, and an amount with more is kept as it is."""
    rows = [{"won": "123456789012345"}, {"won": "1234567890123456.7"}]
    cells = cells_of(workbook("x", ("won",), rows, ("won",)))
    assert (cells["A2"][0], cells["A3"]) == ("n", ("s", "1234567890123456.7"))


def test_what_a_sheet_can_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut silently: too many rows, and too long texts, are refused."""
    with pytest.raises(Refused, match="column id of row 1 is longer"):
        workbook("x", ("id",), [{"id": "x" * 40_000}], ())
    monkeypatch.setattr(spreadsheet, "ROWS_MAX", 1)
    with pytest.raises(Refused, match="more than 1 rows"):
        workbook("x", ("id",), [{"id": "a"}, {"id": "b"}], ())


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "+49 89 1"])
def test_no_text_of_csv_becomes_a_formula(text: str) -> None:
    """A text that a spreadsheet would run gets an apostrophe before it."""
    assert without_formula(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["-5", "+49.5", "2017-Q1", "a=b", "", None, -5, "a@b.c"])
def test_other_cells_of_csv_stay(cell: object) -> None:
    """Numbers keep their signs, and what begins with a harmless character is untouched."""
    assert without_formula(cell) == cell


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=4))
def test_csv_is_read_back(texts: list[str]) -> None:
    """Every cell of CSV reads back as it was, but for the apostrophe before what would be a formula."""
    out = io.StringIO(newline="")
    Output.write_csv(out, ("a",), [{"a": text} for text in texts])
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(out.getvalue(), newline=""))][1:]
    assert [re.sub(r"^'(?=[=+@\t\r-])", "", cell) for cell in read] == [
        re.sub(r"^'(?=[=+@\t\r-])", "", text) for text in texts
    ]
