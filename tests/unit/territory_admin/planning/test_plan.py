"""What another model would change: records under both, side by side."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import Model, compile_model
from territory.wire.events import Record
from territory_admin.models.changes import PieceChanges
from territory_admin.planning.model_comparison import ModelComparison, MovedRecord, Plan, SumChange, TerritoryChange, UserChange
from territory_admin.planning.assignments import assignments_under
from territory_admin.planning.plan import Planned
from territory_control.views.plan import of_plan

COUNTRIES = ("US", "CA", "DE", None)
NOTHING = PieceChanges((), (), ())


def model_of(west: list[Any], *, users: list[Any] | None = None, admin: bool = False) -> Model:
    """Return the world with a west that takes some countries and has some members."""
    return compile_model(
        {
            "org": "acme", "currency": "USD", "period": "quarter",
            "fields": {"account": {"country": "text"}},
            "stages": {"Won": {"category": "won"}, "Open": {"category": "pipeline", "probability": "0.5"}},
            "roles": [{"id": "r"}],
            "users": [
                {"id": "ann", "role": "r"}, {"id": "bob", "role": "r"}, {"id": "root", "role": "r", "admin": admin}
            ],
            "territories": [
                {"id": "world", "rules": {"account": {"field": "country", "is_not_empty": True}}},
                {"id": "west", "parent": "world", "users": users or ["ann"],
                 "rules": {"account": {"field": "country", "in": west}}},
            ],
        },
        1,
    )  # fmt: skip


def record(kind: Any, record_id: str, fields: dict[str, Any], account_id: str | None = None) -> Record:
    family = f"acme/account/{account_id or record_id}"
    return Record("acme", kind, record_id, 1, 0, False, None, account_id, None, fields, {}, family, 0, "e", 0)


def account(record_id: str, country: str | None) -> Record:
    return record("account", record_id, {} if country is None else {"country": country})


def deal(record_id: str, account_id: str, amount: str, stage: str = "Won") -> Record:
    return record("deal", record_id, {"amount": amount, "stage": stage, "close_date": "2017-02-01"}, account_id)


def plan_of(before: Model | None, after: Model, *records: Record, examples_max: int = 10) -> Plan:
    """Return what passing from one model to the other would change."""
    linkers, comparison = PolicyCache(), Comparison(before, after, examples_max)
    by_key = {each.key: each for each in records}
    held, due = (decided(by_key, model, linkers) for model in (before, after))
    for key in sorted(held.keys() | due.keys()):
        comparison.take(held.get(key), due.get(key))
    return comparison.plan()


def shown(planned: Planned) -> str:
    """Return a plan as people read it."""
    console = Console(file=io.StringIO(), width=120)
    for part in of_plan(planned):
        console.print(part, markup=False, highlight=False, soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    return text


US, CANADA = account("A-1", "US"), account("A-2", "CA")
WON, OPEN = deal("D-1", "A-2", "100.5"), deal("D-2", "A-2", "40", "Open")


def test_records_go_with_their_account_and_take_access_and_sums_along() -> None:
    """An account that a rule takes brings its deals (A6), its members' access (V1) and their sums (F1)."""
    plan = plan_of(model_of(["US"]), model_of(["US", "CA"]), US, CANADA, WON, OPEN)
    assert (plan.records, plan.moved) == (4, {"account": 1, "deal": 2})
    assert plan.examples[0] == MovedRecord("account", "A-2", ("world",), ("west",))
    assert plan.territories == (TerritoryChange("west", 1, 4, 3, 0), TerritoryChange("world", 3, 0, 0, 3))
    assert plan.users == (UserChange("ann", 3, 0, 0, 0),)
    assert plan.sums == (
        SumChange("west", "2017-Q1", "won", "0", "100.5"),
        SumChange("west", "2017-Q1", "pipeline", "0", "40"),
        SumChange("west", "2017-Q1", "weighted", "0", "20"),
    )  # the world's stay: they come from below now (F9)


def test_a_first_model_brings_everything() -> None:
    """Without a model in effect nobody sees anything and nothing is summed."""
    plan = plan_of(None, model_of(["CA"], admin=True), CANADA, WON)
    assert (plan.records, plan.moved, plan.admins_added) == (2, {"account": 1, "deal": 1}, ("root",))
    assert {(each.territory_id, each.after) for each in plan.sums} == {("world", "100.5"), ("west", "100.5")}


def test_members_change_and_nothing_moves() -> None:
    """Who sees a record changes with the members of its territory, the record stays (V1, V5)."""
    plan = plan_of(model_of(["CA"]), model_of(["CA"], users=["bob"], admin=True), CANADA, WON)
    assert (plan.moved, plan.territories, plan.sums) == ({}, (), ())
    assert plan.users == (UserChange("ann", 0, 2, 0, 0), UserChange("bob", 2, 0, 0, 0))
    assert (plan.admins_added, plan.admins_removed) == (("root",), ())


def test_deals_that_would_be_in_no_sum_are_counted() -> None:
    """By reason, before and after (F2)."""
    model = model_of(["CA"])
    plan = plan_of(model, model, WON, deal("D-3", "A-2", "x"), CANADA, deal("D-4", "A-9", "1"))
    assert plan.left_out_before == plan.left_out_after == {"no_amount": 1, "unassigned": 1}


@given(
    st.lists(st.sampled_from(COUNTRIES), max_size=8),
    st.lists(st.sampled_from(["US", "CA"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["US", "CA", "DE"]), min_size=1, unique=True),
)
def test_come_and_leave_add_up(countries: list[str | None], before: list[str], after: list[str]) -> None:
    """What is in a territory then is what is in it now, and what comes, without what leaves; back is the reverse."""
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


def test_a_plan_reads_well() -> None:
    """The heading says beside what it is, tables follow, and that nothing would change where that is so."""
    moving = plan_of(model_of(["US"]), model_of(["US", "CA"]), US, CANADA, WON)
    text = shown(Planned("acme", 3, PieceChanges((), (("territories", "west"),), ()), moving))
    for said in ("beside revision 3", "changed: territories/west", "1 account, 1 deal", "account/A-2: world -> west",
                 "sees more", "100.5"):  # fmt: skip
        assert said in text
    still = plan_of(model_of(["US"]), model_of(["US"]), US)
    assert "no record, nobody's view and no sum would change" in shown(Planned("acme", 3, NOTHING, still))
    assert "would be its first" in shown(Planned("acme", 0, NOTHING, plan_of(None, model_of(["US"]), US)))


def test_periods_and_targets_are_named() -> None:
    """What is closed, opened or wanted otherwise is in no table, and is not nothing (F5, F12)."""
    still = plan_of(model_of(["US"]), model_of(["US"]), US)
    period, target = ("frozen", "2017-Q1"), ("target", "west:2017-Q1")
    for changes, line in (
        (PieceChanges((period,), (), ()), "periods closed: 2017-Q1"),
        (PieceChanges((), (), (period,)), "periods opened: 2017-Q1"),
        (PieceChanges((), (target,), (("target", "west:2017-Q2"),)), "targets changed: west:2017-Q1, west:2017-Q2"),
    ):
        text = shown(Planned("acme", 3, changes, still))
        assert line in text
        assert "no sum would change" not in text


def test_long_tables_are_cut_and_say_so() -> None:
    """Of many examples as many are named as were asked for; `--json` has every row of the tables."""
    accounts = [account(f"A-{number}", "CA") for number in range(20)]
    plan = plan_of(model_of(["US"]), model_of(["CA"]), *accounts, examples_max=3)
    assert (len(plan.examples), plan.moved) == (3, {"account": 20})
