"""Periods that are closed, reopened and closed again, in any order of models that a partition sees."""

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
    published,
    restored,
    swept,
)

Q2 = "2017-Q2"
TARGETS: list[dict[str, Any]] = [{"territory": "east", "period": Q1, "amount": "50"}]


def frozen_messages(effects: Effects) -> list[Message]:
    """Return the messages about closed periods, in the order in which they are sent."""
    return [message for message in [*effects.messages, *effects.state] if message.topic == FROZEN.name]


def partial_of(effects: Effects, place: str) -> Partial | None:
    """Return the published partial of a key; there must be exactly one."""
    [said] = [message.value for message in effects.messages if message.key == f"acme/{place}#0"]
    assert said is None or isinstance(said, Partial)
    return said


def frozen_won(effects: Effects, place: str) -> Decimal | None:
    """Return the frozen amount won; None: the period is not closed."""
    said = partial_of(effects, place)
    assert said is not None
    return None if said.frozen is None else said.frozen.sums["won"]


def restored_from(*said: Message) -> PartialSumsFold:
    """Return a fold restored from frozen messages, with one deal that has grown since."""
    fold = PartialSumsFold(0, 1)
    fold.restore(incoming(deal(version=2, amount="70")))
    for message in said:
        fold.restore(InputMessage(FROZEN.name, message.key, message.value, {}))
    return fold


def test_model_that_arrives_after_the_restore() -> None:
    """Frozen figures need no model: they are there, and adjustments are listed, when one arrives (F12)."""
    model = model_of(2, closed_since={Q1: 2}, frozen_periods=[Q1], targets=TARGETS)
    said = frozen_messages(swept(restored(deal(), deal("west", "D-2", owner_id=None)), model))
    fold = restored_from(*said)  # D-2 is deleted meanwhile
    fold.restored({}, frozenset())
    effects = swept(fold, model)
    assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
    assert frozen_won(effects, f"west/{Q1}") == Decimal(200)
    assert frozen_won(effects, f"east/{Q1}") == Decimal(0)
    adjusted = {
        change.deal_id: change.adjustment is not None for change in effects.changes if isinstance(change, DealAdjusted)
    }
    assert adjusted == {"D-1": True, "D-2": True}
    assert frozen_messages(effects) == []
    assert swept(fold, model) == Effects(swept=1)


def test_frozen_target_of_a_reopened_period() -> None:
    """A partial that held only a frozen target gets a tombstone once the target is gone (F12)."""
    fold = restored(model=model_of(targets=TARGETS))
    swept(fold, model_of(2, frozen_periods=[Q1], targets=TARGETS))
    assert partial_of(swept(fold, model_of(3, frozen_periods=[Q1])), f"east/{Q1}") is not None
    assert partial_of(swept(fold, model_of(4)), f"east/{Q1}") is None


def test_partition_that_skips_the_reopening_model() -> None:
    """It closes the period again at the later revision, as partitions that saw the reopening do (F12)."""
    first = model_of(2, closed_since={Q1: 2, Q2: 2}, frozen_periods=[Q1, Q2])
    opened = model_of(3, closed_since={Q2: 2}, frozen_periods=[Q2])
    again = model_of(4, closed_since={Q1: 4, Q2: 2}, frozen_periods=[Q1, Q2])
    folds = [restored(deal(), deal(deal_id="D-2", close_date="2017-04-01")) for _ in range(2)]
    for fold in folds:
        swept(fold, first)
        published(fold, deal(version=2, amount="70"), model=first)
    swept(folds[0], opened)
    hearing, unhearing = (swept(fold, again) for fold in folds)
    assert frozen_won(hearing, f"bay/{Q1}") == frozen_won(unhearing, f"bay/{Q1}") == Decimal(70)
    [opening, anew, closing] = frozen_messages(unhearing)
    assert opening.value == Frozen("acme", periods=(Q2,), since={Q2: 2})
    assert anew.key == "acme/deal/D-1"
    assert closing.value == Frozen("acme", periods=(Q1, Q2), since={Q1: 4, Q2: 2})
    assert [frozen_messages(swept(fold, again)) for fold in folds] == [[], []]


def test_unknown_and_lower_revisions_keep_the_frozen_figures() -> None:
    """A list without revisions stays valid, and so does one from a model topic that was replaced (F12)."""
    closed = model_of(2, closed_since={Q1: 2}, frozen_periods=[Q1])
    *others, last = frozen_messages(swept(restored(deal()), closed))
    old = last._replace(value=Frozen("acme", periods=(Q1,)))
    later = last._replace(value=Frozen("acme", periods=(Q1,), since={Q1: 9}))
    for word in (old, later):
        fold = restored_from(*others, word)
        fold.restored({"acme": closed}, frozenset())
        effects = published(fold, deal(version=3, amount="60"), model=closed)
        assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
        assert frozen_messages(effects) == []


def test_lost_list_of_closed_periods_without_a_sweep() -> None:
    """The next flush closes the period again, with or without deals in the batch, and counts it (F12)."""
    closed = model_of(2, frozen_periods=[Q1])
    fold = restored(deal(), model=closed)
    effects = published(fold, model=closed)
    assert effects.outcomes == {"closed_without_sweep": 1}
    assert frozen_won(effects, f"bay/{Q1}") == Decimal(100)
    assert [message.key for message in frozen_messages(effects)] == ["acme/deal/D-1", "acme/closed/periods"]
    assert published(fold, model=closed) == Effects()
    fold = restored(deal(), model=model_of())
    assert published(fold, model=closed) == Effects()  # a sweep is due, and closes it


def test_closing_replaces_a_sweep() -> None:
    """Partials that a replaced sweep closed but did not publish are published when another period closes (F12)."""
    moved = [node | {"parent": "east"} if node["id"] == "bay" else node for node in TERRITORIES]
    fold = restored(deal("world", "D-0"), deal())
    closes = fold.sweep(model_of(2, territories=moved, frozen_periods=[Q1]), 1)
    while not next(closes).state:
        pass
    effects = swept(fold, model_of(3, frozen_periods=[Q1, Q2]))
    assert frozen_won(effects, f"east/{Q1}") == Decimal(100)
