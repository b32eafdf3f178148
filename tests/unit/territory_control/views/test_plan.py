from __future__ import annotations

import io

from rich.console import Console

from territory_admin.models.changes import PieceChanges
from territory_admin.planning.plan import Planned
from territory_control.views.plan import plan_view
from tests.unit.territory_admin.planning.examples import CANADA, US, WON, model_of, plan_of

NOTHING = PieceChanges((), (), ())


def shown(planned: Planned) -> str:
    """Return a plan as the terminal shows it."""
    console = Console(file=io.StringIO(), width=120)
    for part in plan_view(planned):
        console.print(part, markup=False, highlight=False, soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    return text


def test_a_plan_is_shown_with_its_heading_and_tables() -> None:
    """The heading names the active revision and tables follow; a plan without changes says so."""
    moving = plan_of(model_of(["US"]), model_of(["US", "CA"]), US, CANADA, WON)
    text = shown(Planned("acme", 3, PieceChanges((), (("territories", "west"),), ()), moving))
    for part in (
        "compared with revision 3",
        "changed: territories/west",
        "1 account, 1 deal",
        "account/A-2: world -> west",
        "sees more",
        "100.5",
    ):
        assert part in text
    still = plan_of(model_of(["US"]), model_of(["US"]), US)
    assert "no record, no user's view and no sum would change" in shown(Planned("acme", 3, NOTHING, still))
    assert "makes this its first" in shown(Planned("acme", 0, NOTHING, plan_of(None, model_of(["US"]), US)))


def test_changed_periods_and_targets_are_named() -> None:
    """Closed and opened periods and changed targets are in no table, so lines name them (F5, F12)."""
    still = plan_of(model_of(["US"]), model_of(["US"]), US)
    period, target = ("frozen", "2017-Q1"), ("target", "west:2017-Q1")
    for changes, line in (
        (PieceChanges((period,), (), ()), "periods closed: 2017-Q1"),
        (PieceChanges((), (), (period,)), "periods opened: 2017-Q1"),
        (PieceChanges((), (target,), (("target", "west:2017-Q2"),)), "targets changed: west:2017-Q1, west:2017-Q2"),
    ):
        text = shown(Planned("acme", 3, changes, still))
        assert line in text
        assert "no sum would change" not in text
