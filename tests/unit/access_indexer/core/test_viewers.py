"""Who sees a record, who may edit it, and by which paths."""

from __future__ import annotations

from typing import Any

import pytest

from access_indexer.core.viewers import AccessPolicy, Path, Viewers, paths_of
from territory.model.compiled import Model
from tests.unit.access_indexer.core.examples import TERRITORIES, USERS, but, model_of

MODEL = model_of()


def seen(
    owner_id: str | None, *territories: str, model: Model = MODEL, shared: tuple[str, ...] = ()
) -> tuple[set[str], set[str]]:
    """Return who reads a record and who may edit it."""
    viewers = AccessPolicy(model).viewers_of(owner_id, territories, shared)
    return set(viewers.readers), set(viewers.editors)


def shown(
    user_id: str, owner_id: str | None, *territories: str, model: Model = MODEL, shared: tuple[str, ...] = ()
) -> list[str]:
    """Return the paths by which a user sees a record, as they are shown."""
    return [str(path) for path in paths_of(model, user_id, owner_id, territories, shared)]


def sharing(to: dict[str, str], level: str = "read", rule_id: str = "s1", **sections: Any) -> Model:
    """Return the model with one sharing rule; records have its mark where a test says so."""
    criteria = {"field": "sector", "eq": "medical"}
    rule = {"id": rule_id, "object": "account", "criteria": criteria, "to": to, "level": level}
    return model_of(fields={"account": {"sector": "text"}}, sharing=[rule], **sections)


def marks(model: Model) -> tuple[str, ...]:
    """Return the marks of all sharing rules of a model."""
    return tuple(model.sharing)


def test_owner_and_superiors() -> None:
    """The owner and who is above the owner's role, with edit; nobody of the same role (V1, V2, V3)."""
    assert seen("ann") == ({"ann", "vic", "cleo"}, {"ann", "vic", "cleo"})


def test_nothing_goes_down_the_role_tree() -> None:
    """Who is below the owner's role gets nothing by that (V2)."""
    assert seen("vic") == ({"vic", "cleo"}, {"vic", "cleo"})


def test_members_of_the_territory_and_of_those_above() -> None:
    """Members of an ancestor see what is below, and the effective manager may edit it (V1, V3)."""
    assert seen(None, "bay") == ({"sam", "wes", "mia"}, {"mia"})


def test_nothing_goes_down_or_sideways_in_the_territory_tree() -> None:
    """Members of a descendant or a sibling get nothing (V2)."""
    assert seen(None, "west") == ({"wes", "mia"}, {"mia"})


def test_members_write_where_the_holding_territory_says_so() -> None:
    """With read_write_delete all of its members may edit, and those of its ancestors (V3)."""
    assert seen(None, "east") == ({"eve", "mia"}, {"eve", "mia"})
    above = model_of(territories=but(TERRITORIES, "world", users=["ann"]))
    assert seen(None, "east", model=above) == ({"eve", "mia", "ann"}, {"eve", "mia", "ann"})


def test_level_is_the_holding_territorys_and_not_the_viewers_own() -> None:
    """A member of a writable territory reads what a territory below, which is not, holds (V3)."""
    model = model_of(territories=but(TERRITORIES, "west", permission="read_write_delete"))
    assert seen(None, "bay", model=model) == ({"sam", "wes", "mia"}, {"mia"})
    assert seen(None, "west", model=model) == ({"wes", "mia"}, {"wes", "mia"})


def test_highest_of_several_paths_counts() -> None:
    """A reader by one territory edits by another (V3)."""
    model = model_of(territories=but(TERRITORIES, "east", users=["sam"]))
    assert seen(None, "bay", "east", model=model)[1] == {"sam", "mia"}


def test_effective_manager_is_the_nearest() -> None:
    """With a manager of its own, one of an ancestor still edits, as the manager of that (V3)."""
    model = model_of(territories=but(TERRITORIES, "west", manager="bob"))
    assert seen(None, "bay", model=model) == ({"sam", "wes", "bob", "mia"}, {"bob", "mia"})


def test_removing_one_path_takes_only_what_it_gave() -> None:
    """Who owns a record and sits in its territory still sees it without either (V5)."""
    model = model_of(territories=but(TERRITORIES, "bay", users=["ann"]))
    assert "ann" in seen("ann", "bay", model=model)[0]
    assert "ann" in seen("bob", "bay", model=model)[0]
    assert "ann" in seen("ann", model=model)[0]
    assert "ann" not in seen("bob", model=model)[0]


def test_deactivated_user_sees_nothing() -> None:
    """Neither as owner nor as member; the superiors of the role still see what such a user owns (V7)."""
    model = model_of(territories=but(TERRITORIES, "bay", users=["gone"]), users=but(USERS, "wes", active=False))
    assert seen("gone", "bay", model=model) == ({"vic", "cleo", "mia"}, {"vic", "cleo", "mia"})


def test_administrators_have_no_sets() -> None:
    """They see everything, and are listed elsewhere; one who is deactivated sees nothing (V1, V7)."""
    assert seen("root") == ({"cleo"}, {"cleo"})
    assert MODEL.admins == {"root"}
    off = model_of(users=but(USERS, "root", active=False))
    assert (off.admins, seen("root", model=off)) == (frozenset(), ({"cleo"}, {"cleo"}))


@pytest.mark.parametrize(("owner_id", "territories"), [(None, ()), ("stranger", ()), (None, ("sold",))])
def test_unknown_owner_or_territory(owner_id: str | None, territories: tuple[str, ...]) -> None:
    """Who is not in the model owns nothing, what is not in it holds nothing (V1)."""
    assert seen(owner_id, *territories) == (set(), set())


def test_like_records_share_one_answer() -> None:
    """The same owner and territories are worked out once (V1)."""
    access = AccessPolicy(MODEL)
    assert access.viewers_of("ann", ("bay",), ()) is access.viewers_of("ann", ("bay",), ())
    assert isinstance(access.viewers_of("ann", ("bay",), ()), Viewers)


# --- sharing rules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "users"),
    [
        ({"user": "bob"}, {"bob"}),
        ({"user": "root"}, set()),
        ({"user": "gone"}, set()),
        ({"role": "rep"}, {"ann", "bob"}),
        ({"role": "vp"}, {"vic"}),
        ({"role_and_below": "vp"}, {"vic", "ann", "bob"}),
        ({"territory": "bay"}, {"sam"}),
        ({"territory": "world"}, {"mia"}),
        ({"territory_and_below": "west"}, {"wes", "sam"}),
    ],
)
def test_sharing_rule_gives_its_target_its_level(to: dict[str, str], users: set[str]) -> None:
    """A user, a role, a role and below, a territory's members, those of a branch; read or edit (V6, V7)."""
    read, edit = sharing(to), sharing(to, "edit")
    assert seen(None, model=read, shared=marks(read)) == (users, set())
    assert seen(None, model=edit, shared=marks(edit)) == (users, users)


def test_sharing_adds_to_what_others_give() -> None:
    """Of several paths the highest level counts, and each gives only its own (V3, V5, V6)."""
    model = sharing({"territory": "bay"}, "edit")
    assert seen("ann", "bay", model=model, shared=marks(model)) == (
        {"ann", "vic", "cleo", "sam", "wes", "mia"},
        {"ann", "vic", "cleo", "sam", "mia"},
    )
    assert "sam" not in seen("ann", "bay", model=model)[1]


def test_mark_that_the_model_does_not_have_gives_nothing() -> None:
    """Of a rule that is gone, or of criteria that it had before: nobody sees by it meanwhile (V6)."""
    model = sharing({"role": "rep"})
    for mark in ("s1#000000000000", "s0#000000000000", "s1"):
        assert seen(None, model=model, shared=(mark,)) == (set(), set())
        assert shown("ann", None, model=model, shared=(mark,)) == []
        assert "ann" in seen(None, model=model, shared=(mark, *marks(model)))[0]


# --- rolled up along the roles ----------------------------------------------------------------


def rolling_up(**sections: Any) -> Model:
    """Return the model with the setting; ann, below vic in the roles, sits in the bay."""
    of_ann = but(TERRITORIES, "bay", users=["ann"])
    return model_of(settings={"territory_access_rolls_up_roles": True}, **{"territories": of_ann} | sections)


def test_superiors_of_members_see_what_they_see() -> None:
    """Role superiors of those who see a record by territory see it, too, at the member's level (V4)."""
    assert seen(None, "bay", model=rolling_up()) == ({"ann", "wes", "mia", "vic", "cleo"}, {"mia", "cleo"})
    without = model_of(territories=but(TERRITORIES, "bay", users=["ann"]))
    assert seen(None, "bay", model=without) == ({"ann", "wes", "mia"}, {"mia"})
    writable = rolling_up(territories=but(TERRITORIES, "bay", users=["ann"], permission="read_write_delete"))
    everybody = {"ann", "wes", "mia", "vic", "cleo"}
    assert seen(None, "bay", model=writable) == (everybody, everybody)
    managed = rolling_up(territories=but(TERRITORIES, "bay", manager="ann"))
    assert seen(None, "bay", model=managed)[1] == {"ann", "mia", "vic", "cleo"}


def test_only_what_is_seen_by_territory_rolls_up() -> None:
    """Superiors of who sees a record by a sharing rule get nothing by that (V4, V6)."""
    model = sharing({"user": "ann"}, settings={"territory_access_rolls_up_roles": True})
    assert seen(None, model=model, shared=marks(model)) == ({"ann"}, set())


def test_nothing_rolls_up_from_who_is_deactivated() -> None:
    """A deactivated member sees nothing, and so do the superiors by that; as an owner it is otherwise (V4, V7)."""
    off = rolling_up(users=but(USERS, "ann", active=False))
    assert "vic" not in seen(None, "bay", model=off)[0]
    assert shown("vic", None, "bay", model=off) == []
    assert "vic" in seen("ann", model=off)[0]


# --- explain ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_id", "owner_id", "territories", "paths"),
    [
        ("ann", "ann", (), ["owner (edit)"]),
        ("vic", "ann", (), ["role vp is above role rep of the owner ann (edit)"]),
        ("vic", "gone", (), ["role vp is above role rep of the owner gone (edit)"]),
        ("root", None, (), ["administrator (edit)"]),
        ("sam", None, ("bay",), ["member of territory bay (read)"]),
        ("wes", None, ("bay",), ["member of territory west, which is above bay (read)"]),
        ("mia", None, ("bay",), ["manager of territory world, which is above bay (edit)"]),
        ("eve", None, ("east",), ["member of territory east (edit)"]),
        ("bob", "ann", ("bay",), []),
        ("sam", None, ("west",), []),
        ("gone", "gone", ("bay",), []),
        ("stranger", "stranger", ("bay",), []),
        ("sam", None, ("sold",), []),
    ],
)
def test_every_path_or_none(user_id: str, owner_id: str | None, territories: tuple[str, ...], paths: list[str]) -> None:
    """`explain` gives every path with its level, and none where there is none (V1, V2, V3, V7, V9)."""
    assert shown(user_id, owner_id, *territories) == paths


def test_all_paths_of_one_user() -> None:
    """Owner, superior, member here and above: none hides another, so that each can be taken away (V5, V9)."""
    model = model_of(territories=[node | {"users": ["ann"]} for node in TERRITORIES])
    assert shown("ann", "ann", "bay", "east", model=model) == [
        "owner (edit)",
        "member of territory bay (read)",
        "member of territory west, which is above bay (read)",
        "member of territory world, which is above bay (read)",
        "member of territory east (edit)",
        "member of territory world, which is above east (edit)",
    ]


def test_paths_that_are_rolled_up() -> None:
    """Each names the member, where that one sits, and the two roles (V4, V9)."""
    assert shown("vic", None, "bay", model=rolling_up()) == [
        "role vp is above role rep of ann, member of territory bay (read)"
    ]
    assert shown("cleo", None, "bay", model=rolling_up()) == [
        "role ceo is above role rep of ann, member of territory bay (read)",
        "role ceo is above role clerk of wes, member of territory west, which is above bay (read)",
        "role ceo is above role clerk of mia, manager of territory world, which is above bay (edit)",
    ]


def test_paths_by_sharing_rules() -> None:
    """Each names the rule and whom it is for (V6, V9)."""
    model = sharing({"territory_and_below": "west"}, "edit")
    assert shown("sam", None, model=model, shared=marks(model)) == [
        "sharing rule s1 for territory and below west (edit)"
    ]
    assert shown("sam", "sam", "bay", model=model, shared=marks(model)) == [
        "owner (edit)",
        "member of territory bay (read)",
        "sharing rule s1 for territory and below west (edit)",
    ]


@pytest.mark.parametrize(
    "territories", [TERRITORIES, but(TERRITORIES, "west", manager="wes"), but(TERRITORIES, "bay", manager="mia")]
)
@pytest.mark.parametrize("place", [(), ("bay",), ("west", "east")])
@pytest.mark.parametrize("rolls_up", [False, True])
@pytest.mark.parametrize("to", [{"user": "bob"}, {"role_and_below": "vp"}, {"territory_and_below": "west"}])
def test_paths_and_sets_agree(
    territories: list[dict[str, Any]], place: tuple[str, ...], rolls_up: bool, to: dict[str, str]
) -> None:
    """A user has a path exactly where a set, or being an administrator, says so; and so with edit (V1, V3, V9)."""
    model = sharing(to, "edit", territories=territories, settings={"territory_access_rolls_up_roles": rolls_up})
    readers, editors = seen("ann", *place, model=model, shared=marks(model))
    for user_id in model.people:
        paths = paths_of(model, user_id, "ann", place, marks(model))
        assert bool(paths) == (user_id in readers or user_id in model.admins)
        assert (Path("administrator", "edit") in paths) == (user_id in model.admins)
        assert any(path.level == "edit" for path in paths) == (user_id in editors or user_id in model.admins)
