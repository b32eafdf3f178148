"""Runs one service as it is deployed, in conditions that a test sets: another clock, a suspended host, no guard.

It can also stop itself right before a write, where no signal from outside hits it.

python -m tests.chaos.worker SERVICE [--clock FILE] [--suspended FILE] [--raises-on KEY] [--without GUARD]
    [--stops-before redis|kafka --when FILE]
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from assigner.intake.stage import IntakeFold
from territory_runtime.kafka.producer import BatchProducer
from territory_runtime.loop.model_watcher import ModelWatcher
from territory_runtime.redis.pipe import FencedPipeline
from tests.chaos.guards import GUARDS, replace_in, take_away

SUSPENDED_SECONDS_MIN = 5.0
"""A shorter gap between two looks at the clock is a busy machine, not a stopped process."""


class FoldBroken(Exception):
    """Raised by a fold on the one record that a test chose: stands for any bug of ours."""


def stop_before(what: Literal["redis", "kafka"], when: Path) -> None:
    """Have this process stop itself (SIGSTOP) when it is about to write and a file exists."""
    write: Any = {"redis": FencedPipeline.execute, "kafka": BatchProducer.send}[what]

    def stop_once() -> None:
        if when.exists():
            when.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)

    async def stopped_write(self: Any, *arguments: Any) -> None:
        if what == "kafka" or self._commands:  # without commands it only checks the fences, which does no harm
            stop_once()
        await write(self, *arguments)

    setattr(*{"redis": (FencedPipeline, "execute"), "kafka": (BatchProducer, "send")}[what], stopped_write)


def suspend_with_host(flag: Path) -> None:
    """Have the monotonic clock stand still while this process is stopped and a file exists.

    Linux does that while a host is suspended: CLOCK_MONOTONIC stands still, CLOCK_BOOTTIME goes on.
    """
    monotonic = time.monotonic
    last, suspended = monotonic(), 0.0

    def without_suspension() -> float:
        nonlocal last, suspended
        now = monotonic()
        if now - last > SUSPENDED_SECONDS_MIN and flag.exists():
            flag.unlink()
            suspended += now - last
        last = now
        return now - suspended

    replace_in(time, "monotonic", without_suspension)


def raise_on(key: str) -> None:
    """Have the intake fold raise on the messages of one record, after it has added their effects."""
    apply = IntakeFold.apply

    def raising(self: IntakeFold, message: Any, *arguments: Any) -> None:
        apply(self, message, *arguments)
        if message.key == key:
            raise FoldBroken(key)

    replace_in(IntakeFold, "apply", raising)


def main() -> None:
    """Run until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", help="assigner, access_indexer or forecast_aggregator")
    parser.add_argument("--clock", type=Path, help="a file with the seconds that the clock is off")
    parser.add_argument("--suspended", type=Path, help="while it exists, a stop of the process suspends its host")
    parser.add_argument("--raises-on", help="the key of a record on which the intake fold raises")
    parser.add_argument("--without", choices=GUARDS, help="a guard to remove")
    parser.add_argument("--stops-before", choices=("redis", "kafka"), help="a write before which it stops itself once")
    parser.add_argument("--when", type=Path, help="the file that it stops for; it removes the file")
    options = parser.parse_args()
    if options.clock is not None:
        clock: Path = options.clock
        # The service makes the watcher without a clock, so it takes this default.
        ModelWatcher.__init__.__defaults__ = (lambda: time.time() + int(clock.read_text()),)
    if options.suspended is not None:
        suspend_with_host(options.suspended)
    if options.raises_on is not None:
        raise_on(options.raises_on)
    if options.without is not None:
        take_away(options.without)
    if options.stops_before is not None:
        stop_before(options.stops_before, options.when)
    importlib.import_module(f"{options.service}.__main__").main()


if __name__ == "__main__":
    main()
