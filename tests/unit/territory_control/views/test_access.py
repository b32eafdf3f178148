from __future__ import annotations

from dataclasses import replace

from access_indexer.core.viewers import Path
from territory_admin.queries.explain_access import ExplainedAccess, OwnerKind
from territory_admin.queries.redis_reader import Membership
from territory_admin.queries.viewers import RecordViewers, Viewer
from territory_admin.queries.visible import VisibleRecords
from territory_control.views.access import paths_of_user, viewers, visible_records
from tests.unit.territory_control.views.rendering import lines_of, rendered

UNSEEN = ExplainedAccess(
    record="account/A", org_id="acme", user_id="ann", active=True, owner_id=None, owner_kind=None, territories=(),
    sees=False, level=None, paths=(), index=Membership(visible=False, editable=False, admin=False),
    index_is_behind=False,
)  # fmt: skip


def test_a_path_is_named_or_its_absence_explained() -> None:
    """The text has each path; without one, the owner and the territories that do not lead to the user (V9)."""
    assert lines_of(paths_of_user(UNSEEN)) == [
        "ann and account/A",
        "no path: the record is owned by nobody and in no territory",
        "in Redis: does not see it",
    ]
    owned = replace(UNSEEN, owner_id="00G5")
    texts: dict[OwnerKind, str] = {
        "user": "owned by 00G5 and in no territory",
        "group": "owned by group 00G5, which the user is no active member of, and in",
        "unknown": "owned by 00G5, which is neither a user nor a group of the model, and in",
    }
    for kind, text in texts.items():
        assert text in " ".join(lines_of(paths_of_user(replace(owned, owner_kind=kind))))
    assert "is deactivated and sees nothing" in rendered(paths_of_user(replace(UNSEEN, active=False)))
    membership = Membership(visible=True, editable=True, admin=False)
    seen = replace(UNSEEN, sees=True, level="edit", paths=(Path("owner", "edit"),), index=membership)
    assert lines_of(paths_of_user(replace(seen, index_is_behind=True))) == [
        "ann and account/A",
        "owner (edit)",
        "in Redis: may edit",
        "Redis does not have the latest change yet; try again after territory wait",
    ]


def test_visible_records_are_counted_and_listed() -> None:
    """Each object has its count and its records; an administrator sees everything and has no list (V3)."""
    found = VisibleRecords("acme", "ann", "read", admin=False, records={"account": ["A"], "deal": []})
    assert lines_of(visible_records(found)) == ["ann sees 1 account", "account/A", "ann sees 0 deals"]
    assert "may edit 1 account" in rendered(visible_records(replace(found, level="edit")))
    assert "is an administrator" in rendered(visible_records(replace(found, admin=True, records={})))


def test_viewers_come_with_their_paths() -> None:
    """Each path has a line of its own beside the user's highest level (V9)."""
    paths = (Path("owner", "edit"), Path("sharing rule s1 for role rep", "read"))
    ann = Viewer("ann", "Ann", "edit", admin=False, paths=paths)
    root = Viewer("root", "Root", "edit", admin=True, paths=(Path("administrator", "edit"),))
    assert lines_of(viewers(RecordViewers("account/A", "acme", (ann, root)))) == [
        "account/A: 2 users",
        "user name level by",
        "ann Ann edit owner (edit)",
        "sharing rule s1 for role rep (read)",
        "root Root edit administrator (edit)",
    ]
