"""Words and numbers that every view writes alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

NAMED_MAX = 10
LINE_CHARACTERS_MAX = 300
ID_COLUMNS_MAX = 40


def named(ids: Sequence[str], limit: int = NAMED_MAX) -> str:
    """Return the first ids, and how many more there are."""
    more = len(ids) - limit
    return ", ".join(ids[:limit]) + (f", … {more} more" if more > 0 else "")


def counted(count: int, kind: str, plural: str | None = None) -> str:
    """Return a count with its noun; `plural` where that does not only take an s."""
    return f"{count:,} {kind if count == 1 else plural or f'{kind}s'}"


def clipped(line: str) -> str:
    """Return a line, or both ends of a line that is too long to read."""
    if len(line) <= LINE_CHARACTERS_MAX:
        return line
    half = LINE_CHARACTERS_MAX // 2
    return f"{line[:half]} … {line[-half:]}"


def money(amount: str | Decimal | None) -> str:
    """Return an amount with two decimals, half to even, and its thousands grouped; an empty text for None.

    JSON, CSV and spreadsheets have the exact amount.
    """
    if amount is None:
        return ""
    rounded = Decimal(amount).quantize(_HUNDREDTH, context=_ROUNDING)
    return f"{rounded or rounded.copy_abs():,}"  # never "-0.00"


def identifying(table: Table, heading: str, cells: Iterable[str], justify: JustifyMethod = "left") -> None:
    """Add a column that identifies the rows: in a narrow terminal the other columns give way.

    Args:
        table: Without rows.
        heading: Of the column.
        cells: All its cells. If all have at most `ID_COLUMNS_MAX` characters, each is on one line; otherwise they fold.
        justify: Of the column.
    """
    fits = max(map(len, cells), default=0) <= ID_COLUMNS_MAX
    table.add_column(heading, overflow="fold", no_wrap=fits, justify=justify)


_HUNDREDTH = Decimal("0.01")
_ROUNDING = Context(prec=120, rounding=ROUND_HALF_EVEN)
