"""One run: two workers of each service, a history, a plan of faults, and the verdict on the end state."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.crew import Crew, Ended, Worker
from tests.chaos.faults import Clocks, Done, Faults
from tests.chaos.history import RAISING_KEY, messages, models
from tests.chaos.plan import LOSSES, Kind, plan
from tests.chaos.publishers import Administrators, Crms
from tests.chaos.verdict import day_has_come, final_day, judge
from tests.support.house import House
from tests.support.servers import Found, ServerT, find_kafka_of_jars, find_redis_that_keeps

SESSION_SECONDS = 6
SETTINGS: Mapping[str, object] = {
    "kafka_session_timeout_seconds": SESSION_SECONDS,
    "day_check_seconds": 0.5,
    "batch_records_max": 200,  # small turns: more places to be cut at
    "sweep_records_max": 100,
    "partials_interval_seconds": 0.2,
}
EVENTS_PER_SECOND = 300
QUIET_SECONDS = 180.0


class ServersMissing(Exception):
    """Raised when a server is not available; says which, and how to get it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run."""

    seed: int
    seconds: float
    events: int
    models: int
    faults: list[Done]
    ended: list[Ended]
    """Workers that ended by themselves. That is no failure if the end state is right."""
    quiet_seconds: float
    """Seconds from the last message and the last fault's end until everything had come through."""
    failures: list[str]

    def __str__(self) -> str:
        head = f"seed {self.seed}: {self.events} events, {self.models} models, {len(self.faults)} faults"
        if not self.failures:
            return f"{head}: right, {self.quiet_seconds:.1f} s after the last of them"
        parts = (*(f"    {done}" for done in self.faults), *(f"    {ended}" for ended in self.ended))
        return "\n".join((f"{head}: WRONG", *parts, *(f"  {failure}" for failure in self.failures)))


def run(
    seed: int,
    seconds: float,
    folder: Path,
    *,
    kinds: Collection[Kind],
    without: str | None = None,
    per_second: int = EVENTS_PER_SECOND,
) -> Outcome:
    """Run one seed for this many seconds, in a folder of its own, and judge it. Raises: ServersMissing."""
    with ExitStack() as stack:
        broker = _started(stack, find_kafka_of_jars(), folder / "kafka")
        store = _started(stack, find_redis_that_keeps(), folder / "redis")
        clocks = Clocks(folder)
        house = House(broker.bootstrap_servers, store.url, folder / "house", _command(clocks, without), **SETTINGS)
        stack.callback(house.stop_all)
        administrators = Administrators(house, models(seed), seed)
        administrators.apply_one()
        crew = stack.enter_context(closing(Crew(house)))

        began, began_at = time.monotonic(), time.time()
        crms = Crms(house, messages(seed, final_day(0)), per_second)
        faults = Faults(house, crew, broker=broker, store=store, clocks=clocks, began=began)
        until = began + seconds
        with ThreadPoolExecutor(2) as threads:
            publishing = [threads.submit(crms.publish, until), threads.submit(administrators.apply, until)]
            faults.come_to_pass(plan(seed, seconds, kinds))
        for one in publishing:
            one.result()

        whole = time.monotonic()
        if LOSSES & faults.counted.keys():
            administrators.touch()
        failures = [*faults.broken, *_unfinished(house, crew, faults.days)]
        quiet_seconds = round(time.monotonic() - whole, 1)
        failures += judge(house, administrators.applied, faults.days, began_at)
        ended = [Ended(worker, round(at - began, 1), said) for worker, at, said in crew.ended]
    return Outcome(
        seed, seconds, crms.events + faults.events, administrators.count, faults.done, ended, quiet_seconds, failures
    )


def _started(stack: ExitStack, found: Found[ServerT], folder: Path) -> ServerT:
    if found.make is None:
        raise ServersMissing(found.says)
    server = found.make(folder)
    stack.callback(server.close)
    server.start()
    return server


def _command(clocks: Clocks, without: str | None) -> Callable[[str, int], Sequence[str]]:
    def command(service: str, worker: int) -> tuple[str, ...]:
        guard = () if without is None else ("--without", without)
        launcher = (sys.executable, "-m", "tests.chaos.worker", service, "--clock", str(clocks.file(worker)))
        suspended = str(clocks.suspended(Worker(service, worker)))
        return (*launcher, "--suspended", suspended, "--raises-on", RAISING_KEY, *guard)

    return command


def _unfinished(house: House, crew: Crew, days: int) -> list[str]:
    """Wait until everything has come through; return what has not."""
    lines = crew.not_ready()
    lines += asyncio.run(day_has_come(house, days))
    try:
        house.wait(QUIET_SECONDS)
    except AssertionError as behind:
        lines += [f"behind: {line}" for line in str(behind).splitlines()]
    return lines
