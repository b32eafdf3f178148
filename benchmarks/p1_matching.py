"""P1, P10: matching account rules on the mixed corpus, with our engines and others in turns."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from assigner.matching.engines import ENGINE_NAMES
from assigner.matching.rule_book import RuleBook, rule_book
from benchmarks.contest import Built, Contender, EngineProcess
from benchmarks.corpus import MIX, model_document, record_changes
from benchmarks.plot import Line, draw
from benchmarks.results import RESULTS, Figure, Report, Table, figure, say
from territory.criteria import Fields
from territory.criteria.values import read_fields
from territory.model.compiled import Model, compile_model
from territory_runtime.gc_tuning import tune_gc

SIZES = (1_000, 4_000, 10_000, 25_000, 100_000)
INDEX_ALONE = (10_000,)
"""Sizes at which only the growth of the index is measured."""
INDEX, PLAIN, CLOSURES = "index", "plain", "closures"
OWN = "benchmarks.entrants.own"
CONTENDERS = (
    Contender(INDEX, OWN, "OwnEngine", (INDEX,)),
    Contender(PLAIN, OWN, "OwnEngine", (PLAIN,)),
    Contender(CLOSURES, "benchmarks.entrants.closures", "Closures"),
    Contender("zen-engine", "benchmarks.entrants.zen_table", "ZenTable", is_native=True),
    Contender("rule-engine", "benchmarks.entrants.rule_expressions", "RuleExpressions", territories_max=4_000),
    Contender("durable-rules", "benchmarks.entrants.durable", "DurableBook", is_native=True, territories_max=4_000),
)
LIBRARY_OF = {"zen-engine": "zen", "rule-engine": "rule_engine", "durable-rules": "durable"}

TURN_SECONDS = 0.4
LATENCY_SECONDS = 1.0
SAMPLED_RECORDS = 300
ANSWER_SECONDS = 3.0
BUILDS, BUILDS_MANY_TERRITORIES = 3, 1
MANY_TERRITORIES = 25_000
SHOWN_FAULTS_MAX = 20

CLOSURES_RATIO_MIN = 100
PROMISED_AT = 25_000
RECORDS_A_SECOND_MIN = {25_000: 50_000, 100_000: 15_000}
GROWTH_MAX = {(1_000, 25_000): 3.0, (1_000, 10_000): 1.3, (10_000, 100_000): 1.3}
BUILD_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """One engine at one size."""

    territories: int
    engine: str
    build_seconds: float
    memory_mb: float
    records_per_second: float
    p50_us: float
    p99_us: float | None
    records: int
    """Records matched on the clock."""
    checked: int
    """Answers compared with the plain engine's."""
    rules: int
    """Rules it can represent."""


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure all engines at all sizes up to a number of territories, in this many rounds each."""
    sizes = [size for size in SIZES if size <= territories] or [territories]
    fields: list[Fields] = []
    contest = _Contest(runs)
    with ExitStack() as open_processes:
        for size in sizes:
            say(f"p1: {size:,} territories")
            model = contest.compiled(size, seed)
            book = rule_book(model, "account")
            fields = fields or list(accounts(model, records, seed))
            index = open_processes.enter_context(contest.measure(size, book, fields))
            contest.indexes[size] = index
            del model, book
            gc.collect()
        contest.measure_growth()
    draw(
        RESULTS / "p1.svg",
        "Matching an account against the rules of all territories",
        ("territories", "records a second"),
        [
            Line(name, [(one.territories, one.records_per_second) for one in contest.measured if one.engine == name])
            for name in dict.fromkeys(one.engine for one in contest.measured)
        ],
    )
    return Report(
        name="p1",
        title="matching accounts on the mixed corpus, typed values to territories",
        parameters={
            "records": len(fields),
            "territories": sizes,
            "turns": runs,
            "turn_seconds": TURN_SECONDS,
            "memory": "tracemalloc; of zen-engine and durable-rules the growth of the process's resident set",
            "off_index_share": contest.off_index,
            "compile_seconds": contest.compile_seconds,
        },
        surroundings=contest.skipped,
        figures=tuple(contest.figures),
        faults=tuple(contest.faults[:SHOWN_FAULTS_MAX]),
        checked=contest.checked,
        tables=(_table_of(contest.measured),),
    )


def accounts(model: Model, count: int, seed: int) -> Iterator[Fields]:
    """Yield the typed values of this many new accounts, for the fields that rules compare."""
    types = model.field_types["account"]
    names = {name: types[name] for name in sorted(rule_book(model, "account").fields)}
    changes = record_changes(int(count / MIX["account"] * 1.3) + 100, seed)
    made = (change for change in changes if change["object"] == "account" and change["op"] == "upsert")
    for change in itertools.islice(made, count):
        yield read_fields(names, change["fields"])[0]


class _Contest:
    """Results so far."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self.indexes: dict[int, EngineProcess] = {}
        self.measured: list[_Measured] = []
        self.figures: list[Figure] = []
        self.faults: list[str] = []
        self.checked: dict[str, int] = {}
        self.skipped: dict[str, str] = {}
        self.off_index: dict[str, float] = {}
        self.compile_seconds: dict[str, float] = {}

    def compiled(self, size: int, seed: int) -> Model:
        """Return the model of this many territories, and record the processor seconds of compiling it."""
        document = model_document(size, seed)
        gc.collect()
        thresholds = gc.get_threshold()
        tune_gc()  # as the services do
        taken: list[float] = []
        for _ in range(BUILDS if size <= MANY_TERRITORIES else BUILDS_MANY_TERRITORIES):
            began = time.process_time()
            model = compile_model(document, 1)
            taken.append(time.process_time() - began)
        gc.set_threshold(*thresholds)
        self.compile_seconds[str(size)] = median(taken)
        return model

    def measure(self, size: int, book: RuleBook, records: Sequence[Fields]) -> EngineProcess:
        """Measure the engines at one size; return the index, still open."""
        with ExitStack() as stack:
            entered: dict[str, EngineProcess] = {}
            for contender in CONTENDERS:
                if self._takes_part(contender, size):
                    say(f"p1: {size:,} territories: building {contender.name}")
                    builds = BUILDS if contender.name in (INDEX, PLAIN) and size <= MANY_TERRITORIES else 1
                    process = EngineProcess(contender, book, records, builds)
                    entered[contender.name] = process
                    if contender.name != INDEX:
                        stack.enter_context(process)
            if len(entered) > 1:
                self._check(size, entered)
            self._take_turns(size, entered)
            return entered[INDEX]

    def _takes_part(self, contender: Contender, size: int) -> bool:
        if size in INDEX_ALONE:
            return contender.name == INDEX
        library = LIBRARY_OF.get(contender.name)
        if library is not None and importlib.util.find_spec(library) is None:
            self.skipped[contender.name] = f"skipped: {library} is not installed (make bench-match installs it)"
            return False
        if contender.name == "durable-rules" and "durable" not in ENGINE_NAMES:
            self.skipped[contender.name] = "skipped: the assigner has no engine of this name yet"
            return False
        return contender.territories_max is None or size <= contender.territories_max

    def _check(self, size: int, entered: dict[str, EngineProcess]) -> None:
        """Compare the answers of all engines with the plain engine's (A9)."""
        all_right = entered[PLAIN].answers(SAMPLED_RECORDS, 10 * ANSWER_SECONDS)
        for name, process in entered.items():
            found = process.answers(len(all_right), ANSWER_SECONDS)
            is_whole = process.built.carried == entered[PLAIN].built.carried
            right = all_right if is_whole else process.right_answers(len(found))
            self.checked[f"{name} at {size}"] = len(found)
            for number, (one, other) in enumerate(zip(found, right, strict=False)):
                if one != other:
                    self.faults.append(f"{name}, {size} territories, record {number}: found {one}, expected {other}")

    def _take_turns(self, size: int, entered: dict[str, EngineProcess]) -> None:
        turns = [{name: process.turn(TURN_SECONDS) for name, process in entered.items()} for _ in range(self._turns)]
        for name, process in entered.items():
            p50, p99 = process.latencies(LATENCY_SECONDS)
            built = process.built
            self.measured.append(
                _Measured(
                    size,
                    name,
                    built.seconds,
                    built.memory_bytes / 1e6,
                    median(turn[name].records_per_second for turn in turns),
                    p50 * 1e6,
                    None if p99 is None else p99 * 1e6,
                    sum(turn[name].records for turn in turns),
                    self.checked.get(f"{name} at {size}", 0),
                    built.carried,
                )
            )
        speeds = [{name: turn.records_per_second for name, turn in one.items()} for one in turns]
        self._promise(size, speeds, entered[INDEX].built)

    def _promise(self, size: int, speeds: Sequence[dict[str, float]], index: Built) -> None:
        """Record the figures of one size beside their aims."""
        others = sorted({name for one in speeds for name in one} - {INDEX})
        if others:
            first = max(others, key=lambda name: median(one[name] for one in speeds))
            self.figures += [
                figure(
                    f"index, {size:,} territories, beside closures",
                    "records/s",
                    [(one[INDEX], one[CLOSURES]) for one in speeds],
                    ratio_min=CLOSURES_RATIO_MIN if size == PROMISED_AT else None,
                ),
                figure(
                    f"index, {size:,} territories, beside the fastest other, {first}",
                    "records/s",
                    [(one[INDEX], one[first]) for one in speeds],
                    ratio_min=1,
                ),
            ]
        if size in RECORDS_A_SECOND_MIN:
            self.figures.append(
                figure(
                    f"index, {size:,} territories",
                    "records/s",
                    [(one[INDEX], None) for one in speeds],
                    value_min=RECORDS_A_SECOND_MIN[size],
                )
            )
        self.off_index[str(size)] = index.off_index / index.carried
        compiled = self.compile_seconds[str(size)]
        self.figures += [
            figure(f"compiling the model, {size:,} territories", "s", [(compiled, None)]),
            figure(
                f"the same and the index, {size:,} territories",
                "s",
                [(compiled + index.seconds, None)],
                value_max=BUILD_SECONDS_MAX if size == PROMISED_AT else None,
            ),
            figure(f"rules off the index, {size:,} territories", "%", [(100 * self.off_index[str(size)], None)]),
        ]

    def measure_growth(self) -> None:
        """Measure the indexes of all sizes in turns, and record how the cost of a record grows (P10)."""
        turns = [
            {size: 1e6 / process.turn(TURN_SECONDS).records_per_second for size, process in self.indexes.items()}
            for _ in range(2 * self._turns)
        ]
        for (small, large), growth_max in GROWTH_MAX.items():
            if large in self.indexes:
                self.figures.append(
                    figure(
                        f"index, {small:,} to {large:,} territories",
                        "µs a record",
                        [(one[large], one[small]) for one in turns],
                        ratio_max=growth_max,
                    )
                )


def _table_of(measured: Sequence[_Measured]) -> Table:
    columns = ("territories", "engine", "build", "memory", "records/s", "p50", "p99", "matched", "checked", "rules")
    rows = tuple(
        (
            f"{one.territories:,}",
            one.engine,
            f"{one.build_seconds:.2f} s",
            f"{one.memory_mb:,.0f} MB",
            f"{one.records_per_second:,.0f}" if one.records_per_second >= 10 else f"{one.records_per_second:.2g}",
            f"{one.p50_us:,.0f} µs",
            "" if one.p99_us is None else f"{one.p99_us:,.0f} µs",
            f"{one.records:,}",
            f"{one.checked:,}",
            f"{one.rules:,}",
        )
        for one in measured
    )
    return Table("engines", columns, rows)
