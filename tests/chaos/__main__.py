"""Runs seeds of chaos one after another, prints the result of each, and writes a summary.

    python -m tests.chaos --seed 7 --seconds 90
    python -m tests.chaos --seeds 20 --seconds 90 --summary chaos.json
    python -m tests.chaos --without restore --seeds 5      # expects a difference; exit 0 when there is one

The exit code is 0 when every end state equals the oracle's, 1 when not, 2 when a server is missing.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.guards import GUARDS
from tests.chaos.plan import KINDS, plan
from tests.chaos.run import EVENTS_PER_SECOND, Outcome, ServersMissing, run


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    told = _told()
    kinds = [kind for kind in KINDS if kind in (told.only or KINDS)]
    seeds = range(told.seed, told.seed + told.seeds)
    if told.plan:
        for seed in seeds:
            print(f"seed {seed}:", *plan(seed, told.seconds, kinds), sep="\n  ")  # noqa: T201 -- what it is for
        return 0
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says at length that a broker is away
    folder = Path(tempfile.mkdtemp(prefix="territory-chaos-")) if told.folder is None else told.folder
    outcomes: list[Outcome] = []
    for seed in seeds:
        began = time.monotonic()
        mine = folder / f"seed-{seed}"
        shutil.rmtree(mine, ignore_errors=True)
        mine.mkdir(parents=True)
        try:
            outcome = run(
                seed, told.seconds, mine, kinds=kinds, without=told.without, per_second=told.events_per_second
            )
        except ServersMissing as missing:
            print(missing, file=sys.stderr)  # noqa: T201
            return 2
        outcomes.append(outcome)
        print(outcome, f"({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201
        if outcome.failures:
            print(f"  logs: {mine}", flush=True)  # noqa: T201
        else:
            shutil.rmtree(mine)
        if outcome.failures and told.without is not None:
            break  # found out
    summary = _summary(outcomes, told.without)
    if told.summary is not None:
        told.summary.parent.mkdir(parents=True, exist_ok=True)
        told.summary.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps({name: value for name, value in summary.items() if name != "runs"}))  # noqa: T201
    return int(bool(summary["failures"]) == (told.without is None))


def _told() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after another")
    parser.add_argument("--seconds", type=float, default=90, help="of records and faults, for each seed")
    parser.add_argument("--events-per-second", type=int, default=EVENTS_PER_SECOND)
    parser.add_argument("--only", nargs="*", choices=KINDS, help="no other faults than these")
    parser.add_argument("--without", choices=GUARDS, help="take a guard away, and expect to see it")
    parser.add_argument("--summary", type=Path, help="a JSON file to write")
    parser.add_argument("--folder", type=Path, help="where servers and logs go; those of seeds that failed stay")
    parser.add_argument("--plan", action="store_true", help="say what would go wrong, and do nothing")
    return parser.parse_args()


def _summary(outcomes: list[Outcome], without: str | None) -> dict[str, Any]:
    return {
        "without": without,
        "seeds": [outcome.seed for outcome in outcomes],
        "seconds": sum(outcome.seconds for outcome in outcomes),
        "events": sum(outcome.events for outcome in outcomes),
        "models": sum(outcome.models for outcome in outcomes),
        "faults": dict(sorted(Counter(done.fault.kind for outcome in outcomes for done in outcome.faults).items())),
        "ended_by_themselves": sum(len(outcome.ended) for outcome in outcomes),
        "failures": [outcome.seed for outcome in outcomes if outcome.failures],
        "runs": [_told_of(outcome) for outcome in outcomes],
    }


def _told_of(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "events": outcome.events,
        "models": outcome.models,
        "quiet_seconds": outcome.quiet_seconds,
        "faults": [str(done) for done in outcome.faults],
        "ended_by_themselves": [str(ended) for ended in outcome.ended],
        "failures": outcome.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
