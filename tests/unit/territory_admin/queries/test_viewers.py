from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from access_indexer.core.viewers import AccessAttributes, Path, paths_of
from territory.model.compiled import compile_model
from territory.model.document import OBJECTS
from territory_admin.queries.viewers import viewers_of
from tests.support.strategies import GROUPS, STRANGER, TERRITORIES, USERS, models
from tests.unit.territory_admin.queries.test_explainer import MODEL

SHARED: dict[str, Any] = {
    "id": "s1",
    "object": "account",
    "criteria": {"field": "size", "ge": 5},
    "to": {"role": "rep"},
}


@given(
    models(),
    st.sampled_from([*USERS, *GROUPS, STRANGER, None]),
    st.sets(st.sampled_from(TERRITORIES), max_size=3),
    st.data(),
)
def test_viewers_are_the_users_with_a_path(
    document: dict[str, Any], owner: str | None, territory_ids: set[str], data: st.DataObject
) -> None:
    """Viewers by sets and by explained paths are the same users with the same levels (V1, V3, V4, V6, V9 to V11)."""
    model = compile_model(document, 1)
    marks = tuple(data.draw(st.lists(st.sampled_from([*model.sharing, "s1#of-another-model"]), unique=True)))
    territories = tuple(sorted(territory_ids))
    record = AccessAttributes(data.draw(st.sampled_from(OBJECTS)), owner, territories, marks)
    found = {viewer.user_id: viewer for viewer in viewers_of(model, record)}
    for user in model.people:
        paths = paths_of(model, user, record)
        levels = {path.level for path in paths}
        assert (user in found) is bool(paths)
        if paths:
            assert (found[user].paths, found[user].level) == (tuple(paths), "edit" if "edit" in levels else "read")


def test_viewers_have_all_their_paths() -> None:
    """Every path of a user is listed, and the highest level counts (V3, V9)."""
    model = compile_model({**MODEL, "sharing": [SHARED]}, 1)
    record = AccessAttributes("account", "cleo", ("dach",), tuple(model.sharing))
    by_id = {viewer.user_id: viewer for viewer in viewers_of(model, record)}
    assert [str(path) for path in by_id["cleo"].paths] == [
        "owner (edit)",
        "member of territory dach (read)",
        "sharing rule s1 for role rep (read)",
    ]
    assert (by_id["cleo"].level, by_id["bob"].level) == ("edit", "read")
    assert [str(path) for path in by_id["bob"].paths] == ["sharing rule s1 for role rep (read)"]
    assert by_id["root"].paths[0] == Path("administrator", "edit")


def test_viewers_include_administrators() -> None:
    """Administrators see every record; deactivated users see none (V1, V7)."""
    found = viewers_of(compile_model(MODEL, 1), AccessAttributes("account", "bob", ("dach",), ()))
    assert [(viewer.user_id, viewer.level, viewer.admin) for viewer in found] == [
        ("ann", "edit", False),
        ("bob", "edit", False),
        ("cleo", "read", False),
        ("root", "edit", True),
    ]
