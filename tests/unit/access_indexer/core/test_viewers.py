"""Who sees a record, who may edit it, and by which paths."""

from __future__ import annotations

from typing import Any

import pytest

from access_indexer.core.viewers import AccessAttributes, AccessPolicy, Path, Viewers, paths_of
from territory.model.compiled import Model
from territory.model.pieces import OBJECTS
from tests.unit.access_indexer.core.examples import TERRITORIES, USERS, but, model_of

MODEL = model_of()
GROUPS: list[dict[str, Any]] = [
    {"id": "queue", "users": ["sam", "gone"], "roles": ["vp"]},
    {"id": "crew", "users": ["root", "bob"]},
]


def viewers(
    owner_id: str | None, *territories: str, model: Model = MODEL, shared: tuple[str, ...] = (), of: str = "account"
) -> tuple[set[str], set[str]]:
    """Return who reads a record and who may edit it."""
    viewers = AccessPolicy(model).viewers_of(AccessAttributes(of, owner_id, territories, shared))
    return set(viewers.readers), set(viewers.editors)


def path_texts(
    user_id: str,
    owner_id: str | None,
    *territories: str,
    model: Model = MODEL,
    shared: tuple[str, ...] = (),
    of: str = "account",
) -> list[str]:
    """Return the texts of the paths by which a user sees a record."""
    return [str(path) for path in paths_of(model, user_id, AccessAttributes(of, owner_id, territories, shared))]


def sharing(to: dict[str, str], level: str = "read", rule_id: str = "s1", **sections: Any) -> Model:
    """Return the model with one sharing rule."""
    criteria = {"field": "sector", "eq": "medical"}
    rule = {"id": rule_id, "object": "account", "criteria": criteria, "to": to, "level": level}
    return model_of(**{"fields": {"account": {"sector": "text"}}, "sharing": [rule], "groups": GROUPS} | sections)


def marks(model: Model) -> tuple[str, ...]:
    """Return the marks of all sharing rules of a model."""
    return tuple(model.sharing)


def test_owner_and_role_superiors() -> None:
    """The owner and the superiors of the owner's role edit; others with the same role see nothing (V1, V2, V3)."""
    assert viewers("ann") == ({"ann", "vic", "cleo"}, {"ann", "vic", "cleo"})


def test_nothing_goes_down_the_role_tree() -> None:
    """Users below the owner's role get no access by it (V2)."""
    assert viewers("vic") == ({"vic", "cleo"}, {"vic", "cleo"})


def test_members_of_the_territory_and_of_those_above() -> None:
    """Members of an ancestor see what is below it, and the effective manager edits it (V1, V3)."""
    assert viewers(None, "bay") == ({"sam", "wes", "mia"}, {"mia"})


def test_nothing_goes_down_or_sideways_in_the_territory_tree() -> None:
    """Members of a descendant or a sibling territory get no access (V2)."""
    assert viewers(None, "west") == ({"wes", "mia"}, {"mia"})


def test_members_edit_in_a_writable_territory() -> None:
    """With read_write_delete the members of a territory and of its ancestors edit (V3)."""
    assert viewers(None, "east") == ({"eve", "mia"}, {"eve", "mia"})
    above = model_of(territories=but(TERRITORIES, "world", users=["ann"]))
    assert viewers(None, "east", model=above) == ({"eve", "mia", "ann"}, {"eve", "mia", "ann"})


def test_level_comes_from_the_records_territory() -> None:
    """A member of a writable territory only reads a record of a read-only territory below it (V3)."""
    model = model_of(territories=but(TERRITORIES, "west", permission="read_write_delete"))
    assert viewers(None, "bay", model=model) == ({"sam", "wes", "mia"}, {"mia"})
    assert viewers(None, "west", model=model) == ({"wes", "mia"}, {"wes", "mia"})


def test_highest_of_several_paths_counts() -> None:
    """A user who reads by one territory and edits by another edits (V3)."""
    model = model_of(territories=but(TERRITORIES, "east", users=["sam"]))
    assert viewers(None, "bay", "east", model=model)[1] == {"sam", "mia"}


def test_effective_manager_is_the_nearest() -> None:
    """The nearest manager is effective; a manager of an ancestor still edits (V3)."""
    model = model_of(territories=but(TERRITORIES, "west", manager="bob"))
    assert viewers(None, "bay", model=model) == ({"sam", "wes", "bob", "mia"}, {"bob", "mia"})


def test_paths_are_independent() -> None:
    """An owner who is also a member keeps access without either of the two (V5)."""
    model = model_of(territories=but(TERRITORIES, "bay", users=["ann"]))
    assert "ann" in viewers("ann", "bay", model=model)[0]
    assert "ann" in viewers("bob", "bay", model=model)[0]
    assert "ann" in viewers("ann", model=model)[0]
    assert "ann" not in viewers("bob", model=model)[0]


def test_deactivated_user_sees_nothing() -> None:
    """A deactivated owner or member sees nothing; superiors still see what a deactivated user owns (V7)."""
    model = model_of(territories=but(TERRITORIES, "bay", users=["gone"]), users=but(USERS, "wes", active=False))
    assert viewers("gone", "bay", model=model) == ({"vic", "cleo", "mia"}, {"vic", "cleo", "mia"})


def test_administrators_have_no_sets() -> None:
    """Administrators are in no set, but in the set of administrators; a deactivated one sees nothing (V1, V7)."""
    assert viewers("root") == ({"cleo"}, {"cleo"})
    assert MODEL.admins == {"root"}
    off = model_of(users=but(USERS, "root", active=False))
    assert (off.admins, viewers("root", model=off)) == (frozenset(), ({"cleo"}, {"cleo"}))


@pytest.mark.parametrize(("owner_id", "territories"), [(None, ()), ("stranger", ()), (None, ("sold",))])
def test_unknown_owner_or_territory(owner_id: str | None, territories: tuple[str, ...]) -> None:
    """An owner or a territory that is not in the model gives no access (V1)."""
    assert viewers(owner_id, *territories) == (set(), set())


def test_equal_attributes_share_one_answer() -> None:
    """The viewers of one owner, territories and marks are worked out once (V1); by object, if that matters (V11)."""
    access = AccessPolicy(MODEL)
    first, second = (access.viewers_of(AccessAttributes("account", "ann", ("bay",), ())) for _ in range(2))
    assert first is second
    assert isinstance(first, Viewers)
    assert access.viewers_of(AccessAttributes("deal", "ann", ("bay",), ())) is first


# --- sharing rules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "users"),
    [
        ({"user": "bob"}, {"bob"}),
        ({"group": "queue"}, {"sam", "vic"}),
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
    """A rule for a user, a role, a branch of roles, a territory or a branch gives read or edit (V6, V7)."""
    read, edit = sharing(to), sharing(to, "edit")
    assert viewers(None, model=read, shared=marks(read)) == (users, set())
    assert viewers(None, model=edit, shared=marks(edit)) == (users, users)


def test_sharing_adds_to_what_others_give() -> None:
    """Of several paths the highest level counts, and each path gives its own level only (V3, V5, V6)."""
    model = sharing({"territory": "bay"}, "edit")
    assert viewers("ann", "bay", model=model, shared=marks(model)) == (
        {"ann", "vic", "cleo", "sam", "wes", "mia"},
        {"ann", "vic", "cleo", "sam", "mia"},
    )
    assert "sam" not in viewers("ann", "bay", model=model)[1]


def test_unknown_mark_gives_nothing() -> None:
    """A mark of a removed rule, or of former criteria of a rule, gives no access (V6)."""
    model = sharing({"role": "rep"})
    for mark in ("s1#000000000000", "s0#000000000000", "s1"):
        assert viewers(None, model=model, shared=(mark,)) == (set(), set())
        assert path_texts("ann", None, model=model, shared=(mark,)) == []
        assert "ann" in viewers(None, model=model, shared=(mark, *marks(model)))[0]


# --- groups -----------------------------------------------------------------------------------


def test_members_of_an_owning_group_are_owners() -> None:
    """Active users of a group, and active users with one of its roles, edit what it owns (V10, V7)."""
    model = model_of(groups=[{"id": "queue", "users": ["sam", "gone"], "roles": ["vp"]}])
    assert viewers("queue", model=model) == ({"sam", "vic", "cleo"}, {"sam", "vic", "cleo"})


def test_role_superiors_of_each_member_see_it() -> None:
    """The superiors of every active member edit, those of a deactivated member get nothing by it (V10, V3, V7)."""
    of_ann = model_of(groups=[{"id": "queue", "users": ["ann"]}])
    assert viewers("queue", model=of_ann) == ({"ann", "vic", "cleo"}, {"ann", "vic", "cleo"})
    both = model_of(groups=[{"id": "queue", "users": ["gone", "sam"]}])
    assert viewers("queue", model=both) == ({"sam", "cleo"}, {"sam", "cleo"})
    alone = model_of(groups=[{"id": "queue", "users": ["gone"]}])
    assert viewers("queue", model=alone) == (set(), set())
    assert path_texts("vic", "queue", model=alone) == path_texts("gone", "queue", model=alone) == []


def test_roles_of_a_group_give_nothing_to_roles_below() -> None:
    """A role in a group stands for the users of exactly that role (V10, V2)."""
    model = model_of(groups=[{"id": "queue", "roles": ["vp"]}])
    assert viewers("queue", model=model) == ({"vic", "cleo"}, {"vic", "cleo"})


def test_group_that_the_model_lacks_gives_nothing() -> None:
    """A group that is not in the model, or has no members, owns for nobody (V10)."""
    assert viewers("queue") == (set(), set())
    assert viewers("queue", model=model_of(groups=[{"id": "queue"}])) == (set(), set())


def test_members_of_several_groups() -> None:
    """A user in two groups keeps what one of them owns when the other changes (V5, V10)."""
    two = [{"id": "queue", "users": ["sam"]}, {"id": "crew", "users": ["sam", "eve"]}]
    model = model_of(groups=two)
    assert [viewers(each, model=model)[0] for each in ("queue", "crew")] == [{"sam", "cleo"}, {"sam", "eve", "cleo"}]
    left = model_of(groups=[two[0] | {"users": []}, two[1]])
    assert [viewers(each, model=left)[0] for each in ("queue", "crew")] == [set(), {"sam", "eve", "cleo"}]


def test_path_names_some_members_of_a_large_group() -> None:
    """A superior of many members of a group has one path for each role below, which names five of them (V9, V10)."""
    users = [*USERS, *({"id": f"x{number}", "role": "rep"} for number in range(7))]
    model = model_of(users=users, groups=[{"id": "queue", "roles": ["rep"]}])
    (path,) = path_texts("vic", "queue", model=model)
    assert "role rep of ann, bob, x0, x1, x2 and 4 more, in the owning group queue" in path


def test_paths_by_groups() -> None:
    """A path names the owning group, how the user is in it, and the member below the user (V9, V10)."""
    groups = [{"id": "queue", "users": ["sam", "ann"], "roles": ["rep"]}]
    model = sharing({"group": "queue"}, groups=groups)
    assert path_texts("sam", "queue", model=model) == ["member of the owning group queue (edit)"]
    assert path_texts("bob", "queue", model=model) == ["member by role rep of the owning group queue (edit)"]
    assert path_texts("vic", "queue", model=model) == [
        "role vp is above role rep of ann, bob, in the owning group queue (edit)"
    ]
    assert path_texts("cleo", "queue", model=model) == [
        "role ceo is above role clerk of sam, in the owning group queue (edit)",
        "role ceo is above role rep of ann, bob, in the owning group queue (edit)",
    ]
    assert path_texts("sam", None, model=model, shared=marks(model)) == ["sharing rule s1 for group queue (read)"]


# --- permission by object ---------------------------------------------------------------------


def test_permission_by_object() -> None:
    """Members edit the objects for which the permission says so, and read the objects that it leaves out (V11)."""
    by_object = {"account": "read_write_delete", "deal": "read_only"}
    model = model_of(territories=but(TERRITORIES, "east", permission=by_object))
    assert viewers(None, "east", model=model) == ({"eve", "mia"}, {"eve", "mia"})
    for kind in ("deal", "lead", "contact"):
        assert viewers(None, "east", model=model, of=kind) == ({"eve", "mia"}, {"mia"})
    levels = {kind: path_texts("eve", None, "east", model=model, of=kind) for kind in ("account", "deal")}
    assert levels == {"account": ["member of territory east (edit)"], "deal": ["member of territory east (read)"]}


def test_permission_of_the_records_territory_by_object() -> None:
    """Members above have the level of the record's territory, also by object and rolled up (V3, V4, V11)."""
    territories = but(TERRITORIES, "bay", users=["ann"], permission={"deal": "read_write_delete"})
    model = model_of(territories=territories, settings={"territory_access_rolls_up_roles": True})
    assert viewers(None, "bay", model=model, of="deal")[1] == {"ann", "wes", "mia", "vic", "cleo"}
    assert viewers(None, "bay", model=model, of="account")[1] == {"mia", "cleo"}


@pytest.mark.parametrize("objects", [("deal",), ("account", "lead"), ("account", "contact", "lead"), OBJECTS, ()])
def test_answers_of_one_object_are_not_anothers(objects: tuple[str, ...]) -> None:
    """A policy that was asked about a record of one object answers for another object by its own level (V11)."""
    by_object = dict.fromkeys(objects, "read_write_delete")
    policy = AccessPolicy(model_of(territories=but(TERRITORIES, "east", permission=by_object)))
    for kind in (*OBJECTS, *reversed(OBJECTS)):
        editors = policy.viewers_of(AccessAttributes(kind, None, ("east",), ())).editors
        assert editors == ({"eve", "mia"} if kind in objects else {"mia"}), kind


# --- rolled up along the roles ----------------------------------------------------------------


def rolling_up(**sections: Any) -> Model:
    """Return a model with roll-up, in which ann, below vic in the roles, is a member of the bay."""
    of_ann = but(TERRITORIES, "bay", users=["ann"])
    return model_of(settings={"territory_access_rolls_up_roles": True}, **{"territories": of_ann} | sections)


def test_superiors_of_members_see_what_they_see() -> None:
    """Role superiors of a member see the record, too, with the member's level (V4)."""
    assert viewers(None, "bay", model=rolling_up()) == (
        {"ann", "wes", "mia", "vic", "cleo"},
        {"mia", "cleo"},
    )
    without = model_of(territories=but(TERRITORIES, "bay", users=["ann"]))
    assert viewers(None, "bay", model=without) == ({"ann", "wes", "mia"}, {"mia"})
    writable = rolling_up(territories=but(TERRITORIES, "bay", users=["ann"], permission="read_write_delete"))
    everybody = {"ann", "wes", "mia", "vic", "cleo"}
    assert viewers(None, "bay", model=writable) == (everybody, everybody)
    managed = rolling_up(territories=but(TERRITORIES, "bay", manager="ann"))
    assert viewers(None, "bay", model=managed)[1] == {"ann", "mia", "vic", "cleo"}


def test_only_what_is_seen_by_territory_rolls_up() -> None:
    """Superiors of a user who sees a record by a sharing rule get no access by it (V4, V6)."""
    model = sharing({"user": "ann"}, settings={"territory_access_rolls_up_roles": True})
    assert viewers(None, model=model, shared=marks(model)) == ({"ann"}, set())


def test_nothing_rolls_up_from_a_deactivated_member() -> None:
    """Superiors get nothing from a deactivated member, but see what a deactivated user owns (V4, V7)."""
    off = rolling_up(users=but(USERS, "ann", active=False))
    assert "vic" not in viewers(None, "bay", model=off)[0]
    assert path_texts("vic", None, "bay", model=off) == []
    assert "vic" in viewers("ann", model=off)[0]


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
    """Every path is listed with its level, and none for a user without access (V1, V2, V3, V7, V9)."""
    assert path_texts(user_id, owner_id, *territories) == paths


def test_all_paths_of_one_user() -> None:
    """Several paths of one user are all listed, so that each can be removed (V5, V9)."""
    model = model_of(territories=[node | {"users": ["ann"]} for node in TERRITORIES])
    assert path_texts("ann", "ann", "bay", "east", model=model) == [
        "owner (edit)",
        "member of territory bay (read)",
        "member of territory west, which is above bay (read)",
        "member of territory world, which is above bay (read)",
        "member of territory east (edit)",
        "member of territory world, which is above east (edit)",
    ]


def test_paths_rolled_up() -> None:
    """A rolled-up path names the member, the member's territory and the two roles (V4, V9)."""
    assert path_texts("vic", None, "bay", model=rolling_up()) == [
        "role vp is above role rep of ann, member of territory bay (read)"
    ]
    assert path_texts("cleo", None, "bay", model=rolling_up()) == [
        "role ceo is above role rep of ann, member of territory bay (read)",
        "role ceo is above role clerk of wes, member of territory west, which is above bay (read)",
        "role ceo is above role clerk of mia, manager of territory world, which is above bay (edit)",
    ]


def test_paths_by_sharing_rules() -> None:
    """A path by a sharing rule names the rule and its target (V6, V9)."""
    model = sharing({"territory_and_below": "west"}, "edit")
    assert path_texts("sam", None, model=model, shared=marks(model)) == [
        "sharing rule s1 for territory and below west (edit)"
    ]
    assert path_texts("sam", "sam", "bay", model=model, shared=marks(model)) == [
        "owner (edit)",
        "member of territory bay (read)",
        "sharing rule s1 for territory and below west (edit)",
    ]


@pytest.mark.parametrize(
    "territories", [TERRITORIES, but(TERRITORIES, "west", manager="wes"), but(TERRITORIES, "bay", manager="mia")]
)
@pytest.mark.parametrize("place", [(), ("bay",), ("west", "east")])
@pytest.mark.parametrize("rolls_up", [False, True])
@pytest.mark.parametrize(
    "to", [{"user": "bob"}, {"group": "crew"}, {"role_and_below": "vp"}, {"territory_and_below": "west"}]
)
@pytest.mark.parametrize("owner_id", ["ann", "queue", "crew"])
def test_paths_and_sets_agree(
    territories: list[dict[str, Any]], place: tuple[str, ...], rolls_up: bool, to: dict[str, str], owner_id: str
) -> None:
    """Exactly the users whose sets hold a record, and administrators, have a path; the same with edit (V1, V3, V9)."""
    model = sharing(to, "edit", territories=territories, settings={"territory_access_rolls_up_roles": rolls_up})
    readers, editors = viewers(owner_id, *place, model=model, shared=marks(model))
    for user_id in model.people:
        paths = paths_of(model, user_id, AccessAttributes("account", owner_id, place, marks(model)))
        assert bool(paths) == (user_id in readers or user_id in model.admins)
        assert (Path("administrator", "edit") in paths) == (user_id in model.admins)
        assert any(path.level == "edit" for path in paths) == (user_id in editors or user_id in model.admins)
