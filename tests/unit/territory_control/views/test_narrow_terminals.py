"""Tables keep the columns that identify their rows in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from rich.console import RenderableType

from territory_admin.models.changes import PieceChanges
from territory_admin.planning.model_comparison import Plan, SumChange, TerritoryChange, UserChange
from territory_admin.planning.plan import Planned
from territory_admin.queries.redis_reader import AdjustedDeal
from territory_admin.queries.viewers import RecordViewers, Viewer
from territory_admin.queries.worker_metrics import ClusterStatus, WorkerStatus
from territory_control.views.access import viewers
from territory_control.views.attainment_tree import adjustments_table
from territory_control.views.plan import plan_view
from territory_control.views.top import workers
from tests.unit.territory_control.views.rendering import rendered

ID = "emea-north-0065e00000AbCdEfGhIjKlMnOpQ"
LONG = "123456789012345678.25"
DEAL = {"path": [ID], "category": "won", "amount": LONG}
PLAN = Plan(
    9, {}, (), (TerritoryChange(ID, 10**9, 10**9, 10**9, 10**9),), (UserChange(ID, 10**9, 10**9, 10**9, 10**9),),
    (), (), (SumChange(ID, "2017-Q1", "best_case", LONG, LONG[1:]),), {}, {},
)  # fmt: skip
WORKER = WorkerStatus(ID, None, ("access-indexer", "assigner-assignment"), True, 1e6, 10**9, 1e6, 99, 9, 10**9, 10**9)


@pytest.mark.parametrize(
    "parts",
    [
        plan_view(Planned("acme", 1, PieceChanges((), (), ()), PLAN)),
        viewers(RecordViewers("account/A", "acme", (Viewer(ID, "Name " * 9, "edit", False, ()),))),
        [adjustments_table([AdjustedDeal("2017-Q1", ID, DEAL, DEAL)])],
        [workers(ClusterStatus((WORKER,), None, None, None, 0, 0, 0, 1, True, None))],
    ],
    ids=["plan", "viewers", "adjustments", "workers"],
)
def test_ids_are_whole_in_80_columns(parts: Iterable[RenderableType]) -> None:
    """Other columns give way; an id of up to 40 characters stays on one line, and no line is cut."""
    text = rendered(parts, 80)
    assert ID in text
    assert "2017-Q1" in text or "2017" not in text
    assert "…" not in text


def test_an_id_longer_than_that_folds_and_is_not_cut() -> None:
    """Every character of a very long id is shown."""
    name = "".join(f"{number:03d}" for number in range(80))
    lines = rendered([adjustments_table([AdjustedDeal("2017-Q1", name, None, None)])], 80).splitlines()
    assert "".join(line.split("│")[2].strip() for line in lines if line.count("│") == 5) == name
