"""Periods that are closed, opened, and closed again, in whatever order a partition hears of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from forecast_aggregator.partials.changes import DealAdjusted
from forecast_aggregator.partials.stage import PartialSumsFold
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import Frozen, Partial
from territory.wire.topics import FROZEN
from tests.unit.forecast_aggregator.examples import (
    Q1,
    TERRITORIES,
    deal,
    incoming,
    model_of,
    restored,
    swept,
    told,
)

Q2 = "2017-Q2"
TARGETS: list[dict[str, Any]] = [{"territory": "east", "period": Q1, "amount": "50"}]


def words(effects: Effects) -> list[Message]:
    """Return what was said of closed periods, in the order in which it was sent."""
    return [message for message in [*effects.messages, *effects.state] if message.topic == FROZEN.name]


def partial_of(effects: Effects, place: str) -> Partial | None:
    """Return the partial that was said of a place; it must be said."""
    [said] = [message.value for message in effects.messages if message.key == f"acme/{place}#0"]
    assert said is None or isinstance(said, Partial)
    return said


def frozen_won(effects: Effects, place: str) -> Decimal | None:
    """Return what was won by then; None: the period is not closed."""
    said = partial_of(effects, place)
    assert said is not None
    return None if said.frozen is None else said.frozen.sums["won"]


def taken_over(*said: Message) -> PartialSumsFold:
    """Return the only partition, what was said of closed periods read back, and one deal that has grown since."""
    fold = PartialSumsFold(0, 1)
    fold.restore(incoming(deal(version=2, amount="70")))
    for message in said:
        fold.restore(InputMessage(FROZEN.name, message.key, message.value, {}))
    return fold


def test_model_that_comes_after_the_take_over() -> None:
    """What is frozen follows from no model: it is there, and the deals that differ are listed, when one comes (F12)."""
    model = model_of(2, closed_since={Q1: 2}, frozen_periods=[Q1], targets=TARGETS)
    said = words(swept(restored(deal(), deal("west", "D-2", owner_id=None)), model))
    fold = taken_over(*said)  # D-2 is gone meanwhile
    fold.restored({}, frozenset())
    effects = swept(fold, model)
    assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
    assert frozen_won(effects, f"west/{Q1}") == Decimal(200)
    assert frozen_won(effects, f"east/{Q1}") == Decimal(0)
    adjusted = {
        change.deal_id: change.adjustment is not None for change in effects.changes if isinstance(change, DealAdjusted)
    }
    assert adjusted == {"D-1": True, "D-2": True}
    assert words(effects) == []
    assert swept(fold, model) == Effects(swept=1)


def test_target_of_a_period_that_is_opened() -> None:
    """Where only a target was frozen, and nothing is wanted any more, it is said that nothing is left (F12)."""
    fold = restored(model=model_of(targets=TARGETS))
    swept(fold, model_of(2, frozen_periods=[Q1], targets=TARGETS))
    assert partial_of(swept(fold, model_of(3, frozen_periods=[Q1])), f"east/{Q1}") is not None
    assert partial_of(swept(fold, model_of(4)), f"east/{Q1}") is None


def test_opening_that_a_partition_does_not_hear_of() -> None:
    """It closes the period anew under the revision that closed it again, as those do that heard of it (F12)."""
    first = model_of(2, closed_since={Q1: 2, Q2: 2}, frozen_periods=[Q1, Q2])
    opened = model_of(3, closed_since={Q2: 2}, frozen_periods=[Q2])
    again = model_of(4, closed_since={Q1: 4, Q2: 2}, frozen_periods=[Q1, Q2])
    folds = [restored(deal(), deal(deal_id="D-2", close_date="2017-04-01")) for _ in range(2)]
    for fold in folds:
        swept(fold, first)
        told(fold, deal(version=2, amount="70"), model=first)
    swept(folds[0], opened)
    hearing, unhearing = (swept(fold, again) for fold in folds)
    assert frozen_won(hearing, f"bay/{Q1}") == frozen_won(unhearing, f"bay/{Q1}") == Decimal(70)
    [opening, anew, closing] = words(unhearing)
    assert opening.value == Frozen("acme", periods=(Q2,), since={Q2: 2})
    assert anew.key == "acme/deal/D-1"
    assert closing.value == Frozen("acme", periods=(Q1, Q2), since={Q1: 4, Q2: 2})
    assert [words(swept(fold, again)) for fold in folds] == [[], []]


def test_revisions_that_say_nothing() -> None:
    """A word of a time that knew no revisions holds, and so does one of a model topic that was replaced (F12)."""
    closed = model_of(2, closed_since={Q1: 2}, frozen_periods=[Q1])
    *others, last = words(swept(restored(deal()), closed))
    old = last._replace(value=Frozen("acme", periods=(Q1,)))
    later = last._replace(value=Frozen("acme", periods=(Q1,), since={Q1: 9}))
    for word in (old, later):
        fold = taken_over(*others, word)
        fold.restored({"acme": closed}, frozenset())
        effects = told(fold, deal(version=3, amount="60"), model=closed)
        assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
        assert words(effects) == []


def test_word_that_is_lost_and_no_sweep_is_due() -> None:
    """At the end of the next turn the period is closed, whether or not a deal comes; it is counted (F12)."""
    closed = model_of(2, frozen_periods=[Q1])
    fold = restored(deal(), model=closed)
    effects = told(fold, model=closed)
    assert effects.outcomes == {"closed_without_sweep": 1}
    assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
    assert [message.key for message in words(effects)] == ["acme/deal/D-1", "acme/closed/periods"]
    assert told(fold, model=closed) == Effects()
    fold = restored(deal(), model=model_of())
    assert told(fold, model=closed) == Effects()  # a sweep is due, and closes it


def test_closing_in_the_middle_of_a_sweep() -> None:
    """What the sweep before closed and has yet to say is not lost when another period is closed (F12)."""
    moved = [node | {"parent": "east"} if node["id"] == "bay" else node for node in TERRITORIES]
    fold = restored(deal("world", "D-0"), deal())
    closes = fold.sweep(model_of(2, territories=moved, frozen_periods=[Q1]), 1)
    while not next(closes).state:
        pass
    effects = swept(fold, model_of(3, frozen_periods=[Q1, Q2]))
    assert frozen_won(effects, f"east/{Q1}") == Decimal(100)
