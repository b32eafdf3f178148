"""The oracle's visibility against examples that were worked out by hand."""

from collections.abc import Sequence

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
    record = Record("acme", "account", "A", 1, alive=True, owner_id=owner)
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
    """Taking away one path leaves what the others give (V5)."""
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
    """A deactivated user sees nothing; his superiors still see what he owns (V7)."""
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
