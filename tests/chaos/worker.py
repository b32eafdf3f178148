"""Runs one service as it is deployed, but with a clock that a test can set, and without a guard if it is told so.

python -m tests.chaos.worker SERVICE [--clock FILE] [--without GUARD]
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from territory_runtime.model_watcher import ModelWatcher
from tests.chaos.guards import GUARDS, take_away


def main() -> None:
    """Run until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", help="assigner, access_indexer or forecast_aggregator")
    parser.add_argument("--clock", type=Path, help="a file with the seconds that the clock is off")
    parser.add_argument("--without", choices=GUARDS, help="a guard to take away")
    told = parser.parse_args()
    if told.clock is not None:
        clock: Path = told.clock
        # The host makes the watcher, and gives it no clock: this is the one it takes then.
        ModelWatcher.__init__.__defaults__ = (lambda: time.time() + int(clock.read_text()),)
    if told.without is not None:
        take_away(told.without)
    importlib.import_module(f"{told.service}.__main__").main()


if __name__ == "__main__":
    main()
