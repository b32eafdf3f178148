"""P11: deals that change, and a subtree of territories that moves, through both stages of the forecast.

Both stages are in one process, without a broker: the output of a batch goes from the first to the second. The
baseline recomputes all sums from all deals after each batch, on the same batches.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.results import Figure, Report, figure, say
from forecast_aggregator.app import SWEEP_SHARE
from forecast_aggregator.partials.contribution import Contribution, contribution_of
from forecast_aggregator.partials.stage import PartialSumsFold
from forecast_aggregator.totals.stage import AttainmentFold
from territory.model.compiled import Model, compile_model
from territory.money import ZERO, add
from territory.stage import Effects, InputMessage, Message, collapse
from territory.wire import topics
from territory.wire.events import Assignment, DealFacts, Link
from territory_runtime.settings import Settings

ORG = "acme"
CHILDREN = 4
FEW_TERRITORIES = 1_000
MOVED_TERRITORIES = 5_000
TURN_CHANGES = 500
NAIVE_TURNS = 5
"""Batches that the naive way is measured on: it takes too long for all of them."""
SHOWN_FAULTS_MAX = 20
STAGES = {
    "Prospecting": {"category": "pipeline", "probability": "0.1"},
    "Engaging": {"category": "best_case", "probability": "0.4"},
    "Won": {"category": "won"},
    "Lost": {"category": "omitted"},
}
QUARTERS = ("2017-02-01", "2017-05-01", "2017-08-01", "2017-11-01")

Sums = dict[tuple[str, str, str], Decimal]
"""By territory, period and category."""


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Change deals in batches with few and with many territories, then move a subtree there and back."""
    figures: list[Figure] = []
    faults: list[str] = []
    checked = 0
    for count in (min(FEW_TERRITORIES, territories), territories):
        forecast = _Forecast(compile_model(document(count), 1), seed)
        forecast.take(forecast.changes(records))
        say(f"p11: {records:,} deals in {count:,} territories are summed")
        changed, compared = _changed(forecast, max(1, runs))
        figures.append(figure(f"deals that change, {count:,} territories", "deals/s", changed))
        faults += compared
        if count == territories:
            figures.append(_moved(forecast, count, max(1, runs)))
        faults += forecast.faults()
        checked += len(forecast.totals.keys(ORG))
    return Report(
        name="p11",
        title="deals that change and territories that move, both steps of the forecast in one process, no broker",
        parameters={"records": records, "territories": territories, "turn_changes": TURN_CHANGES},
        surroundings={},
        figures=tuple(figures),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked={"attainments": checked},
    )


def document(territories: int, subtree: int = 0, above: int = 0) -> dict[str, Any]:
    """Return a model with a tree of this many territories; a subtree of it may be moved."""
    parents = {number: (number - 1) // CHILDREN for number in range(1, territories)}
    if subtree:
        parents[subtree] = above
    return {
        "org": ORG,
        "roles": [{"id": "rep"}],
        "users": [{"id": f"u{number}", "role": "rep"} for number in range(50)],
        "stages": STAGES,
        "territories": [
            {"id": f"t{number}", **({"parent": f"t{parents[number]}"} if number else {})}
            for number in range(territories)
        ],
        "targets": [
            {"territory": f"t{number}", "period": f"2017-Q{quarter}", "amount": "1000"}
            for number in range(0, territories, 10)
            for quarter in range(1, 5)
        ],
    }


class _Forecast:
    """Both stages with one partition each, and the last state of each deal."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model = model
        self.sums, self.totals = PartialSumsFold(0, 1), AttainmentFold()
        self.deals: dict[str, Assignment] = {}
        self._random = random.Random(seed)
        self.sums.restored({}, frozenset())
        self.totals.restored({}, frozenset())
        self.sweep(model)

    def changes(self, count: int) -> list[Assignment]:
        """Return new states of this many deals, each once."""
        known = list(self.deals)
        names = self._random.sample(known, count) if count <= len(known) else [f"D-{each}" for each in range(count)]
        return [self._change(name) for name in names]

    def _change(self, name: str) -> Assignment:
        version = self.deals[name].version + 1 if name in self.deals else 1
        facts = DealFacts(
            amount=f"{self._random.randint(1, 10_000)}.{self._random.randint(10, 99)}",
            stage=self._random.choice(list(STAGES)),
            close_date=self._random.choice(QUARTERS),
        )
        where = self._random.choice(list(self.model.territories))
        owner = f"u{self._random.randint(0, 49)}"
        return Assignment(ORG, "deal", name, version, 1, owner, (Link(where, ("rule",), ()),), deal=facts)

    def take(self, changes: list[Assignment]) -> float:
        """Process changes in batches, through both stages; return the processor seconds."""
        began = time.process_time()
        models = {ORG: self.model}
        for start in range(0, len(changes), TURN_CHANGES):
            effects = Effects()
            for change in changes[start : start + TURN_CHANGES]:
                self.sums.apply(InputMessage(topics.ASSIGNMENTS.name, change.key, change, {}), models, effects)
            self.sums.flush(models, effects)
            self._add_up(effects.messages)
        seconds = time.process_time() - began
        self.deals |= {change.id: change for change in changes}
        return seconds

    def sweep(self, model: Model) -> float:
        """Bring all deals under a model, in the loop's sweep chunks; return the processor seconds."""
        began = time.process_time()
        self.model = model
        for effects in self.sums.sweep(model, SWEEP_SHARE * Settings().sweep_records_max):
            self.sums.flush({ORG: model}, effects)
            self._add_up(effects.messages)
        return time.process_time() - began

    def _add_up(self, messages: Iterable[Message]) -> None:
        effects = Effects()
        for message in collapse(messages):
            if message.topic == topics.PARTIALS.name:
                self.totals.apply(InputMessage(message.topic, message.key, message.value, {}), {}, effects)
        self.totals.flush({}, effects)

    def faults(self) -> list[str]:
        """Return where a territory's sums differ from those of the naive way."""
        right = naive(self.deals.values(), self.model)
        found: list[str] = []
        for _, territory_id, period, user_id in self.totals.keys(ORG):
            attainment = self.totals.attainment((ORG, territory_id, period, user_id))
            if attainment is None or user_id is not None:
                continue
            for category in ("won", "pipeline", "best_case"):
                said, wanted = getattr(attainment, category), right.pop((territory_id, period, category), ZERO)
                if Decimal(said) != wanted:
                    found.append(f"{territory_id} {period} {category}: said {said}, expected {wanted}")
        return found + [f"{place} is missing" for place in right]


def naive(deals: Iterable[Assignment], model: Model) -> Sums:
    """Return all sums, recomputed from all deals."""
    sums: Sums = {}
    for deal in deals:
        counted = contribution_of(deal, model)
        if isinstance(counted, Contribution):
            for territory_id in counted.path:
                place = (territory_id, counted.period, counted.category)
                sums[place] = add(sums.get(place, ZERO), counted.amount)
    return sums


def _changed(forecast: _Forecast, runs: int) -> tuple[list[tuple[float, float | None]], list[str]]:
    """Return the deals a second of each run, beside those of the naive way on some of its batches."""
    found: list[tuple[float, float | None]] = []
    for _ in range(runs):
        gc.collect()
        changes = forecast.changes(len(forecast.deals))
        seconds = forecast.take(changes)
        began = time.process_time()
        for _ in range(NAIVE_TURNS):
            naive(forecast.deals.values(), forecast.model)
        naive_seconds = (time.process_time() - began) / NAIVE_TURNS
        found.append((len(changes) / seconds, TURN_CHANGES / naive_seconds))
    return found, forecast.faults()


def _moved(forecast: _Forecast, territories: int, runs: int) -> Figure:
    """Move the subtree nearest in size to 5 000 below the root's last child and back; return the seconds of each."""
    sizes = _sizes(territories)
    last = min(CHILDREN, territories - 1)
    subtree = min(range(1, max(2, last)), key=lambda number: abs(sizes[number] - MOVED_TERRITORIES))
    found: list[tuple[float, float | None]] = []
    for number in range(runs):
        above = last if number % 2 == 0 else 0
        model = compile_model(document(territories, subtree, above), number + 2)
        gc.collect()
        seconds = forecast.sweep(model)
        began = time.process_time()
        naive(forecast.deals.values(), model)
        found.append((seconds, time.process_time() - began))
    return figure(f"a subtree of {sizes[subtree]:,} territories moves, {len(forecast.deals):,} deals", "s", found)


def _sizes(territories: int) -> list[int]:
    sizes = [1] * territories
    for number in range(territories - 1, 0, -1):
        sizes[(number - 1) // CHILDREN] += sizes[number]
    return sizes
