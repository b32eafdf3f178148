"""Renders what a view returns as the text that a person reads."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType


def rendered(parts: Iterable[RenderableType], columns: int = 200) -> str:
    """Return the text, without the spaces at the ends of lines."""
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    with console.capture() as captured:
        for part in parts:
            console.print(part, markup=False, highlight=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def lines_of(parts: Iterable[RenderableType], columns: int = 200) -> list[str]:
    """Return the lines with text, without the spaces that align them."""
    return [" ".join(line.split()) for line in rendered(parts, columns).splitlines() if line.strip()]
