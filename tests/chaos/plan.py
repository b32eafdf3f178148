"""Draws from a seed, before a run begins, which faults happen and when."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tests.support.house import SERVICES

Kind = Literal[
    "kill", "kill_amid", "restart", "kill_both", "pause", "zombie", "broker_stop", "broker_kill", "redis_stop",
    "redis_kill", "redis_slow", "redis_cut", "redis_hung", "redis_emptied", "redis_lost", "storm", "clock",
    "suspend", "hot_account", "fold_raises", "rolling_restart",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

# How often each is in the deck that faults are dealt from; all of them come before any comes more often.
WEIGHTS: Mapping[Kind, int] = {
    "kill": 3,
    "kill_amid": 2,
    "restart": 2,
    "kill_both": 2,
    "zombie": 2,
    "redis_cut": 2,
    "storm": 2,
}

LASTS_SECONDS: Mapping[Kind, tuple[float, float]] = {
    "kill": (0, 3),
    "kill_amid": (0.5, 1.5),
    "restart": (0, 1),
    "kill_both": (0, 8),  # with a session of 6 s: back in it, or after it
    "pause": (0.5, 3),
    "zombie": (8, 12),  # longer than the session: others have its partitions when it goes on
    "broker_stop": (0, 3),
    "broker_kill": (0, 3),
    "redis_stop": (0, 4),
    "redis_kill": (0, 4),
    "redis_slow": (1, 4),
    "redis_cut": (1, 3),
    "redis_hung": (15.5, 18),  # longer than a client waits for an answer
    "redis_emptied": (0, 0),
    "redis_lost": (0, 3),
    "storm": (3, 6),
    "clock": (0, 0),
    "suspend": (8, 12),  # longer than the session, as for a zombie
    "hot_account": (3, 6),
    "fold_raises": (0.3, 1),
    "rolling_restart": (0, 0),
}
LONG_SEEDS = 5
"""In one of this many seeds every broker outage is longer than the session."""
LONG_SECONDS = 9.0

GAP_SECONDS = (1.0, 5.0)
"""Seconds between the starts of two faults: they overlap."""
OUTAGES: frozenset[Kind] = frozenset({"broker_stop", "broker_kill"})
LOSSES: frozenset[Kind] = frozenset({"redis_emptied", "redis_lost"})
"""After these faults Redis has lost its data."""

CLOCK_DAYS = (-2, -1, 1, 1, 2, 15)


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault."""

    at: float
    """In seconds from the beginning."""
    kind: Kind
    lasts: float
    service: str
    worker: int
    days: int
    """Days by which a clock is off from then on, of the worker or, with worker 0, of both."""

    def __str__(self) -> str:
        of = {"clock": f" worker {self.worker or 'both'}: {self.days} days"}.get(self.kind, "")
        if self.kind in ("kill", "kill_amid", "restart", "pause", "zombie", "suspend"):
            of = f" {self.service}-{self.worker}"
        elif self.kind in ("kill_both", "storm", "rolling_restart"):
            of = f" {self.service}"
        return f"{self.kind}{of} at {self.at:.1f} s" + (f" for {self.lasts:.1f} s" if self.lasts else "")


def plan(seed: int, seconds: float, kinds: Collection[Kind] = KINDS) -> tuple[Fault, ...]:
    """Return the faults of a run of this many seconds, in order of their start."""
    dice = random.Random(f"plan {seed}")  # noqa: S311
    deck: list[Kind] = []
    faults: list[Fault] = []
    at = dice.uniform(*GAP_SECONDS)
    while kinds and at < seconds:
        if not deck:
            deck = [kind for kind in KINDS if kind in kinds for _ in range(WEIGHTS.get(kind, 1))]
            dice.shuffle(deck)
        kind = deck.pop()
        if kind in LOSSES and at > seconds / 2 and set(kinds) - LOSSES:
            # What is written anew after a loss is right, whatever went wrong before: that would be hidden.
            continue
        longer = LONG_SECONDS if kind in OUTAGES and seed % LONG_SEEDS == 0 else 0.0
        faults.append(
            Fault(
                round(at, 3), kind, round(dice.uniform(*LASTS_SECONDS[kind]) + longer, 3),
                dice.choice(SERVICES), dice.choice((0, 1, 2)) if kind == "clock" else dice.choice((1, 2)),
                dice.choice(CLOCK_DAYS),
            )
        )  # fmt: skip
        at += dice.uniform(*GAP_SECONDS)
    return tuple(faults)
