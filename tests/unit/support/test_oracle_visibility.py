"""The oracle's visibility against examples computed by hand."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from tests.support.oracle import Record, paths_of, viewers_of

from .oracle_examples import (
    USERS,
    Document,
    account,
    delete,
    link,
    model,
    outcome,
    upsert,
)

SEEN_TREE: list[Document] = [
    {"id": "world", "manager": "boss"},
    {"id": "west", "parent": "world", "users": ["wanda"]},
    {"id": "bay", "parent": "west", "manager": "mona", "users": ["bert"]},
    {"id": "hills", "parent": "bay", "users": ["hugo"]},
    {"id": "east", "parent": "world", "users": ["emil"], "permission": "read_write_delete"},
]
SEEN_USERS: list[Document] = [
    *USERS,
    *({"id": each, "role": "vp-east"} for each in ("boss", "wanda", "mona", "bert", "hugo", "emil")),
    {"id": "ada", "role": "rep-east", "admin": True},
]


def seen_model(*users: Document, territories: Sequence[Document] = SEEN_TREE) -> Document:
    """Return the model of the examples of visibility; users given replace those of the same id."""
    replaced = {each["id"]: each for each in users}
    whole = [replaced.get(each["id"], each) for each in SEEN_USERS]
    return model(territories, users=whole)


def viewers(document: Document, owner: str | None, *territories: str) -> dict[str, str]:
    """Return who sees an account of this owner in these territories, administrators aside."""
    return viewers_of_a("account", document, owner, *territories)


def viewers_of_a(kind: str, document: Document, owner: str | None, *territories: str) -> dict[str, str]:
    """Return who sees a record of any object, administrators aside."""
    record = Record("acme", kind, "A", 1, alive=True, owner_id=owner)
    levels = dict(viewers_of(record, territories, document))
    assert levels.pop("ada", "edit") == "edit"
    return {user: str(level) for user, level in levels.items()}


def test_seen_by_owner_and_role_superiors() -> None:
    """The owner and the roles above the owner's see a record, and edit it (V1, V3)."""
    assert viewers(seen_model(), "rita") == {"rita": "edit", "vera": "edit", "cleo": "edit"}
    assert viewers(seen_model(), None) == {}
    assert viewers(seen_model(), "nobody-known") == {}


def test_seen_by_territory() -> None:
    """Members of a holding territory and of those above it see a record (V1)."""
    assert viewers(seen_model(), None, "bay") == {
        "bert": "read",
        "mona": "edit",
        "wanda": "read",
        "boss": "edit",
    }


def test_nothing_down_or_sideways() -> None:
    """Descendants, siblings and the owner's colleagues get nothing (V2)."""
    assert viewers(seen_model(), "rita", "west") == {
        "rita": "edit",
        "vera": "edit",
        "cleo": "edit",
        "wanda": "read",
        "boss": "edit",
    }  # not mona, bert, hugo below; not emil beside; not rolf, who has rita's role


def test_level_comes_from_the_holding_territory() -> None:
    """Also a member above has the level of the territory that holds the record (V3)."""
    west = {"id": "west", "parent": "world", "users": ["wanda"], "permission": "read_write_delete"}
    tree = [SEEN_TREE[0], west, *SEEN_TREE[2:]]
    document = seen_model(territories=tree)
    assert viewers(document, None, "bay")["wanda"] == "read"
    assert viewers(document, None, "west")["wanda"] == "edit"
    bay = {"id": "bay", "parent": "west", "users": ["bert"], "permission": "read_write_delete"}
    document = seen_model(territories=[SEEN_TREE[0], SEEN_TREE[1], bay, *SEEN_TREE[3:]])
    assert viewers(document, None, "bay") == {"bert": "edit", "wanda": "edit", "boss": "edit"}
    assert viewers(document, None, "hills") == {
        "hugo": "read",
        "bert": "read",
        "wanda": "read",
        "boss": "edit",
    }


def test_highest_level_counts() -> None:
    """Of several paths to a record the highest level counts (V3)."""
    tree = [*SEEN_TREE[:3], {**SEEN_TREE[4], "users": ["emil", "wanda"]}]
    assert viewers(seen_model(territories=tree), None, "bay")["wanda"] == "read"
    assert viewers(seen_model(territories=tree), None, "bay", "east")["wanda"] == "edit"
    assert viewers(seen_model(territories=tree), "wanda", "bay")["wanda"] == "edit"


def test_each_path_gives_only_its_own() -> None:
    """Removing one path leaves access by the others (V5)."""
    document = seen_model()
    record = Record("acme", "account", "A", 1, alive=True, owner_id="wanda")
    assert paths_of("wanda", record, ["bay", "west"], document) == {
        ("owner", "edit"),
        ("member:bay", "read"),
        ("member:west", "read"),
    }
    assert viewers(document, "wanda", "bay")["wanda"] == "edit"
    assert viewers(document, "rita", "bay")["wanda"] == "read"
    assert viewers(document, "wanda")["wanda"] == "edit"
    assert "wanda" not in viewers(document, "rita")
    assert paths_of("mona", record, ["hills"], document) == {
        ("manager:hills", "edit"),
        ("member:hills", "read"),
    }


def test_deactivated_users_see_nothing() -> None:
    """A deactivated user sees nothing; superiors still see records of that user (V7)."""
    document = seen_model(
        {"id": "rita", "role": "rep-west", "active": False},
        {"id": "mona", "role": "vp-east", "active": False},
        {"id": "ada", "role": "rep-east", "admin": True, "active": False},
    )
    assert viewers(document, "rita") == {"vera": "edit", "cleo": "edit"}
    assert viewers(document, None, "bay") == {"bert": "read", "wanda": "read", "boss": "edit"}
    assert outcome(document, account()).admins == {}


def test_sets() -> None:
    """The sets hold what each user sees; no deleted records, no sets of admins (V1, V7)."""
    history = [
        upsert("account", "A", owner_id="rita"),
        link("account", "A", "bay"),
        upsert("deal", "D", owner_id="ada", account_id="A"),
        upsert("lead", "L", owner_id="hugo"),
        upsert("lead", "M", owner_id="hugo"),
        delete("lead", "M", 2),
    ]
    state = outcome(seen_model(), *history)
    edited = {
        ("acme", "rita", "account"): {"A"},
        ("acme", "vera", "account"): {"A"},
        ("acme", "cleo", "account"): {"A"},
        ("acme", "mona", "account"): {"A"},
        ("acme", "boss", "account"): {"A"},
        ("acme", "egon", "deal"): {"D"},  # these have a role above the one of ada, the owner
        ("acme", "cleo", "deal"): {"D"},
        ("acme", "wanda", "deal"): {"D"},
        ("acme", "mona", "deal"): {"D"},
        ("acme", "bert", "deal"): {"D"},
        ("acme", "hugo", "deal"): {"D"},
        ("acme", "emil", "deal"): {"D"},
        ("acme", "boss", "deal"): {"D"},
        ("acme", "hugo", "lead"): {"L"},
        ("acme", "cleo", "lead"): {"L"},
    }
    only_read = {("acme", "bert", "account"): {"A"}, ("acme", "wanda", "account"): {"A"}}
    assert state.editable == edited
    assert state.visible == edited | only_read
    assert state.admins == {"acme": {"ada"}}


# --- groups (V10), permission by object (V11) -------------------------------------------------


def with_groups(*groups: Document, users: Sequence[Document] = ()) -> Document:
    """Return the model with groups."""
    return {**seen_model(*users), "groups": list(groups)}


def test_owned_by_a_group() -> None:
    """Users of a group, and users with one of its roles, own what it owns; superiors of each edit it (V10, V3)."""
    users_and_roles = with_groups({"id": "queue", "users": ["hugo"], "roles": ["rep-west"]})
    everybody = ("hugo", "rita", "rolf", "vera", "cleo")
    assert viewers(users_and_roles, "queue") == dict.fromkeys(everybody, "edit")
    assert viewers(with_groups({"id": "queue", "roles": ["vp-west"]}), "queue") == {"vera": "edit", "cleo": "edit"}
    assert viewers(with_groups({"id": "queue"}), "queue") == {}
    assert viewers(seen_model(), "queue") == {}


def test_deactivated_members_of_a_group() -> None:
    """A deactivated member owns nothing by a group, so the superiors get nothing by that member (V10, V7)."""
    off = ({"id": "rita", "role": "rep-west", "active": False},)
    assert viewers(with_groups({"id": "queue", "users": ["rita"]}, users=off), "queue") == {}
    by_role = with_groups({"id": "queue", "roles": ["rep-west"]}, users=off)
    assert viewers(by_role, "queue") == {"rolf": "edit", "vera": "edit", "cleo": "edit"}


def test_paths_by_a_group() -> None:
    """Membership of the owning group is a path of its own, beside the superiors' (V5, V9, V10)."""
    record = Record("acme", "account", "A", 1, alive=True, owner_id="queue")
    document = with_groups({"id": "queue", "users": ["rita", "cleo"]})
    assert paths_of("rita", record, [], document) == {("group:queue", "edit")}
    assert paths_of("cleo", record, [], document) == {("group:queue", "edit"), ("role", "edit")}


def test_permission_by_object() -> None:
    """The holding territory's permission may differ by object; objects that it leaves out are read only (V11)."""
    east = {"id": "east", "parent": "world", "users": ["emil"], "permission": {"deal": "read_write_delete"}}
    document = seen_model(territories=[*SEEN_TREE[:4], east])
    assert viewers_of_a("deal", document, None, "east") == {"emil": "edit", "boss": "edit"}
    assert viewers_of_a("account", document, None, "east") == {"emil": "read", "boss": "edit"}


# --- rolled up along the roles (V4) -----------------------------------------------------------


def rolling_up(*users: Document, **bay: str) -> Document:
    """Return the model with the setting; rita, below vera in the roles, sits in the bay."""
    tree = [*SEEN_TREE[:2], {"id": "bay", "parent": "west", "users": ["rita"], **bay}, *SEEN_TREE[3:]]
    return {**seen_model(*users, territories=tree), "settings": {"territory_access_rolls_up_roles": True}}


def test_superiors_of_members_see_what_they_see() -> None:
    """With the setting role superiors see what a member sees by territory, at the member's level (V4)."""
    members = {"rita": "read", "wanda": "read", "boss": "edit"}
    above = {"vera": "read", "cleo": "edit"}  # cleo is above the boss as well
    assert viewers(rolling_up(), None, "bay") == members | above
    assert viewers({**rolling_up(), "settings": {}}, None, "bay") == members
    assert viewers(rolling_up(), None, "hills") == {**members, **above, "hugo": "read"}
    assert viewers(rolling_up(), None, "west") == {"wanda": "read", "boss": "edit", "cleo": "edit"}
    assert viewers(rolling_up(manager="rolf"), None, "bay") == members | {
        "rolf": "edit",
        "vera": "edit",
        "cleo": "edit",
    }
    assert viewers(rolling_up(permission="read_write_delete"), None, "bay") == dict.fromkeys(members | above, "edit")


def test_only_what_is_seen_by_territory_rolls_up() -> None:
    """What a member sees by a sharing rule is not seen by the superiors; each member is a path (V4, V9)."""
    record = Record("acme", "account", "A", 1, alive=True, fields={"country": "US"})
    document = {**rolling_up(), "sharing": [share({"user": "rita"})]}
    assert viewers_of(record, [], document) == {"rita": "read", "ada": "edit"}
    assert paths_of("vera", record, ["bay"], document) == {("above:rita:bay", "read")}
    assert paths_of("cleo", record, ["hills"], rolling_up()) == {
        *((f"above:{each}:hills", "read") for each in ("rita", "wanda", "hugo", "boss")),
        ("above:boss:hills", "edit"),
    }


def test_nothing_rolls_up_from_who_is_deactivated() -> None:
    """A deactivated member sees nothing, so a superior sees nothing by that (V4, V7)."""
    document = rolling_up({"id": "rita", "role": "rep-west", "active": False})
    assert "vera" not in viewers(document, None, "bay")
    assert "vera" in viewers(rolling_up(), None, "bay")


# --- shared by a rule (V6) --------------------------------------------------------------------


def share(to: Document, level: str = "read", **more: Any) -> Document:
    """Return a sharing rule, by default for accounts in the US."""
    criteria = {"field": "country", "eq": "US"}
    return {"id": "s1", "object": "account", "criteria": criteria, "to": to, "level": level, **more}


def shared_with(*rules: Document, of: str = "account", today: date | None = None, **fields: Any) -> dict[str, str]:
    """Return who sees a record without owner or territory, by sharing rules."""
    types = {"country": "text", "since": "date"}
    document = {
        **seen_model(),
        "fields": dict.fromkeys(("account", "contact", "lead", "deal"), types),
        "tables": {"core": [" us"]},
        "groups": [{"id": "queue", "users": ["hugo", "ada"], "roles": ["rep-west"]}],
        "sharing": list(rules),
        "today": today,
    }
    record = Record("acme", of, "X", 1, alive=True, fields={"country": "US", **fields})
    levels = dict(viewers_of(record, [], document))
    assert levels.pop("ada") == "edit"
    return {user: str(level) for user, level in levels.items()}


@pytest.mark.parametrize(
    ("to", "users"),
    [
        ({"user": "hugo"}, {"hugo"}),
        ({"user": "ada"}, set()),
        ({"group": "queue"}, {"hugo", "rita", "rolf"}),
        ({"role": "rep-west"}, {"rita", "rolf"}),
        ({"role": "vp-west"}, {"vera"}),
        ({"role_and_below": "vp-west"}, {"vera", "rita", "rolf"}),
        ({"territory": "bay"}, {"mona", "bert"}),
        ({"territory": "hills"}, {"hugo"}),
        ({"territory_and_below": "west"}, {"wanda", "mona", "bert", "hugo"}),
    ],
)
@pytest.mark.parametrize("level", ["read", "edit"])
def test_sharing_rule_gives_access(to: Document, users: set[str], level: str) -> None:
    """Each kind of audience gets the records at the rule's level (V6)."""
    assert shared_with(share(to, level)) == dict.fromkeys(users, level)


def test_sharing_rule_asks_for_object_and_criteria() -> None:
    """A sharing rule shares matching records of its object, also by tables and relative dates (V6, C4, C7)."""
    to = {"user": "hugo"}
    assert shared_with(share(to), country="FR") == {}
    for about in ("account", "contact", "lead", "deal"):
        assert shared_with(share(to, object=about), of=about) == {"hugo": "read"}
        assert shared_with(share(to, object=about), of="deal" if about == "lead" else "lead") == {}
    assert shared_with(share(to, criteria={"field": "country", "in_table": "core"})) == {"hugo": "read"}
    recent = share(to, criteria={"field": "since", "within_last_days": 1})
    assert shared_with(recent, since="2017-03-01", today=date(2017, 3, 2)) == {"hugo": "read"}
    assert shared_with(recent, since="2017-03-01", today=date(2017, 3, 3)) == {}


def test_highest_of_sharing_rules_counts() -> None:
    """Of several rules the highest level counts; each is a path of its own (V3, V5, V6)."""
    rules = share({"role": "rep-west"}), share({"user": "rita"}, "edit", id="s2")
    assert shared_with(*rules) == {"rita": "edit", "rolf": "read"}
    document = {**seen_model(), "sharing": list(rules)}
    record = Record("acme", "account", "A", 1, alive=True, owner_id="rita", fields={"country": "us"})
    assert paths_of("rita", record, [], document) == {("owner", "edit"), ("sharing:s1", "read"), ("sharing:s2", "edit")}


def test_sharing_gives_nothing_to_who_is_deactivated() -> None:
    """A sharing rule gives nothing to deactivated users, nor to superiors of its audience (V6, V7)."""
    document = {
        **seen_model({"id": "rita", "role": "rep-west", "active": False}),
        "sharing": [share({"role": "rep-west"})],
    }
    record = Record("acme", "account", "A", 1, alive=True, fields={"country": "US"})
    assert set(viewers_of(record, [], document)) == {"rolf", "ada"}
