from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from territory.model.compiled import Model, compile_model
from territory_admin.errors import Refused
from territory_admin.reports.history import HistoryPoint
from territory_control.views.attainment_history import Plot, history
from tests.unit.territory_control.views.rendering import rendered


def model() -> Model:
    return compile_model({"org": "acme", "territories": [{"id": "west", "name": "The West"}, {"id": "east"}]}, 1)


def point(day: int, won: str | None, territory_id: str = "west", target: str | None = "200") -> HistoryPoint:
    percent = None if won is None or target is None else f"{100 * int(won) / int(target):.2f}"
    return HistoryPoint(date(2017, 3, day), territory_id, "2017-Q1", target, won, "0", "0", "0", "0", 1, percent)


POINTS = [point(1, "5", "east", None), point(2, "10", "east", None), point(1, "50"), point(2, "200"), point(3, None)]


def lines(points: list[HistoryPoint]) -> list[str]:
    return rendered(history(model(), points), 120).splitlines()


def test_a_bar_a_day() -> None:
    """A bar is relative to the target, or to the highest amount without one; a removed attainment is named."""
    assert [line.split() for line in lines(POINTS)] == [
        ["east,", "2017-Q1"],
        ["2017-03-01", "█" * 20 + "·" * 20, "5.00", "no", "target"],
        ["2017-03-02", "█" * 40, "10.00", "no", "target"],
        ["The", "West,", "2017-Q1"],
        ["2017-03-01", "█" * 10 + "·" * 30, "50.00", "25%", "of", "200.00"],
        ["2017-03-02", "█" * 40, "200.00", "100%", "of", "200.00"],
        ["2017-03-03", "removed"],
    ]
    assert lines([]) == ["no attainment is on the log there; territory attainment shows the present ones"]
    assert "····" in lines([point(1, "0", target=None)])[1]


def test_a_plot_has_a_line_for_each_territory_and_target(tmp_path: Path) -> None:
    """Each territory and period has a line, and one for its target; a plot without points is valid."""
    drawn = tmp_path / "out.svg"
    Plot(drawn).draw(model(), POINTS)
    text = drawn.read_text()
    assert text.endswith("</svg>\n")
    assert [word in text for word in ("The West, 2017-Q1, target", "east, 2017-Q1 -->", "won, USD")] == [True] * 3
    assert "east, 2017-Q1, target" not in text
    Plot(tmp_path / "out.png").draw(model(), [])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_can_not_be_drawn_is_refused_before_the_log_is_read(tmp_path: Path) -> None:
    """An unknown kind of file and a missing folder are refused at the start; an unwritable file when it is written."""
    with pytest.raises(Refused, match=r"expected a file that ends with .*\.png"):
        Plot(tmp_path / "out.doc")
    with pytest.raises(Refused, match="there is no folder"):
        Plot(tmp_path / "nowhere" / "out.png")
    folder = tmp_path / "out.png"
    folder.mkdir()
    with pytest.raises(Refused, match=r"can't write .*out.png"):
        Plot(folder).draw(model(), POINTS)


def test_without_matplotlib_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib is optional: `--plot` without it says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Refused, match=r"pip install 'territory\[plot\]'"):
        Plot(tmp_path / "out.png")
