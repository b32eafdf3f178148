"""Money is never a float, in the forecast or in the arithmetic it uses."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import forecast_aggregator
import territory.money
from forecast_aggregator import drift_monitor as monitor
from territory_control.views import attainment_tree

# Everything except the drift monitor, whose floats are seconds.
FILES = sorted(
    {
        *set(Path(inspect.getfile(forecast_aggregator)).parent.rglob("*.py")) - {Path(inspect.getfile(monitor))},
        Path(inspect.getfile(territory.money)),
        Path(inspect.getfile(attainment_tree)),
    }
)


def floats_in(source: str) -> Iterator[str]:
    """Yield each float of a source: a literal, `float`, `round` or `fsum`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"line {node.lineno}: {node.value!r}"
        if isinstance(node, ast.Name) and node.id in ("float", "round"):
            yield f"line {node.lineno}: {node.id}"
        if isinstance(node, ast.Attribute) and node.attr in ("float", "fsum"):
            yield f"line {node.lineno}: {node.attr}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_float(path: Path) -> None:
    """No module has a float literal or a conversion to float (F10)."""
    assert list(floats_in(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("line", ["x = 0.5", "x = float(y)", "def f(x: float): ...", "x = round(y, 2)", "math.fsum(x)"])
def test_checker_finds_floats(line: str) -> None:
    """The checker of the test above finds each kind of float (F10)."""
    assert len(list(floats_in(line))) == 1
