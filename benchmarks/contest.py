"""Runs matching engines in turns, each in its own process, forked once model and records are ready.

The turns alternate, so that other load on the machine slows all engines; only figures of the same round are
compared. Seconds are processor seconds, which depend less on other load than wall-clock seconds.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from types import TracebackType
from typing import Any

from assigner.matching.plain import PlainMatcher
from assigner.matching.rule_book import RuleBook
from benchmarks.entrants.entrant import Entrant
from territory.criteria import Fields
from territory_runtime.gc_tuning import tune_gc

STOP_SECONDS = 10.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LATENCIES_MAX = 20_000
P99_OF_MIN = 100


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine that can be measured.

    Attributes:
        name: What it is called in the results.
        module: Where it is; only the process that measures it imports it.
        build: The name of what makes it from a rule book, there.
        arguments: What `build` is called with before the rule book.
        is_native: Whether its memory is not Python's: then the growth of its process tells, else what is traced.
        territories_max: More than these are not sensible: it would take minutes to build or to answer.
    """

    name: str
    module: str
    build: str
    arguments: tuple[str, ...] = ()
    is_native: bool = False
    territories_max: int | None = None

    def built(self, book: RuleBook) -> Entrant:
        """Return the engine for a rule book."""
        build: Callable[..., Entrant] = getattr(importlib.import_module(self.module), self.build)
        return build(*self.arguments, book)


@dataclass(frozen=True, slots=True)
class Built:
    """Cost of building an engine.

    Attributes:
        seconds: Processor seconds; the median of several builds.
        memory_bytes: As `tracemalloc` counts it, or the growth of the process.
        carried: Number of the book's rules that the engine can represent.
        off_index: Number of those that it evaluates without its index.
    """

    seconds: float
    memory_bytes: int
    carried: int
    off_index: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What an engine did in one turn; seconds of the processor."""

    records: int
    seconds: float

    @property
    def records_per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds


class EngineProcess:
    """One engine in its process; it is built once this object exists."""

    def __init__(self, contender: Contender, book: RuleBook, records: Sequence[Fields], builds: int) -> None:
        fork = multiprocessing.get_context("fork")  # shares the prepared records instead of copying them
        self.contender = contender
        self._pipe, inner = fork.Pipe()
        self._process = fork.Process(target=_serve, args=(inner, contender, book, records, builds), daemon=True)
        self._process.start()
        inner.close()
        self.built: Built = self._pipe.recv()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process by a message, since processes forked later hold its pipe open too."""
        self._pipe.send(None)
        self._pipe.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()

    def turn(self, seconds: float) -> Turn:
        """Match records for about this long, at least one, continuing where the last turn ended."""
        return Turn(*self._ask("turn", seconds))

    def latencies(self, seconds: float) -> tuple[float, float | None]:
        """Return the median and the 99th percentile of the seconds for a record; None: too few records."""
        taken: list[float] = self._ask("latencies", seconds)
        return median(taken), quantiles(taken, n=100, method="inclusive")[98] if len(taken) >= P99_OF_MIN else None

    def answers(self, count: int, seconds: float) -> list[list[str]]:
        """Return the territories of the first records, or of fewer if they take longer than this."""
        found: list[list[str]] = self._ask("answers", count, seconds)
        return found

    def right_answers(self, count: int) -> list[list[str]]:
        """Return the plain engine's answers under the rules that this engine can represent, if those are not all."""
        found: list[list[str]] = self._ask("right_answers", count)
        return found

    def _ask(self, *question: object) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


def _serve(
    pipe: Connection, contender: Contender, book: RuleBook, records: Sequence[Fields], builds: int
) -> None:  # pragma: no cover -- in a process of its own
    tune_gc()  # as the services do
    engine, built = _build(contender, book, builds)
    prepared = [engine.prepared(fields) for fields in records]
    gc.collect()
    gc.freeze()
    pipe.send(built)
    measuring = _Measuring(engine, prepared, records)
    while (question := pipe.recv()) is not None:
        what, *arguments = question
        pipe.send(getattr(measuring, what)(*arguments))


def _build(contender: Contender, book: RuleBook, builds: int) -> tuple[Entrant, Built]:
    importlib.import_module(contender.module)
    memory = 0 if contender.is_native else _traced_bytes(contender, book)
    resident = resident_bytes()
    taken: list[float] = []
    for _ in range(builds):
        began = time.process_time()
        engine = contender.built(book)
        taken.append(time.process_time() - began)
        memory = memory or resident_bytes() - resident
    return engine, Built(median(taken), memory, engine.carried, getattr(engine, "off_index", 0))


def _traced_bytes(contender: Contender, book: RuleBook) -> int:
    tracemalloc.start()
    engine = contender.built(book)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del engine
    return held


def resident_bytes() -> int:
    """Return the memory of this process, including its share of what it was forked with."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


class _Measuring:
    """Serves the requests of the parent process."""

    def __init__(self, engine: Entrant, prepared: Sequence[Any], records: Sequence[Fields]) -> None:
        self._engine = engine
        self._records = records
        self._matching = engine.matching
        self._prepared = prepared
        self._next = 0

    def turn(self, seconds: float) -> tuple[int, float]:
        """Match records, sixteen between two looks at the clock unless one takes long."""
        matching, prepared, at = self._matching, self._prepared, self._next
        done, step = 0, 1
        began = now = time.process_time()
        while now < began + seconds:
            for fields in prepared[at : at + step]:
                matching(fields)
            done += len(prepared[at : at + step])
            at = at + step if at + step < len(prepared) else 0
            now = time.process_time()
            step = 16 if now - began < seconds / 10 else step
        self._next = at
        return done, now - began

    def latencies(self, seconds: float) -> list[float]:
        """Match records one by one, at least one."""
        matching, taken = self._matching, list[float]()
        until = time.perf_counter() + seconds
        for fields in self._prepared[:LATENCIES_MAX]:
            began = time.perf_counter()
            matching(fields)
            ended = time.perf_counter()
            taken.append(ended - began)
            if ended > until:
                break
        return taken

    def answers(self, count: int, seconds: float) -> list[list[str]]:
        """Match the first records."""
        found: list[list[str]] = []
        until = time.perf_counter() + seconds
        for fields in self._prepared[:count]:
            found.append(self._matching(fields))
            if time.perf_counter() > until:
                break
        return found

    def right_answers(self, count: int) -> list[list[str]]:
        """Match the first records with the plain engine, under this engine's own part of the book."""
        book: RuleBook = self._engine.book  # type: ignore[attr-defined]  # only called for engines with a partial book
        plain = PlainMatcher(book)
        return [plain.matching(fields) for fields in self._records[:count]]
