"""The oracle's assignments against examples computed by hand."""

import pytest

from tests.support.oracle import Expected, Record, expected, qualifies, territories_by_rule

from .oracle_examples import (
    IN_US,
    TREE,
    Change,
    Document,
    account,
    delete,
    link,
    model,
    outcome,
    patch,
    territories,
    upsert,
)


@pytest.mark.parametrize(
    ("fields", "qualifying"),
    [
        ({"country": "US", "state": "CA"}, ["world", "us", "us-west", "us-east", "bay"]),
        ({"country": "US", "state": "NY"}, ["world", "us", "us-east"]),
        ({"country": "MX", "state": "CA"}, ["world"]),
    ],
)
def test_qualifies(fields: Document, qualifying: list[str]) -> None:
    """A territory qualifies when its own rule holds and its parent qualifies (A1)."""
    record = Record("acme", "account", "A", fields=fields)
    assert [each["id"] for each in TREE if qualifies(each["id"], record, model())] == qualifying


@pytest.mark.parametrize(
    ("fields", "linked"),
    [
        ({"country": "US", "state": "CA"}, {"us-west"}),  # bay has no rule, so takes nothing
        ({"country": "US", "state": "NY"}, {"us"}),
        ({"country": "MX", "state": "CA"}, set()),
    ],
)
def test_deepest_of_a_branch(fields: Document, linked: set[str]) -> None:
    """The deepest qualifying territory with a rule takes the record (A2)."""
    record = Record("acme", "account", "A", fields=fields)
    assert territories_by_rule(record, model()) == linked


def test_sibling_branches_and_passed_on_answers() -> None:
    """Siblings can all match; a territory without a rule passes its parent's answer on (A1, A2)."""
    tree: list[Document] = [
        {"id": "world", "rules": {"account": {"field": "country", "is_not_empty": True}}},
        {"id": "north", "parent": "world"},
        {"id": "us", "parent": "north", "rules": {"account": IN_US}},
        {
            "id": "retail",
            "parent": "world",
            "rules": {"account": {"field": "sector", "eq": "retail"}},
        },
        {"id": "food", "parent": "retail", "rules": {"lead": IN_US}},
    ]
    both = Record("acme", "account", "A", fields={"country": "US", "sector": "retail"})
    assert territories_by_rule(both, model(tree)) == {"us", "retail"}
    neither = Record("acme", "account", "A", fields={"country": "DE"})
    assert territories_by_rule(neither, model(tree)) == {"world"}
    nowhere = Record("acme", "account", "A", fields={"sector": "retail"})
    assert territories_by_rule(nowhere, model(tree)) == set()


def test_order_and_cut() -> None:
    """Manual links first, then priority, depth and id; the rest is listed as cut (A3)."""
    always = {"rules": {"account": {"field": "country", "is_empty": True}}}
    tree: list[Document] = [
        {"id": "root"},
        {"id": "b-low", "parent": "root", **always},
        {"id": "a-low", "parent": "root", **always},
        {"id": "z-high", "parent": "root", "priority": 5, **always},
        {"id": "mid", "parent": "root"},
        {"id": "z-deep", "parent": "mid", **always},
        {"id": "z-hand", "parent": "root", "priority": -1},
    ]
    history = [account(), link("account", "A", "z-hand")]
    whole = outcome(model(tree), *history).assignments["acme/account/A"]
    assert whole["territories"] == ["z-hand", "z-high", "z-deep", "a-low", "b-low"]
    assert whole["cut"] == []
    limited = model(tree, settings={"max_territories_per_record": 2})
    assert outcome(limited, *history).assignments["acme/account/A"] == {
        "version": 1,
        "owner_id": "rita",
        "territories": ["z-hand", "z-high"],
        "causes": {"z-hand": ["manual"], "z-high": ["rule"]},
        "cut": ["z-deep", "a-low", "b-low"],
        "runners_up": [],
        "dropped": [],
    }


@pytest.mark.parametrize(
    ("setting", "kept"),
    [({}, 10), ({"max_territories_per_record": None}, 12), ({"max_territories_per_record": 1}, 1)],
)
def test_limit(setting: Document, kept: int) -> None:
    """The limit is 10 by default; null means no limit (A3)."""
    rules = {"account": IN_US}
    tree = [{"id": "t"}] + [{"id": f"t{i:02}", "parent": "t", "rules": rules} for i in range(12)]
    linked = territories(model(tree, settings=setting), "account/A", account(country="US"))
    assert linked == [f"t{i:02}" for i in range(12)][:kept]


def test_manual_links_do_not_depend_on_rules() -> None:
    """A manual link stays whatever the rules decide; with a rule link both causes are kept (A4)."""
    by_hand = link("account", "A", "us-west")
    first = outcome(model(), by_hand, account(country="US", state="CA"))
    assert first.assignments["acme/account/A"]["causes"] == {"us-west": ["manual", "rule"]}
    moved = patch("account", "A", 2, fields={"state": "NY"})
    second = outcome(model(), account(country="US", state="CA"), by_hand, moved)
    assert second.assignments["acme/account/A"]["causes"] == {"us-west": ["manual"], "us": ["rule"]}
    assert second.assignments["acme/account/A"]["territories"] == ["us-west", "us"]


def test_exclusions() -> None:
    """An exclusion beats a rule link; the later decision for a pair replaces the earlier (A4)."""
    history = [account(country="US", state="CA"), link("account", "A", "us-west", "exclude", 1)]
    assert territories(model(), "account/A", *history) == []  # us does not step in (A2)
    history.append(link("account", "A", "us-west", "assign", 2))
    whole = outcome(model(), *history).assignments["acme/account/A"]
    assert whole["causes"] == {"us-west": ["manual", "rule"]}
    history.append(link("account", "A", "us-west", "exclude", 1))  # stale
    assert territories(model(), "account/A", *history) == ["us-west"]
    history.append(link("account", "A", "us-west", "exclude", 3))
    assert territories(model(), "account/A", *history) == []
    history.append(link("account", "A", "us-west", "none", 4))
    whole = outcome(model(), *history).assignments["acme/account/A"]
    assert whole["causes"] == {"us-west": ["rule"]}


def test_delete_takes_links_along() -> None:
    """Neither a late copy of the record nor one of its link comes back after a delete (A4)."""
    history = [
        account(country="MX"),
        link("account", "A", "bay", "assign", 3),
        delete("account", "A", 2),
        account(country="MX"),
        link("account", "A", "bay", "assign", 3),
    ]
    assert outcome(model(), *history).assignments == {}
    back = [*history, upsert("account", "A", 3), link("account", "A", "bay", "assign", 3)]
    assert territories(model(), "account/A", *back) == []
    assert territories(model(), "account/A", *back, link("account", "A", "us", "assign", 4)) == ["us"]


def test_contact_inherits() -> None:
    """A contact takes all links of its account; its own manual links add (A5)."""
    history = [
        account(country="US", state="CA"),
        link("account", "A", "us-east"),
        upsert("contact", "C", owner_id="rolf", account_id="A", fields={"country": "US"}),
        link("contact", "C", "bay", "assign", 1),
        link("contact", "C", "us-west", "assign", 2),
    ]
    assert outcome(model(), *history).assignments["acme/contact/C"] == {
        "version": 1,
        "owner_id": "rolf",
        "territories": ["bay", "us-west", "us-east"],
        "causes": {"bay": ["manual"], "us-west": ["inherited", "manual"], "us-east": ["inherited"]},
        "cut": [],
        "runners_up": [],
        "dropped": [],
    }
    history.append(link("contact", "C", "us-east", "exclude", 3))
    assert territories(model(), "contact/C", *history) == ["bay", "us-west"]


def test_contact_inherits_what_is_left_after_the_cut() -> None:
    """Territories cut from the account by its limit are not inherited (A3, A5)."""
    document = model(settings={"max_territories_per_record": 1})
    history = [
        account(country="US", state="CA"),
        link("account", "A", "us-east"),
        upsert("contact", "C", account_id="A"),
    ]
    whole = outcome(document, *history).assignments
    assert whole["acme/account/A"]["cut"] == ["us-west"]
    assert whole["acme/contact/C"]["territories"] == ["us-east"]
    assert whole["acme/contact/C"]["cut"] == []
    history.append(link("contact", "C", "world"))
    whole = outcome(document, *history).assignments
    assert whole["acme/contact/C"]["territories"] == ["world"]
    assert whole["acme/contact/C"]["cut"] == ["us-east"]


@pytest.mark.parametrize("contact", [{}, {"account_id": "gone"}, {"account_id": "A"}])
def test_contact_without_inheritance(contact: Document) -> None:
    """Without an account, or with one that has no links, a contact has none (A5)."""
    history = [account(country="MX"), upsert("contact", "C", **contact)]
    assert territories(model(), "contact/C", *history) == []


DEAL_TREE: list[Document] = [
    {"id": "world"},
    {"id": "hardware", "parent": "world", "rules": {"deal": {"field": "product", "eq": "box"}}},
    {"id": "north", "parent": "hardware"},
    {"id": "south", "parent": "hardware", "priority": 7},
    {"id": "west", "parent": "world", "rules": {"deal": {"field": "product", "eq": "app"}}},
]


def in_territories(object_type: str, record_id: str, *linked: str) -> list[Change]:
    """Return the decisions that put a record into territories by hand."""
    return [
        link(object_type, record_id, territory, "assign", version) for version, territory in enumerate(linked, start=1)
    ]


def test_deal_goes_by_its_account() -> None:
    """A deal's candidates are its account's; its territory's own deal rule must hold (A6)."""
    history = [account(), *in_territories("account", "A", "hardware", "north", "south", "west")]
    app = upsert("deal", "D", owner_id="rita", account_id="A", fields={"product": "App"})
    # hardware's rule fails; north and south have none, and are not asked for hardware's.
    assert outcome(model(DEAL_TREE), *history, app).assignments["acme/deal/D"] == {
        "version": 1,
        "owner_id": "rita",
        "territories": ["south"],
        "causes": {"south": ["inherited"]},
        "cut": [],
        "runners_up": ["north", "west"],
        "dropped": [],
    }
    excluded = link("deal", "D", "south", "exclude")
    whole = outcome(model(DEAL_TREE), *history, app, excluded).assignments["acme/deal/D"]
    assert (whole["territories"], whole["runners_up"]) == (["north"], ["west"])


def test_deal_prefers_its_contact() -> None:
    """The contact's territories if it has any, else the account's; no second try (A6)."""
    history = [
        account(),
        *in_territories("account", "A", "north"),
        upsert("contact", "C", account_id="A"),
        *in_territories("contact", "C", "west"),
        upsert("deal", "D", account_id="A", contact_id="C", fields={"product": "app"}),
    ]
    whole = outcome(model(DEAL_TREE), *history).assignments["acme/deal/D"]
    assert (whole["territories"], whole["runners_up"]) == (["north"], ["west"])  # north is deeper
    history.append(link("contact", "C", "north", "exclude", 2))
    assert territories(model(DEAL_TREE), "deal/D", *history) == ["west"]
    other = patch("deal", "D", 2, fields={"product": "box"})
    assert territories(model(DEAL_TREE), "deal/D", *history, other) == []
    history.append(link("contact", "C", "west", "none", 3))  # now the contact has no links
    assert territories(model(DEAL_TREE), "deal/D", *history) == ["north"]


def test_manual_cause_of_the_account_does_not_rank() -> None:
    """The cause of an account's link does not order a deal's candidates (A3, A6)."""
    tree: list[Document] = [
        {"id": "a"},
        {"id": "hand", "parent": "a"},
        {"id": "by-rule", "parent": "a", "rules": {"account": IN_US}},
    ]
    history = [
        account(country="US"),
        link("account", "A", "hand"),
        upsert("deal", "D", account_id="A"),
    ]
    assert territories(model(tree), "account/A", *history) == ["hand", "by-rule"]
    assert territories(model(tree), "deal/D", *history) == ["by-rule"]


@pytest.mark.parametrize(
    ("contact_account", "deal_account", "linked"),
    [
        ("A", "A", ["north"]),
        ("B", "A", ["north"]),
        (None, "A", ["north"]),
        ("A", None, ["north"]),
        (None, None, ["north"]),
        ("gone", "gone", ["north"]),
    ],
)
def test_contact_of_any_family(contact_account: str | None, deal_account: str | None, linked: list[str]) -> None:
    """A contact counts for a deal whichever account it belongs to, and where the deal names no account (A6, A8)."""
    tree: list[Document] = [{"id": "world"}]
    tree += [{"id": each, "parent": "world"} for each in ("south", "north")]
    history = [
        account("A"),
        account("B"),
        link("account", "A", "south"),
        upsert("contact", "C", account_id=contact_account),
        link("contact", "C", "north"),
        upsert("deal", "D", account_id=deal_account, contact_id="C"),
    ]
    assert territories(model(tree), "deal/D", *history) == linked


def test_manual_link_on_the_deal_wins() -> None:
    """A deal's own manual link wins without asking its rule; several are ordered (A3, A6)."""
    history = [
        account(),
        *in_territories("account", "A", "south"),
        upsert("deal", "D", account_id="A", fields={"product": "none of these"}),
        *in_territories("deal", "D", "west", "hardware", "north"),
    ]
    whole = outcome(model(DEAL_TREE), *history).assignments["acme/deal/D"]
    assert whole["territories"] == ["north"]
    assert whole["causes"] == {"north": ["manual"]}
    assert whole["runners_up"] == ["hardware", "west"]
    assert whole["cut"] == []


def test_lead_goes_by_lead_rules_alone() -> None:
    """A lead takes the territories of lead rules, and no account's (A7)."""
    tree = [*TREE[:2], {"id": "us-leads", "parent": "world", "rules": {"lead": IN_US}}]
    lead = upsert("lead", "L", account_id="A", fields={"country": "US"})
    history = [account(country="US"), lead]
    whole = outcome(model(tree), *history).assignments
    assert whole["acme/lead/L"]["causes"] == {"us-leads": ["rule"]}
    assert whole["acme/account/A"]["causes"] == {"us": ["rule"]}


def test_children_follow_their_account() -> None:
    """Contacts and deals follow their account, a change of account, and its deletion (A8)."""
    history = [
        account("A", country="US", state="CA"),
        account("B", country="US", state="NY"),
        upsert("contact", "C", account_id="A"),
        upsert("deal", "D", account_id="A", contact_id="C"),
    ]

    def both(*more: Change) -> list[list[str]]:
        return [territories(model(), key, *history, *more) for key in ("contact/C", "deal/D")]

    assert both() == [["us-west"], ["us-west"]]
    assert both(patch("account", "A", 2, fields={"state": "NY"})) == [["us"], ["us"]]
    moved = (patch("contact", "C", 2, account_id="B"), patch("deal", "D", 2, account_id="B"))
    assert both(*moved) == [["us"], ["us"]]
    assert both(delete("account", "A", 2)) == [[], []]


def test_other_organisations_and_no_model() -> None:
    """Nothing crosses organisations, and without a model nothing is assigned (A9)."""
    history = [
        account(country="US"),
        {**account("B", country="US"), "org_id": "other"},
        {**upsert("contact", "C", account_id="A"), "org_id": "other"},
    ]
    assert list(outcome(model(), *history).assignments) == ["acme/account/A"]
    assert expected({}, history) == Expected({}, {}, {}, {}, {}, {})
    whole = expected({"acme": model(), "other": model()}, history).assignments
    assert whole["other/contact/C"]["territories"] == []


def test_reasons() -> None:
    """An assignment lists causes, cut territories, runners-up and dropped links (A10)."""
    document = model(settings={"max_territories_per_record": 1})
    history = [
        account(country="US", state="CA"),
        link("account", "A", "us-west", "assign", 1),
        link("account", "A", "us-east", "assign", 2),
        link("account", "A", "moon", "assign", 3),
        link("account", "A", "mars", "assign", 4),
        link("account", "A", "venus", "exclude", 5),
    ]
    assert outcome(document, *history).assignments["acme/account/A"] == {
        "version": 1,
        "owner_id": "rita",
        "territories": ["us-east"],  # both by hand and as deep: the smaller id
        "causes": {"us-east": ["manual"]},
        "cut": ["us-west"],
        "runners_up": [],
        "dropped": ["mars", "moon"],
    }


def test_territory_deleted() -> None:
    """A removed territory's rule links vanish; its manual links are dropped and return with it (A11)."""
    history = [account(country="US", state="CA"), link("account", "A", "bay")]
    before = outcome(model(), *history).assignments["acme/account/A"]
    assert (before["territories"], before["dropped"]) == (["bay", "us-west"], [])
    after = outcome(model(TREE[:2]), *history).assignments["acme/account/A"]
    assert (after["territories"], after["dropped"]) == (["us"], ["bay"])
