"""What holds of the loop as a text."""

from __future__ import annotations

from pathlib import Path

import territory_runtime.partition_loop

LINES_MAX = 400


def test_the_loop_stays_readable() -> None:
    """One module of at most 400 lines: where it wants more, the design is wrong."""
    lines = Path(territory_runtime.partition_loop.__file__).read_text().splitlines()
    assert len(lines) <= LINES_MAX
