"""Attainment over time, as bars on a terminal and as a drawing in a file."""

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
from territory_control.views.attainment_tree import bar, money

BAR_CELLS = 40
WON_COLUMNS = 18


def shown(model: Model, points: Sequence[HistoryPoint]) -> Iterator[RenderableType]:
    """Return a bar a day: of the target, or without one of the most that was won."""
    if not points:
        yield Text("nothing was said of it; territory attainment shows what there is")
    for territory_id, period, found in series_of(points):
        yield Text(f"{model.territories[territory_id].name}, {period}", style="bold")
        most = max(Decimal(point.won or 0) for point in found)
        for point in found:
            yield _line(point, most)


def _line(point: HistoryPoint, most: Decimal) -> Text:
    day = f"  {point.day}  "
    if point.won is None:
        return Text(f"{day}gone", style="dim")
    if point.attainment_pct is not None:
        part, of = Decimal(point.attainment_pct), f"{Decimal(point.attainment_pct):>7.0f}% of {money(point.target)}"
    else:
        part, of = Decimal(point.won) * 100 / most if most > 0 else Decimal(0), "    no target"
    return Text(f"{day}{bar(part, BAR_CELLS)}{money(point.won):>{WON_COLUMNS}}{of}")


def series_of(points: Iterable[HistoryPoint]) -> Iterator[tuple[str, str, list[HistoryPoint]]]:
    """Yield each territory and period with its points, by day."""
    for (territory_id, period), found in groupby(points, key=lambda point: (point.territory_id, point.period)):
        yield territory_id, period, list(found)


# --- drawn -----------------------------------------------------------------------------------


class Plot:
    """A file that attainment over time is drawn to."""

    def __init__(self, path: Path) -> None:
        """Make sure that it can be drawn, before anything is read.

        Raises: Refused without matplotlib, for a kind of file that it does not write, or for a missing folder.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra: most commands do without it
        except ModuleNotFoundError as missing:
            raise Refused("--plot needs matplotlib, which is not installed: pip install 'territory[plot]'") from missing
        self._path = path
        self._figure: Any = Figure(figsize=(9, 4.5), layout="constrained")
        kinds = self._figure.canvas.get_supported_filetypes()
        if path.suffix.removeprefix(".") not in kinds:
            raise Refused(f"found --plot {path}, expected a file that ends with .{', .'.join(sorted(kinds))}")
        if not path.absolute().parent.is_dir():
            raise Refused(f"found --plot {path}, but there is no folder {path.parent}")

    def draw(self, model: Model, points: Sequence[HistoryPoint]) -> None:
        """Draw what was won as steps, for each territory and period, and its target. Raises: Refused."""
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
    """Return an amount as it is drawn; none is a gap."""
    return Decimal("NaN" if amount is None else amount)
