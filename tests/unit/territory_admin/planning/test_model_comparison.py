from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assigner.assignment.policy_cache import PolicyCache
from territory.wire.keys import copy_key
from territory_admin.planning.assignments import assignments_under, redecided
from territory_admin.planning.model_comparison import MovedRecord, SumChange, TerritoryChange, UserChange
from tests.unit.territory_admin.planning.examples import CANADA, OPEN, US, WON, account, deal, model_of, plan_of, record

COUNTRIES = ("US", "CA", "DE", None)


def test_deals_access_and_sums_follow_their_account() -> None:
    """An account that moves takes along its deals (A6), the access of users (V1) and the forecast sums (F1)."""
    plan = plan_of(model_of(["US"]), model_of(["US", "CA"]), US, CANADA, WON, OPEN)
    assert (plan.records, plan.moved) == (4, {"account": 1, "deal": 2})
    assert plan.examples[0] == MovedRecord("account", "A-2", ("world",), ("west",))
    assert plan.territories == (TerritoryChange("west", 1, 4, 3, 0), TerritoryChange("world", 3, 0, 0, 3))
    assert plan.users == (UserChange("ann", 3, 0, 0, 0),)
    assert plan.sums == (
        SumChange("west", "2017-Q1", "won", "0", "100.5"),
        SumChange("west", "2017-Q1", "pipeline", "0", "40"),
        SumChange("west", "2017-Q1", "weighted", "0", "20"),
    )  # the sums of the world stay: they now come from below (F9)


def test_deals_go_by_the_copies_of_contacts_in_other_families() -> None:
    """A plan moves a deal whose contact belongs to another account, and so does what an apply asks about (A6)."""
    contact = record("contact", "C-1", {}, "A-1")
    named = replace(deal("D-3", "A-2", "5"), contact_id="C-1")
    copies = {copy_key(each.key): each for each in (US, contact)}
    before, after, policies = model_of(["CA"]), model_of(["US"]), PolicyCache()
    records = {each.key: each for each in (CANADA, named)}
    now, then = (assignments_under(records, model, policies, copies)[named.key] for model in (before, after))
    assert (now.territories, then.territories) == (("world",), ("west",))
    assert redecided(records, before, after, policies, copies) == {CANADA.key, named.key}


def test_a_first_model_changes_everything() -> None:
    """Without an active model nobody sees a record and nothing is summed."""
    plan = plan_of(None, model_of(["CA"], admin=True), CANADA, WON)
    assert (plan.records, plan.moved, plan.admins_added) == (2, {"account": 1, "deal": 1}, ("root",))
    assert {(each.territory_id, each.after) for each in plan.sums} == {("world", "100.5"), ("west", "100.5")}


def test_users_change_and_no_record_moves() -> None:
    """The users who see a record change with the users of its territory; the record stays (V1, V5)."""
    plan = plan_of(model_of(["CA"]), model_of(["CA"], users=["bob"], admin=True), CANADA, WON)
    assert (plan.moved, plan.territories, plan.sums) == ({}, (), ())
    assert plan.users == (UserChange("ann", 0, 2, 0, 0), UserChange("bob", 2, 0, 0, 0))
    assert (plan.admins_added, plan.admins_removed) == (("root",), ())


def test_members_of_an_owning_group_change() -> None:
    """A plan shows who sees more and less when only the members of a group that owns records change (V10)."""
    owned = replace(CANADA, owner_id="queue")
    before, after = (model_of(["CA"], groups=[{"id": "queue", "users": users}]) for users in (["bob"], ["ann"]))
    plan = plan_of(before, after, owned)
    assert (plan.moved, plan.sums) == ({}, ())
    assert plan.users == (UserChange("ann", 0, 0, 1, 0), UserChange("bob", 0, 1, 0, 1))
    assert plan_of(before, model_of(["CA"]), owned).users == (UserChange("bob", 0, 1, 0, 1),)


def test_permission_of_one_object_changes() -> None:
    """A plan counts only the records of the object whose permission changes (V11)."""
    permitted: list[dict[str, Any]] = [{"id": "world"}, {"id": "west", "parent": "world", "users": ["ann"],
                  "rules": {"account": {"field": "country", "in": ["CA"]}}}]  # fmt: skip
    by_object = [permitted[0], permitted[1] | {"permission": {"account": "read_write_delete"}}]
    plan = plan_of(model_of([], territories=permitted), model_of([], territories=by_object), CANADA, WON)
    assert plan.users == (UserChange("ann", 0, 0, 1, 0),)


def test_deals_in_no_sum_are_counted() -> None:
    """They are counted by reason, before and after (F2)."""
    model = model_of(["CA"])
    plan = plan_of(model, model, WON, deal("D-3", "A-2", "x"), CANADA, deal("D-4", "A-9", "1"))
    assert plan.left_out_before == plan.left_out_after == {"no_amount": 1, "unassigned": 1}


@given(
    st.lists(st.sampled_from(COUNTRIES), max_size=8),
    st.lists(st.sampled_from(["US", "CA"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["US", "CA", "DE"]), min_size=1, unique=True),
)
def test_gains_and_losses_add_up(countries: list[str | None], before: list[str], after: list[str]) -> None:
    """A territory's records after a plan are those before, plus gains, minus losses; the way back is the reverse."""
    accounts = [account(f"A-{number}", country) for number, country in enumerate(countries)]
    deals = [deal(f"D-{number}", f"A-{number}", "1") for number in range(len(accounts))]
    plan = plan_of(model_of(before), model_of(after), *accounts, *deals)
    back = plan_of(model_of(after), model_of(before), *accounts, *deals)
    for each in plan.territories:
        assert each.records_after == each.records_before + each.come - each.leave
    moved = sum((country in before) is not (country in after) for country in countries)
    assert plan.moved == ({"account": moved, "deal": moved} if moved else {})
    assert {(each.territory_id, each.come, each.leave) for each in plan.territories} == {
        (each.territory_id, each.leave, each.come) for each in back.territories
    }
    assert [(each.before, each.after) for each in plan.sums] == [(each.after, each.before) for each in back.sums]


def test_examples_are_limited() -> None:
    """A plan lists as many moved records as were asked for, and counts all."""
    accounts = [account(f"A-{number}", "CA") for number in range(20)]
    plan = plan_of(model_of(["US"]), model_of(["CA"]), *accounts, examples_max=3)
    assert (len(plan.examples), plan.moved) == (3, {"account": 20})
