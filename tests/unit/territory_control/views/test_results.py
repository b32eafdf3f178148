from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType

from access_indexer.core.viewers import Path
from territory.errors import Fault
from territory.wire.events import Link
from territory_admin.models.apply import Applied
from territory_admin.models.changes import PieceChanges
from territory_admin.models.refusal import Refusal
from territory_admin.queries.explain_assignment import ExplainedAssignment
from territory_admin.queries.explainer import NearTerritory
from territory_admin.queries.redis_reader import LeftOutDeal
from territory_admin.queries.show import ShownRecord
from territory_admin.queries.viewers import RecordViewers, Viewer
from territory_admin.records.publish import Published, RefusedLine
from territory_admin.records.wait import Behind, Waited
from territory_control.views import results as rendering


def text(parts: Iterable[RenderableType]) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    with console.capture() as captured:
        for part in parts:
            console.print(part, markup=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_what_goes_with_a_territory_is_said() -> None:
    """Who removes a territory is told what becomes of its links (A11)."""
    changes = PieceChanges((("user", "ann"),), (("territory", "a"),), (("territory", "b"),))
    said = text(rendering.applied(Applied("acme", 3, activated=True, changes=changes)))
    assert said.splitlines()[0] == "revision 3 of acme is activated"
    assert "  added: 1 user\n  changed: 1 territory\n  removed: territory/b\n  gone: b; links by rule vanish" in said
    assert text(rendering.applied(Applied("acme", 2, activated=False, changes=PieceChanges((), (), ())))) == (
        "nothing changed: revision 2 of acme stays in effect"
    )


def test_refused_lines_are_listed() -> None:
    """Each with its number, code and reason; of very many the first."""
    done = Published(8, 1_001, (RefusedLine(3, "not_json", "found [x]"),), 0.25)
    assert text(rendering.published(done)).splitlines() == [
        "8 published, 1001 refused, in 0.2 s",
        "  line 3: not_json: found [x]",
        "  … 1000 more",
    ]


def test_what_has_not_come_through_is_listed() -> None:
    """The stages that are behind, and those that nobody runs."""
    behind = Behind("assigner-intake", "crm.records.v1", 2, 5, unswept=False)
    said = text(rendering.waited(Waited(False, 9.9, (behind,), ("assigner-intake",)), None))
    assert said.splitlines() == [
        "not everything has come through after 10 s",
        "  assigner-intake: crm.records.v1 [2]: 5 messages",
        "  no service is running for assigner-intake: start it",
    ]


def test_a_refused_model_is_told_where_all_else_has_come_through() -> None:
    """Everything is there, under the model before: who waits for the new one must hear of it."""
    refused = Refusal(5, (Fault("territories[t].rules.account", "found x, expected y"),))
    assert text(rendering.waited(Waited(True, 1.0, (), ()), refused)).splitlines() == [
        "everything is in Redis, after 1.0 s",
        "revision 5 was refused, the model before it stays in effect:",
        "  territories[t].rules.account: found x, expected y",
    ]


def test_a_record_is_shown_with_all_that_its_assignment_names() -> None:
    """Links with causes and reasons, and what was cut, ran up, or was dropped (A10)."""
    shown = ShownRecord(
        record="account/A", org_id="acme", version=4, model_revision=2, owner_id=None, territories=("west",),
        links=(Link("west", ("rule", "manual"), ("west: size ge 5", "assigned by hand")),), cut=("east",),
        runners_up=(), dropped=("moon",), unassigned=None, viewers=7, index_is_behind=True,
    )  # fmt: skip
    assert text(rendering.shown(shown)).splitlines() == [
        "account/A  version 4, owned by nobody",
        "is in west (rule and manual)",
        "    west: size ge 5",
        "    assigned by hand",
        "cut, because a record has only so many territories: east",
        "assigned by hand to territories that are not in the model: moon",
        "seen by 7 users",
        "the index has yet to take what was decided last (territory wait)",
    ]


def test_near_misses_follow_the_links() -> None:
    """Each with the territory whose condition fails; a very long text of the record shows both ends (A10)."""
    explained = ExplainedAssignment(
        record="account/A", org_id="acme", version=4, model_revision=2, owner_id=None, links=(), cut=(),
        runners_up=(), dropped=(), unassigned=None, asked=None, log_is_behind=False,
        near_misses=(NearTerritory("bay", "west", f"notes contains gold: the record's value is {'x' * 5000} end"),),
    )  # fmt: skip
    said = text(rendering.explained_assignment(explained)).replace("\n", "")
    assert "nearly in bay: one condition fails    west: notes contains gold" in said
    assert said.endswith("x end")
    assert len(said) < 500


def test_deals_are_counted_by_reason() -> None:
    """Details that differ from deal to deal are left to the list itself."""
    deals = [
        LeftOutDeal("1", "unassigned", "it names no account"),
        LeftOutDeal("2", "unassigned", "it names no account"),
    ]
    deals += [LeftOutDeal(str(n), "no_amount", f"its amount {n} is not a number") for n in range(3, 6)]
    assert [line.split() for line in text(rendering.left_out(deals)).splitlines()] == [
        ["3", "no_amount"],
        ["2", "unassigned", "it", "names", "no", "account"],
    ]


def test_long_lists_are_cut_short() -> None:
    """The first ten, and how many more."""
    assert rendering.named(["a", "b"]) == "a, b"
    assert rendering.named([str(n) for n in range(12)]).endswith("9, … 2 more")


def test_viewers_come_with_their_paths() -> None:
    """Each path on a line of its own, beside the highest level (V9)."""
    paths = (Path("owner", "edit"), Path("sharing rule s1 for role rep", "read"))
    ann = Viewer("ann", "Ann", "edit", admin=False, paths=paths)
    root = Viewer("root", "Root", "edit", admin=True, paths=(Path("administrator", "edit"),))
    found = RecordViewers("account/A", "acme", (ann, root))
    assert [" ".join(line.split()) for line in text(rendering.viewers(found)).splitlines()] == [
        "account/A: 2 users",
        "user name level by",
        "ann Ann edit owner (edit)",
        "sharing rule s1 for role rep (read)",
        "root Root edit administrator (edit)",
    ]
