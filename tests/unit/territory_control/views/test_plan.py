from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from territory_admin.models.changes import PieceChanges
from territory_admin.planning.emptied import EmptiedTerritory
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


def test_emptied_territories_come_before_the_tables() -> None:
    """A warning names each territory that loses all records, how many, and why (A1)."""
    plan = plan_of(model_of(["US"]), model_of(["US"]), US)
    emptied = (
        EmptiedTerritory("es-south", 285, 0, "zip eq 1 (of es-east) and zip eq 2 can't both hold", "spain"),
        EmptiedTerritory("es-west", 3, 0, None, ""),
        EmptiedTerritory("es-north", 1, 0, None, None),
    )
    text = shown(Planned("acme", 3, NOTHING, replace(plan, emptied=emptied)))
    assert "warning: 3 territories lose all records, or can match none by rule; look at the rules above" in text
    flat = " ".join(text.split())
    assert "es-south 285 0 its parent was spain; zip eq 1 (of es-east) and zip eq 2 can't both hold" in flat
    assert "es-west 3 0 its parent was none" in flat
    assert "es-north 1 0 no record matches its rule now" in flat
    assert "no sum would change" not in text
