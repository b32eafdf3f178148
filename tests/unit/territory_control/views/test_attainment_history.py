from __future__ import annotations

import io
import sys
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from territory.model.compiled import Model, compile_model
from territory_admin.errors import Refused
from territory_admin.reports.history import HistoryPoint
from territory_control.views.attainment_history import Plot, shown


def model() -> Model:
    return compile_model({"org": "acme", "territories": [{"id": "west", "name": "The West"}, {"id": "east"}]}, 1)


def point(day: int, won: str | None, territory_id: str = "west", target: str | None = "200") -> HistoryPoint:
    percent = None if won is None or target is None else f"{100 * int(won) / int(target):.2f}"
    return HistoryPoint(date(2017, 3, day), territory_id, "2017-Q1", target, won, "0", "0", "0", "0", 1, percent)


POINTS = [point(1, "5", "east", None), point(2, "10", "east", None), point(1, "50"), point(2, "200"), point(3, None)]


def lines(points: list[HistoryPoint]) -> list[str]:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    with console.capture() as captured:
        for part in shown(model(), points):
            console.print(part, markup=False, highlight=False)
    return captured.get().splitlines()


def test_a_bar_a_day() -> None:
    """Of the target; without one, of the most that was won; and it is said when an attainment was gone."""
    said = [line.split() for line in lines(POINTS)]
    assert said == [
        ["east,", "2017-Q1"],
        ["2017-03-01", "█" * 20 + "·" * 20, "5", "no", "target"],
        ["2017-03-02", "█" * 40, "10", "no", "target"],
        ["The", "West,", "2017-Q1"],
        ["2017-03-01", "█" * 10 + "·" * 30, "50", "25%", "of", "200"],
        ["2017-03-02", "█" * 40, "200", "100%", "of", "200"],
        ["2017-03-03", "gone"],
    ]
    assert lines([]) == ["nothing was said of it; territory attainment shows what there is"]
    assert "····" in lines([point(1, "0", target=None)])[1]


def test_it_is_drawn(tmp_path: Path) -> None:
    """A line for each territory and period, one for its target, gaps where it was gone; an empty one is no fault."""
    drawn = tmp_path / "out.svg"
    Plot(drawn).draw(model(), POINTS)
    text = drawn.read_text()
    assert text.endswith("</svg>\n")
    assert [word in text for word in ("The West, 2017-Q1, target", "east, 2017-Q1 -->", "won, USD")] == [True] * 3
    assert "east, 2017-Q1, target" not in text
    Plot(tmp_path / "out.png").draw(model(), [])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_what_can_not_be_drawn_is_said_at_once(tmp_path: Path) -> None:
    """Before the log is read: an unknown kind of file, a folder that is not there; and a file that can't be written."""
    with pytest.raises(Refused, match=r"expected a file that ends with .*\.png"):
        Plot(tmp_path / "out.doc")
    with pytest.raises(Refused, match="there is no folder"):
        Plot(tmp_path / "nowhere" / "out.png")
    folder = tmp_path / "out.png"
    folder.mkdir()
    with pytest.raises(Refused, match=r"can't write .*out.png"):
        Plot(folder).draw(model(), POINTS)


def test_without_matplotlib_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `plot` is left out by who needs no plots; every other command does without."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Refused, match=r"pip install 'territory\[plot\]'"):
        Plot(tmp_path / "out.png")
