"""Periods that are closed a few deals at a time, while deals change and workers stop (F12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from forecast_aggregator.partials.contribution import Contribution, contribution_of
from forecast_aggregator.partials.stage import FLUSH_UNITS_MAX, PartialSumsFold
from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Message
from territory.wire.events import Assignment, Counted
from territory.wire.topics import FROZEN
from tests.unit.forecast_aggregator.examples import Q1, deal, incoming, model_of

Q2 = "2017-Q2"
OPEN = model_of(1)
CLOSES_Q1 = model_of(2, closed_since={Q1: 2}, frozen_periods=[Q1])
CLOSES_Q2_ONLY = model_of(3, closed_since={Q2: 3}, frozen_periods=[Q2])
NAMES = ["D-1", "D-2", "D-3", "D-4"]
Change = Assignment | str


@dataclass
class World:
    """The two topics that a worker reads, the committed offset, and the worker of the moment."""

    model: Model
    log: list[Change] = field(default_factory=list)
    frozen: list[Message] = field(default_factory=list)
    committed: int = 0
    position: int = 0
    fold: PartialSumsFold = field(default_factory=lambda: PartialSumsFold(0, 1))

    def take_over(self, before: Model) -> None:
        """Start a new worker at the committed offset, which has to publish everything again."""
        self.fold, self.position = PartialSumsFold(0, 1), self.committed
        for message in self.frozen:
            self.fold.restore(InputMessage(FROZEN.name, message.key, message.value, {}))
        for offset, change in enumerate(self.log[: self.committed]):
            self.fold.restore(incoming(change)._replace(offset=offset))
        self.fold.restored({"acme": before}, frozenset({"acme"}))
        self.sweep = self.fold.sweep(self.model, 1)

    def step(self, *, messages: int, chunks: int, commits: bool) -> bool:
        """Take a batch of messages and sweep chunks, publish, and commit unless the worker stops before."""
        effects, models, is_swept = Effects(), {"acme": self.model}, False
        for change in self.log[self.position : self.position + messages]:
            self.fold.apply(incoming(change)._replace(offset=self.position), models, effects)
            self.position += 1
        for _ in range(chunks):
            chunk = next(self.sweep, None)
            is_swept = chunk is None
            effects.add(chunk or Effects())
        self.fold.flush(models, effects)
        self.frozen += [each for each in [*effects.messages, *effects.state] if each.topic == FROZEN.name]
        if commits:
            held = self.fold.unfinished_from
            self.committed = max(self.committed, self.position if held is None else held)
        return is_swept

    def finish(self) -> None:
        """Take what is left, and sweep to the end."""
        while not self.step(messages=1, chunks=1, commits=True):
            pass
        self.step(messages=len(self.log), chunks=0, commits=True)
        assert self.fold.unfinished_from is None


def counted_in(assignments: dict[str, Assignment], period: str, model: Model) -> dict[str, Counted]:
    found = {name: contribution_of(each, model) for name, each in assignments.items()}
    return {
        name: each.counted for name, each in found.items() if isinstance(each, Contribution) and each.period == period
    }


def frozen_deals(world: World, period: str) -> dict[str, Counted]:
    """Return what the topic says of a period, read by a worker that is new."""
    fold = PartialSumsFold(0, 1)
    for message in world.frozen:
        fold.restore(InputMessage(FROZEN.name, message.key, message.value, {}))
    closed = fold.ledger("acme").closed
    assert closed.periods == world.model.closed_since
    return {key.split("/")[2]: each[period] for key, each in closed.frozen_deals.items() if period in each}


_deals = st.builds(
    deal,
    st.sampled_from(["bay", "west", "east"]),
    st.sampled_from(NAMES),
    amount=st.sampled_from(["1", "20", "300"]),
    close_date=st.sampled_from(["2017-02-01", "2017-05-01"]),
)
_steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=12)


def log_of(before: list[Assignment], after: list[Change]) -> list[Change]:
    """Give each assignment a higher version than those before it."""
    changes = [*before, *after]
    return [
        each if isinstance(each, str) else deal(each.links[0].territory_id, each.id, version=number, **_facts(each))
        for number, each in enumerate(changes, 1)
    ]


def _facts(assignment: Assignment) -> dict[str, Any]:
    assert assignment.deal is not None
    return {"amount": assignment.deal.amount, "close_date": assignment.deal.close_date}


@given(
    st.lists(_deals, max_size=6), st.lists(_deals | st.sampled_from(NAMES), max_size=8), _steps, st.booleans(), _steps
)
def test_frozen_figures_are_those_of_the_moment_the_closing_began(
    before: list[Assignment],
    after: list[Change],
    first: list[tuple[int, int]],
    commits_last: bool,
    second: list[tuple[int, int]],
) -> None:
    """Deals that change, come or go while others are frozen, and a worker that stops amid it, alter nothing (F12)."""
    world = World(CLOSES_Q1, log_of(before, after), committed=len(before))
    held = {each.id: each for each in world.log[: len(before)] if isinstance(each, Assignment)}
    for number in range(3):  # the last worker stays
        world.take_over(OPEN)
        for messages, chunks in (first, second, [])[number]:
            world.step(messages=messages, chunks=chunks, commits=commits_last or number == 1)
    world.finish()
    expected = counted_in(held, Q1, CLOSES_Q1)
    assert frozen_deals(world, Q1) == expected
    bay = world.fold.partial("acme", "world", Q1, None)
    total = Decimal(0) if bay is None or bay.frozen is None else bay.frozen.sums["won"]
    assert total == sum((each.amount for each in expected.values()), Decimal(0))


@given(st.lists(_deals, max_size=6), st.lists(_deals | st.sampled_from(NAMES), max_size=8), _steps)
def test_newer_model_replaces_a_transition(
    before: list[Assignment], after: list[Change], steps: list[tuple[int, int]]
) -> None:
    """A period that the newer model opens again leaves nothing; one that it closes is frozen as it is then (F12)."""
    world = World(CLOSES_Q1, log_of(before, after), committed=len(before))
    world.take_over(OPEN)
    for messages, chunks in steps:
        world.step(messages=messages, chunks=chunks, commits=True)
    held = {key.split("/")[2]: entry.assignment for key, entry in world.fold.ledger("acme").deals.items()}
    world.model = CLOSES_Q2_ONLY
    world.sweep = world.fold.sweep(world.model, 1)
    world.finish()
    assert frozen_deals(world, Q2) == counted_in(held, Q2, CLOSES_Q2_ONLY)
    closed = world.fold.ledger("acme").closed
    assert {key[1] for key in closed.cells.cells} <= {Q2}
    adjusted = {period for each in world.fold.adjusted("acme") for period, _ in each}
    assert adjusted <= {Q2}


def test_deal_of_another_closed_period_is_frozen_once() -> None:
    """A change after a deal was frozen does not freeze it again, although an earlier period has it too (F12)."""
    both = model_of(3, closed_since={Q1: 3, Q2: 2}, frozen_periods=[Q1, Q2])
    world = World(model_of(2, closed_since={Q2: 2}, frozen_periods=[Q2]), [deal(close_date="2017-05-01")], committed=1)
    world.take_over(OPEN)
    world.finish()
    world.log += [deal(version=2, amount="30"), deal(version=3, amount="4")]
    world.step(messages=1, chunks=0, commits=True)
    world.model = both
    world.sweep = world.fold.sweep(both, 1)
    world.step(messages=0, chunks=1, commits=True)
    world.step(messages=1, chunks=0, commits=True)
    world.finish()
    assert frozen_deals(world, Q1)["D-1"].amount == 30
    assert frozen_deals(world, Q2)["D-1"].amount == 100


def test_closing_without_a_sweep_goes_on_by_itself() -> None:
    """Where the list of closed periods was lost, `proceed` freezes a bounded number of deals at a time (F12)."""
    fold, models = PartialSumsFold(0, 1), {"acme": CLOSES_Q1}
    count = 2 * FLUSH_UNITS_MAX + 1
    for number in range(count):
        fold.restore(incoming(deal(deal_id=f"D-{number}", amount="1"))._replace(offset=number))
    fold.restored(models, frozenset())
    effects = Effects()
    fold.flush(models, effects)
    assert effects.outcomes == {"closed_without_sweep": 1}
    while fold.unfinished_from is not None:
        assert fold.unfinished_from == count  # nothing to repeat: a successor freezes the same deals
        assert effects.state == []
        step = Effects()
        fold.proceed(models, step, 100)
        assert len(step.messages) <= 100
        effects.messages += step.messages
        if step.state:
            break
    while fold.unfinished_from is not None:
        fold.proceed(models, effects, 100)
    found = fold.partial("acme", "bay", Q1, None)
    assert found is not None
    assert found.frozen is not None
    assert found.frozen.sums["won"] == count
    assert sum(message.topic == FROZEN.name for message in effects.messages) == count
