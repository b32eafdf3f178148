"""Runs one service as it is deployed, but with a clock that a test can set, and without a guard if it is told so.

It can also stop itself right before it writes, where no signal from outside hits it.

python -m tests.chaos.worker SERVICE [--clock FILE] [--without GUARD] [--stops-before redis|kafka --when FILE]
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.redis.pipe import FencedPipeline
from tests.chaos.guards import GUARDS, take_away


def stop_before(what: Literal["redis", "kafka"], when: Path) -> None:
    """Have this process stop itself (SIGSTOP) when it is about to write something and a file is there."""
    write: Any = {"redis": FencedPipeline.execute, "kafka": BatchProducer.send}[what]

    def stand_still() -> None:
        if when.exists():
            when.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)

    async def written(self: Any, *arguments: Any) -> None:
        if what == "kafka" or self._commands:  # else it only looks whether all is there, which does no harm
            stand_still()
        await write(self, *arguments)

    setattr(*{"redis": (FencedPipeline, "execute"), "kafka": (BatchProducer, "send")}[what], written)


def main() -> None:
    """Run until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", help="assigner, access_indexer or forecast_aggregator")
    parser.add_argument("--clock", type=Path, help="a file with the seconds that the clock is off")
    parser.add_argument("--without", choices=GUARDS, help="a guard to take away")
    parser.add_argument("--stops-before", choices=("redis", "kafka"), help="a write before which it stops itself once")
    parser.add_argument("--when", type=Path, help="the file that it stops for; it removes it")
    told = parser.parse_args()
    if told.clock is not None:
        clock: Path = told.clock
        # The host makes the watcher, and gives it no clock: this is the one it takes then.
        ModelWatcher.__init__.__defaults__ = (lambda: time.time() + int(clock.read_text()),)
    if told.without is not None:
        take_away(told.without)
    if told.stops_before is not None:
        stop_before(told.stops_before, told.when)
    importlib.import_module(f"{told.service}.__main__").main()


if __name__ == "__main__":
    main()
