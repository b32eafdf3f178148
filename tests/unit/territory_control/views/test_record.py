from __future__ import annotations

from territory.wire.events import Link
from territory_admin.queries.explain_assignment import ExplainedAssignment
from territory_admin.queries.explainer import NearTerritory
from territory_admin.queries.show import ShownRecord
from territory_control.views.record import assignment, record
from tests.unit.territory_control.views.rendering import rendered


def test_a_record_is_shown_with_all_that_its_assignment_names() -> None:
    """Links have causes and reasons; cut, dropped and runner-up territories are named (A10)."""
    shown = ShownRecord(
        record="account/A", org_id="acme", version=4, model_revision=2, owner_id=None, territories=("west",),
        links=(Link("west", ("rule", "manual"), ("west: size ge 5", "assigned by hand")),), cut=("east",),
        runners_up=(), dropped=("moon",), unassigned=None, viewers=7, index_is_behind=True,
    )  # fmt: skip
    assert rendered(record(shown)).splitlines() == [
        "account/A  version 4, owned by nobody",
        "is in west (rule and manual)",
        "    west: size ge 5",
        "    assigned by hand",
        "cut, because a record can be in only so many territories: east",
        "assigned by hand to territories that are not in the model: moon",
        "seen by 7 users",
        "Redis does not have the latest decision yet; try again after territory wait",
    ]


def test_near_misses_follow_the_links() -> None:
    """A near miss names the territory whose condition fails; a very long text shows both ends (A10)."""
    explained = ExplainedAssignment(
        record="account/A", org_id="acme", version=4, model_revision=2, owner_id=None, links=(), cut=(),
        runners_up=(), dropped=(), unassigned=None, asked=None, log_is_behind=False,
        near_misses=(NearTerritory("bay", "west", f"notes contains gold: the record's value is {'x' * 5000} end"),),
    )  # fmt: skip
    text = rendered(assignment(explained)).replace("\n", "")
    assert "nearly in bay: one condition fails    west: notes contains gold" in text
    assert text.endswith("x end")
    assert len(text) < 500
