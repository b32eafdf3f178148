"""Draws a plot with two logarithmic axes, as an SVG file."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import say


class Line(NamedTuple):
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(path: Path, title: str, axes: tuple[str, str], lines: Sequence[Line]) -> None:
    """Draw lines; if matplotlib is not installed, say so and draw nothing."""
    if importlib.util.find_spec("matplotlib") is None:
        say(f"{path.name} is not drawn: matplotlib is not installed (make bench-match installs it)")
        return
    import matplotlib as mpl  # noqa: PLC0415 -- it is in the group `bench` only
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = path.name  # the same ids in every run
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    plot = figure.add_subplot()
    for line in lines:
        across, up = zip(*line.points, strict=True)
        plot.loglog(across, up, marker="o", label=line.name)
    plot.set_title(title)
    plot.set_xlabel(axes[0])
    plot.set_ylabel(axes[1])
    plot.grid(visible=True, which="major", alpha=0.4)
    plot.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
