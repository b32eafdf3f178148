"""Rows as a spreadsheet or as CSV for spreadsheets: texts stay texts, and no cell becomes a formula."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from territory_admin.errors import Refused

ROWS_MAX = 1_048_575
"""As many as fit below the heading of a sheet."""
EXACT_DIGITS = 15
"""A spreadsheet keeps a number as a double: more digits would be rounded, so such a number is written as text."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def without_formula(cell: object) -> object:
    """Return a cell of CSV that no spreadsheet runs as a formula: such a text gets an apostrophe before it.

    Numbers stay as they are, with their signs.
    """
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def workbook(
    title: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]], figures: Collection[str]
) -> bytes:
    """Return an Excel workbook (xlsx) of one sheet with a heading; None is an empty cell.

    Args:
        title: The sheet's name.
        columns: In order; each row has all of them.
        rows: The cells. Those of other columns than the figures are texts, whatever they look like.
        figures: The columns with counts, and amounts as exact decimal texts.

    Raises: Refused for more rows or longer texts than a sheet can have.
    """
    import xlsxwriter  # noqa: PLC0415 -- few commands write a spreadsheet

    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    sheet = book.add_worksheet(title[:31])
    whole, amount = book.add_format({"num_format": "#,##0"}), book.add_format({"num_format": "#,##0.00"})
    bold = book.add_format({"bold": True})
    for number, name in enumerate(columns):
        sheet.write_string(0, number, name, bold)
    for place, row in enumerate(rows, start=1):
        if place > ROWS_MAX:
            raise Refused(f"found more than {ROWS_MAX:,} rows, more than a sheet can have; choose CSV")
        for number, name in enumerate(columns):
            cell = row[name]
            if cell is None:
                continue
            if name in figures and is_exact(cell):
                sheet.write_number(place, number, float(str(cell)), whole if isinstance(cell, int) else amount)
            elif sheet.write_string(place, number, str(cell)):
                raise Refused(f"the text in column {name} of row {place} is longer than a cell can have; choose CSV")
    sheet.freeze_panes(1, 0)
    sheet.autofit()
    book.close()
    return content.getvalue()


def is_exact(cell: object) -> bool:
    """Whether a figure has few enough digits for a spreadsheet."""
    return len(Decimal(str(cell)).normalize().as_tuple().digits) <= EXACT_DIGITS
