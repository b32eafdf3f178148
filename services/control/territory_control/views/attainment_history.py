"""Attainment over time: a bar a day on the terminal, or a plot in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from territory.model.compiled import Model
from territory_admin.errors import Refused
from territory_admin.reports.history import HistoryPoint
from territory_control.views.attainment_tree import percent_bar
from territory_control.views.text import money

BAR_CELLS = 40
WON_COLUMNS = 18


def history(model: Model, points: Sequence[HistoryPoint]) -> Iterator[RenderableType]:
    """Yield a bar for each day: relative to the target, or to the highest amount where there is no target."""
    if not points:
        yield Text("no attainment is on the log there; territory attainment shows the present ones")
    for territory_id, period, found in series_of(points):
        yield Text(f"{model.territories[territory_id].name}, {period}", style="bold")
        highest = max(Decimal(point.won or 0) for point in found)
        for point in found:
            yield _line(point, highest)


def _line(point: HistoryPoint, highest: Decimal) -> Text:
    day = f"  {point.day}  "
    if point.won is None:
        return Text(f"{day}removed", style="dim")
    if point.attainment_pct is not None:
        percent = Decimal(point.attainment_pct)
        relation = f"{percent:>7.0f}% of {money(point.target)}"
    else:
        percent = Decimal(point.won) * 100 / highest if highest > 0 else Decimal(0)
        relation = "    no target"
    return Text(f"{day}{percent_bar(percent, BAR_CELLS)}{money(point.won):>{WON_COLUMNS}}{relation}")


def series_of(points: Iterable[HistoryPoint]) -> Iterator[tuple[str, str, list[HistoryPoint]]]:
    """Yield each territory and period with its points, by day."""
    for (territory_id, period), found in groupby(points, key=lambda point: (point.territory_id, point.period)):
        yield territory_id, period, list(found)


class Plot:
    """A plot of attainment over time in a file."""

    def __init__(self, path: Path) -> None:
        """Check that the file can be drawn, before anything is read.

        Raises: Refused without matplotlib, for an unknown kind of file, or for a missing folder.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra that only plots need
        except ModuleNotFoundError as missing:
            raise Refused("--plot needs matplotlib, which is not installed: pip install 'territory[plot]'") from missing
        self._path = path
        self._figure: Any = Figure(figsize=(9, 4.5), layout="constrained")
        kinds = self._figure.canvas.get_supported_filetypes()
        if path.suffix.removeprefix(".") not in kinds:
            raise Refused(f"found --plot {path}, expected a file that ends with .{', .'.join(sorted(kinds))}")
        if not path.absolute().parent.is_dir():
            raise Refused(f"found --plot {path}, but there is no folder {path.parent}; create it first")

    def draw(self, model: Model, points: Sequence[HistoryPoint]) -> None:
        """Draw a step line for each territory and period, and a dashed one for its target. Raises: Refused."""
        axes = self._figure.add_subplot()
        for territory_id, period, found in series_of(points):
            days, name = [point.day for point in found], f"{model.territories[territory_id].name}, {period}"
            won = [_height(point.won) for point in found]
            (line,) = axes.step(days, won, where="post", marker="o", markersize=3, label=name)
            if any(point.target is not None for point in found):
                targets = [_height(point.target) for point in found]
                axes.step(days, targets, where="post", linestyle="--", color=line.get_color(), label=f"{name}, target")
        axes.set_ylabel(f"won, {model.organisation.currency}")
        axes.grid(visible=True, alpha=0.4)
        axes.ticklabel_format(axis="y", style="plain")
        if points:
            axes.legend()
            self._figure.autofmt_xdate()
        try:
            self._figure.savefig(self._path)
        except OSError as fault:
            raise Refused(f"can't write {self._path}: {fault.strerror or fault}") from fault


def _height(amount: str | None) -> Decimal:
    """Return an amount for the plot; None is a gap in the line."""
    return Decimal("NaN" if amount is None else amount)
