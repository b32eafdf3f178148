"""Words and numbers that every view writes alike."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

NAMED_MAX = 10
LINE_CHARACTERS_MAX = 300


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
    """Return an exact amount with its thousands grouped; an empty text for None."""
    return "" if amount is None else f"{Decimal(amount):,}"
