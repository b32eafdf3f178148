"""The deals of one partition become its partial sums."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from forecast_aggregator.partials.changes import DealLeftOut
from forecast_aggregator.partials.contribution import LeftOut
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.stage import Effects, InputMessage
from territory.wire.events import Assignment, Frozen, Partial, SourceSwept
from territory.wire.keys import attainment_key, partition_of, swept_key
from territory.wire.topics import FROZEN, PARTIALS
from tests.unit.forecast_aggregator.examples import (
    Q1,
    TERRITORIES,
    deal,
    incoming,
    model_of,
    published,
    published_sums,
    restored,
    swept,
    without_years,
)

LISTED = DealLeftOut("acme", "D-1", LeftOut("unassigned", "it names no account"))


# --- deals ------------------------------------------------------------------------------------


def test_partials_of_a_deal() -> None:
    """Every territory on its path and its owner gets a partial, routed by its attainment (F1, F4)."""
    effects = published(PartialSumsFold(2, 3), deal())
    assert published_sums(effects.messages) == {
        f"bay/{Q1}#2": "100", f"bay/{Q1}/bob#2": "100", f"west/{Q1}#2": "100", f"world/{Q1}#2": "100",
    }  # fmt: skip
    bay = effects.messages[0]
    assert (bay.topic, bay.route) == (PARTIALS.name, f"acme/bay/{Q1}")
    assert isinstance(bay.value, Partial)
    assert (bay.value.source, bay.value.deals, bay.value.deals_won, bay.value.target) == (2, 1, 1, None)


def test_partials_are_published_once_a_batch() -> None:
    """One message for each changed partial, however many deals changed it (F1)."""
    fold = PartialSumsFold(0, 1)
    assert len(published_sums(published(fold, deal(), deal(deal_id="D-2", amount="11")).messages)) == 4
    effects = published(fold, deal("west", "D-3", owner_id=None, amount="1"))
    assert published_sums(effects.messages) == {f"west/{Q1}#0": "112", f"world/{Q1}#0": "112"}


def test_deal_moves_below_a_common_ancestor() -> None:
    """It takes its amount along; the lowest common ancestor and above keep their sums (F9)."""
    fold = PartialSumsFold(0, 1)
    published(fold, deal("bay"), deal("bay", "D-2", amount="1"))
    said = published_sums(published(fold, deal("east", version=2)).messages)
    assert said == {
        f"bay/{Q1}#0": "1", f"bay/{Q1}/bob#0": "1", f"west/{Q1}#0": "1", f"east/{Q1}#0": "100",
        f"east/{Q1}/bob#0": "100", f"world/{Q1}#0": "101",
    }  # fmt: skip


def test_deleted_deal() -> None:
    """It is subtracted along the path that added it; an empty partial is a tombstone (F9)."""
    fold = PartialSumsFold(0, 1)
    published(fold, deal(), deal("west", "D-2", amount="1", owner_id="ann"))
    effects = published(fold, "D-1", "never seen")
    assert published_sums(effects.messages) == {
        f"bay/{Q1}#0": None, f"bay/{Q1}/bob#0": None, f"west/{Q1}#0": "1", f"world/{Q1}#0": "1",
    }  # fmt: skip
    assert effects.outcomes == {"gone": 2}
    assert len(fold) == 1


def test_close_date_moves_a_deal_to_another_period() -> None:
    """It is subtracted from one period and added to the other (F1)."""
    fold = PartialSumsFold(0, 1)
    published(fold, deal("world", owner_id=None))
    said = published_sums(published(fold, deal("world", owner_id=None, version=2, close_date="2017-04-01")).messages)
    assert said == {f"world/{Q1}#0": None, "world/2017-Q2#0": "100"}


def test_lower_version_is_stale() -> None:
    """A message of a family that the deal has left is ignored (A8)."""
    fold = PartialSumsFold(0, 1)
    published(fold, deal(version=2))
    effects = published(fold, deal("east", version=1))
    assert (effects.messages, effects.outcomes) == ([], {"stale": 1})


def test_repeat_changes_nothing() -> None:
    """Applying the same assignment twice counts it once (F2)."""
    fold = PartialSumsFold(0, 1)
    published(fold, deal())
    assert published(fold, deal()).messages == []


def test_other_records_are_ignored() -> None:
    """Only deals are in sums (F1)."""
    fold = PartialSumsFold(0, 1)
    account = Assignment("acme", "account", "A-1", 1, 1, "bob", ())
    assert published(fold, account) == Effects()
    fold.restore(incoming(account))
    assert len(fold) == 0


def test_years_follow_their_periods() -> None:
    """Every period that changes changes its fiscal year, once a batch (F14)."""
    fold, model = PartialSumsFold(0, 1), model_of(fiscal_year_start=7)
    first = published(fold, deal("world"), deal("world", "D-2", amount="7", close_date="2017-06-30"), model=model)
    assert published_sums(first.messages, years=True) == {"world/2017#0": "107", "world/2017/bob#0": "107"}
    moved = published(fold, deal("world", "D-2", amount="7", close_date="2017-07-01", version=2), model=model)
    assert published_sums(moved.messages, years=True) == {
        "world/2017#0": "100", "world/2017/bob#0": "100", "world/2018#0": "7", "world/2018/bob#0": "7",
    }  # fmt: skip
    gone = published(fold, "D-2", model=model)
    assert published_sums(gone.messages, years=True) == {"world/2018#0": None, "world/2018/bob#0": None}


def test_year_shows_closed_periods_as_they_were_closed() -> None:
    """A year is the sum of what its periods show; a year itself has no adjustments (F12, F14)."""
    fold = restored(deal("world", owner_id=None), deal("world", "D-2", amount="7", close_date="2017-04-01"))
    model = model_of(2, frozen_periods=[Q1], targets=[{"territory": "world", "period": "2017", "amount": "400"}])
    said = published_sums(swept(fold, model).messages, years=True)
    assert said["world/2017#0"] == "107"
    changes = deal("world", version=2, amount="5"), deal("world", "D-2", version=2, amount="8", close_date="2017-04-01")
    effects = published(fold, *changes, deal("east", "D-3"), model=model)
    [year] = [message.value for message in effects.messages if message.key == "acme/world/2017#0"]
    assert isinstance(year, Partial)
    assert (year.sums["won"], year.deals, year.target, year.frozen) == (Decimal(108), 2, Decimal(400), None)
    assert published_sums(effects.messages, years=True)["east/2017#0"] is None  # it came after the closing
    reopened = published_sums(swept(fold, model_of(3)).messages, years=True)
    assert (reopened["world/2017#0"], reopened["east/2017#0"]) == ("113", "100")


def test_year_of_a_closed_period_without_deals() -> None:
    """What a closed period and its year show is there to be compared, even when all deals are gone (F12, F14)."""
    fold = restored(deal("world", owner_id=None))
    model = model_of(2, frozen_periods=[Q1])
    swept(fold, model)
    gone = published(fold, "D-1", model=model)
    assert set(fold.sums_of("acme")) == {("world", Q1, None), ("world", "2017", None)}
    assert published_sums(gone.messages, years=True) == {"world/2017#0": "100"}


def test_year_of_months() -> None:
    """A year is the sum of its months where these are the periods, and each deal is in it once after a change (F14)."""
    fold, model = PartialSumsFold(0, 1), model_of(period="month", rates=[])
    first = published(fold, deal("world"), deal("world", "D-2", amount="7", close_date="2017-12-31"), model=model)
    assert published_sums(first.messages, years=True)["world/2017#0"] == "107"
    swept(fold, model_of(2))
    year = fold.partial("acme", "world", "2017", None)
    assert year is not None
    assert (year.sums["won"], year.deals) == (Decimal(107), 2)


# --- deals in no sum --------------------------------------------------------------------------


def test_list_of_deals_in_no_sum() -> None:
    """A deal is on the list until it counts, is omitted or is deleted; only changes are emitted (F2, F10)."""
    fold = PartialSumsFold(0, 1)
    assert published(fold, deal(None)).changes == [LISTED]
    assert published(fold, deal(None, version=2)).changes == []
    assert published(fold, deal("bay", version=3)).changes == [DealLeftOut("acme", "D-1", None)]
    assert published(fold, deal(None, version=4)).changes == [LISTED]
    assert published(fold, deal("bay", version=5, stage="Lost")).changes == [DealLeftOut("acme", "D-1", None)]
    published(fold, deal(None, version=6))
    assert published(fold, "D-1").changes == [DealLeftOut("acme", "D-1", None)]


def test_orphans_of_the_list() -> None:
    """Entries of deleted or counted deals, of this partition only (F2)."""
    fold = restored(deal(None), deal(deal_id="D-2"))
    assert [name for name in ("D-1", "D-2", "D-3") if fold.is_orphan("acme", name)] == ["D-2", "D-3"]
    others = PartialSumsFold(partition_of("acme/deal/D-3", 2) ^ 1, 2)
    assert not others.is_orphan("acme", "D-3")


# --- a model changes --------------------------------------------------------------------------


def test_territory_moves() -> None:
    """Its deals are subtracted along the old path and added along the new one (F9)."""
    fold = restored(deal())
    moved = [node | {"parent": "east"} if node["id"] == "bay" else node for node in TERRITORIES]
    said = published_sums(swept(fold, model_of(2, territories=moved)).messages)
    assert said[f"west/{Q1}#0"] is None
    assert (said[f"east/{Q1}#0"], said[f"world/{Q1}#0"]) == ("100", "100")


def test_partials_wait_while_sweeping() -> None:
    """No partial is published while half of the deals are under another tree (F1)."""
    fold = restored(deal(), deal(deal_id="D-2"), deal(deal_id="D-3"))
    model = model_of(2, rates=[], territories=[{"id": "bay"}])
    said = []
    sweep = fold.sweep(model, 1)
    for number in range(3):
        effects = next(sweep)
        fold.flush({"acme": model}, effects)
        effects.add(published(fold, deal(deal_id=f"new-{number}"), model=model))
        said.append(effects.messages)
    assert said == [[], [], []]
    last = Effects()
    for effects in sweep:
        last.add(effects)
    fold.flush({"acme": model}, last)
    assert published_sums(last.messages) == {
        f"bay/{Q1}#0": "600", f"bay/{Q1}/bob#0": "600", f"west/{Q1}#0": None, f"world/{Q1}#0": None,
    }  # fmt: skip
    assert {message.value.model_revision for message in last.messages if isinstance(message.value, Partial)} == {2}


def test_other_organisations_do_not_wait() -> None:
    """A sweep keeps its own organisation's partials back, no others (F1)."""
    fold = restored(deal())
    next(fold.sweep(model_of(2, org="other"), 1))
    assert len(published_sums(published(fold, deal(version=2, amount="5")).messages)) == 4


def test_home_partition_publishes_the_target() -> None:
    """One partition says each target, with or without deals; the others none (F5, F6)."""
    model = model_of(2, targets=[{"territory": "bay", "period": Q1, "amount": "250"}])
    home = partition_of(attainment_key("acme", "bay", Q1, None), 3)
    for number in range(3):
        said = without_years(swept(PartialSumsFold(number, 3), model).messages)
        assert len(said) == (1 if number == home else 0)
        for message in said:
            assert isinstance(message.value, Partial)
            assert (message.value.target, message.value.deals) == (Decimal(250), 0)


def targets(*amounts: str) -> list[dict[str, Any]]:
    return [{"territory": "bay", "period": Q1, "amount": amount} for amount in amounts]


def test_changed_and_removed_targets() -> None:
    """A changed target is published; a partial without deals and target is a tombstone (F6)."""
    fold = restored(model=model_of(targets=targets("1")))
    assert swept(fold, model_of(2, targets=targets("1"))).messages == []
    [message] = without_years(swept(fold, model_of(3, targets=targets("2"))).messages)
    assert isinstance(message.value, Partial)
    assert message.value.target == Decimal(2)
    [message] = without_years(swept(fold, model_of(4)).messages)
    assert message.value is None


def test_no_model_yet() -> None:
    """Deals count once a model arrives (A8)."""
    fold = PartialSumsFold(0, 1)
    effects = published(fold, deal(), deal(None, "D-2"), model=None)
    assert (effects.messages, effects.changes, effects.outcomes) == ([], [], {"no_model": 2})
    effects = swept(fold)
    assert (len(without_years(effects.messages)), len(effects.changes)) == (4, 1)


# --- after a restart --------------------------------------------------------------------------


def test_known_organisation_publishes_nothing_after_a_restart() -> None:
    """Sums continue from the restored deals (A9)."""
    fold = restored(deal(), deal("east", version=0), deal(deal_id="D-2", amount="1"), deal(deal_id="D-3"), "D-3")
    assert len(fold) == 2
    assert swept(fold).messages == []
    assert published_sums(published(fold, "D-1").messages)[f"bay/{Q1}#0"] == "1"


def test_unknown_organisation_is_published_again() -> None:
    """All partials, targets and list entries are published, between two markers to every partition (F2)."""
    fold, model = PartialSumsFold(1, 2), model_of(7, targets=targets("5"))
    for each in (deal("west", owner_id=None), deal(None, "D-2")):
        fold.restore(incoming(each))
    fold.restored({"acme": model}, frozenset({"acme"}))
    effects = swept(fold, model)
    begins, partials, ends = effects.messages[:2], effects.messages[2:-2], effects.messages[-2:]
    said = {message.key for message in partials}
    assert {f"acme/west/{Q1}#1", f"acme/world/{Q1}#1"} <= said
    assert (f"acme/bay/{Q1}#1" in said) == (partition_of(f"acme/bay/{Q1}", 2) == 1)
    for words, ended in ((begins, False), (ends, True)):
        assert [(word.key, word.value, word.route) for word in words] == [
            (swept_key("acme", 1, ended=ended), SourceSwept("acme", 1, ended=ended), partition)
            for partition in range(2)
        ]
    assert effects.changes == [DealLeftOut("acme", "D-2", LISTED.why)]
    assert swept(fold, model) == Effects(swept=2)


# --- cost and closed periods ------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 50])
def test_a_change_touches_only_its_path(others: int) -> None:
    """A change publishes its path and its owner's sums only, however many other deals there are (F1, F9)."""
    tree = [*TERRITORIES, *({"id": f"t{number}", "parent": "east"} for number in range(others))]
    model = model_of(territories=tree)
    fold = restored(*(deal(f"t{number}", f"O-{number}") for number in range(others)), model=model)
    published(fold, deal(), model=model)
    said = published_sums(published(fold, deal(version=2, amount="5"), model=model).messages)
    assert set(said) == {f"bay/{Q1}#0", f"bay/{Q1}/bob#0", f"west/{Q1}#0", f"world/{Q1}#0"}


def test_closing_publishes_deals_before_the_list_of_periods() -> None:
    """The list with closed periods is published last, the one without reopened periods first (F12)."""
    fold = restored(deal(), deal(deal_id="D-2", close_date="2017-04-01"))
    effects = swept(fold, model_of(2, frozen_periods=[Q1], targets=targets("7")))
    frozen = [message for message in effects.messages if message.topic == FROZEN.name]
    assert [(message.key, message.route) for message in frozen] == [
        ("acme/deal/D-1", 0), (f"acme/target/bay:{Q1}", 0),
    ]  # fmt: skip
    assert [(message.key, message.value) for message in effects.state] == [
        ("acme/closed/periods", Frozen("acme", periods=(Q1,), since={Q1: 0}))
    ]
    [bay] = [message.value for message in effects.messages if message.key == f"acme/bay/{Q1}#0"]
    assert isinstance(bay, Partial)
    assert bay.frozen is not None
    assert (bay.frozen.sums["won"], bay.frozen.deals_won, bay.frozen.target) == (Decimal(100), 1, Decimal(7))
    assert swept(fold, model_of(3, frozen_periods=[Q1], targets=targets("7"))).messages == []
    effects = swept(fold, model_of(4, targets=targets("7")))
    frozen = [message for message in effects.messages if message.topic == FROZEN.name]
    assert [message.key for message in frozen] == ["acme/closed/periods", "acme/deal/D-1", f"acme/target/bay:{Q1}"]
    assert [message.value for message in frozen[1:]] == [None, None]
    assert effects.state == []


def test_interrupted_closing_starts_again() -> None:
    """Without the list of closed periods, frozen deals are not valid: they are frozen again (F12)."""
    model = model_of(2, frozen_periods=[Q1])
    said = [m for m in swept(restored(deal(), deal(deal_id="D-2")), model).messages if m.topic == FROZEN.name]
    fold = PartialSumsFold(0, 1)
    for each in (deal(version=2, amount="5"), deal(deal_id="D-2")):
        fold.restore(incoming(each))
    for message in said:
        fold.restore(InputMessage(FROZEN.name, message.key, message.value, {}))
    fold.restored({"acme": model}, frozenset({"acme"}))
    effects = swept(fold, model)
    [bay] = [message.value for message in effects.messages if message.key == f"acme/bay/{Q1}#0"]
    assert isinstance(bay, Partial)
    assert bay.frozen is not None
    assert bay.frozen.sums["won"] == bay.sums["won"] == Decimal(105)
    again = [message.key for message in effects.messages if message.topic == FROZEN.name]
    assert again == ["acme/deal/D-1"]  # the other one is unchanged


def test_deal_that_arrives_before_the_sweep_of_a_closing_model() -> None:
    """The period is frozen without the deal's change, although it is applied before the first sweep chunk (F12)."""
    fold = restored(deal())
    model = model_of(2, frozen_periods=[Q1])
    effects = published(fold, deal(version=2, amount="5"), deal(deal_id="D-2", amount="1"), model=model)
    [bay] = [message.value for message in effects.messages if message.key == f"acme/bay/{Q1}#0"]
    assert isinstance(bay, Partial)
    assert bay.frozen is not None
    assert (bay.sums["won"], bay.frozen.sums["won"]) == (Decimal(6), Decimal(100))
    assert {change.deal_id: change.adjustment is None for change in effects.changes} == {"D-1": False, "D-2": False}
    assert [fold.is_orphan_adjustment("acme", Q1, name) for name in ("D-1", "D-2", "D-3")] == [False, False, True]
