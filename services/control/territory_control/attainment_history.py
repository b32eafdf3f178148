"""Attainment over time, from the log: read, shown as bars and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from territory.events import Attainment, read_attainment
from territory.keys import attainment_key, partition_of
from territory.model import Model
from territory.topics import ATTAINMENTS
from territory_control.arguments import check_period, check_territory
from territory_control.attainment_tree import bar, money
from territory_control.errors import Refused
from territory_control.model_topic import active_model
from territory_control.organisation_log import Progress, Reading
from territory_control.reports.history import Histories, Point
from territory_control.topic_reading import existing_partitions, partitions_of, started
from territory_runtime import kafka
from territory_runtime.settings import Settings

BAR_CELLS = 40
WON_COLUMNS = 18


async def history(
    settings: Settings, territory_id: str | None, period: str | None, progress: Progress
) -> tuple[Model, list[Point]]:
    """Return the model, and how a territory, or else every root, stood at the end of each day.

    Days are the organisation's, by the time at which the aggregator said it.
    Compaction leaves the last value of a key and what is younger than the topic's min.compaction.lag.ms.

    Raises: NotFound for an unknown territory; Refused for what is no period; KafkaError.
    """
    partitions = await existing_partitions(settings)
    model = await active_model(settings, settings.org_id)
    if territory_id is not None:
        check_territory(model, territory_id)
    if period is not None:
        check_period(model, period)
    wanted = model.tree.children_of(None) if territory_id is None else (territory_id,)
    found = Histories(model.calendar)

    def take(key: str, said_ms: int, said: Attainment | None) -> None:
        _, where, when, *user = key.split("/")
        if not user and where in wanted and period in (None, when):
            found.take(where, when, said_ms, said)

    places = partitions_of(ATTAINMENTS, partitions)
    if territory_id is not None and period is not None:
        places = [places[partition_of(attainment_key(settings.org_id, territory_id, period, None), partitions)]]
    async with started(kafka.reader(settings)) as consumer:
        reading = Reading(consumer, settings.org_id, progress)
        await reading.mark(places)
        for where in places:
            await reading.read_timed(where, read_attainment, take)
    return model, found.points()


def series_of(points: Iterable[Point]) -> Iterator[tuple[str, str, list[Point]]]:
    """Iterate over the points of each territory and period, by day."""
    for (territory_id, period), found in groupby(points, key=lambda point: (point.territory_id, point.period)):
        yield territory_id, period, list(found)


def shown(model: Model, points: Sequence[Point]) -> Iterator[RenderableType]:
    """Return a bar a day: of the target, or without one of the most that was won."""
    if not points:
        yield Text("nothing was said of it; territory attainment shows what there is")
    for territory_id, period, found in series_of(points):
        yield Text(f"{model.territories[territory_id].name}, {period}", style="bold")
        most = max(Decimal(point.won or 0) for point in found)
        for point in found:
            yield _line(point, most)


def _line(point: Point, most: Decimal) -> Text:
    day = f"  {point.day}  "
    if point.won is None:
        return Text(f"{day}gone", style="dim")
    if point.attainment_pct is not None:
        part, of = Decimal(point.attainment_pct), f"{Decimal(point.attainment_pct):>7.0f}% of {money(point.target)}"
    else:
        part, of = Decimal(point.won) * 100 / most if most > 0 else Decimal(0), "    no target"
    return Text(f"{day}{bar(part, BAR_CELLS)}{money(point.won):>{WON_COLUMNS}}{of}")


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

    def draw(self, model: Model, points: Sequence[Point]) -> None:
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
