"""P20: the assigner with one refused message after every ten good ones, beside as many messages that are all good.

A refused message becomes a dead letter, which is one more message to send. It must not slow the good ones down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord

from benchmarks.answers import Answers
from benchmarks.corpus import record_changes
from benchmarks.measuring import Taken, measure
from benchmarks.p2_assigner import SHOWN_FAULTS_MAX, STAGES, Load, check, corpus_of, make_load
from benchmarks.publisher import prepare
from benchmarks.results import Report, figure, say
from benchmarks.stack import PARTITIONS, Stack, running_stack
from territory.model.compiled import compile_model
from territory.wire.topics import DEAD_LETTERS, RECORDS
from territory_admin.log.topic_reader import partitions_of, read_messages
from territory_runtime.settings import Settings

GOOD_EACH = 10
"""Good messages for each refused one: 100 000 and 10 000."""
RATIO_MAX = 2.0


def _with_refused(changes: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield changes, and after every ten a copy of the last whose version is no number."""
    for number, change in enumerate(changes, 1):
        yield change
        if number % GOOD_EACH == 0:
            yield {**change, "version": "newest"}


def _make_mixed(folder: Path, good: Load, refused: int, seed: int) -> Load:
    """Return a load of as many messages, some of which are refused."""
    path = folder / "mixed.tsv"
    taken = list(record_changes(good.records - refused, seed))
    size = prepare(path, _with_refused(taken), PARTITIONS)
    answers = Answers(compile_model(good.document, 1), taken)
    return Load(path, good.model, good.records, size, good.document, answers)


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure both loads several times, each on servers of its own, and check assignments and dead letters."""
    good = make_load(folder, records, territories, seed)
    refused = records // (GOOD_EACH + 1)
    mixed = _make_mixed(folder, good, refused, seed)
    seconds: list[tuple[float, float]] = []
    costs: list[tuple[float, float]] = []
    faults: list[str] = []
    checked = 0
    surroundings: dict[str, str] = {}
    for number in range(runs):
        taken: list[Taken] = []
        for load, expected in ((mixed, refused), (good, 0)):
            with running_stack(embedded=embedded) as stack:
                surroundings = {"broker": stack.broker}
                taken.append(_assign(stack, load))
                wrong, count = asyncio.run(check(stack.settings, load.answers, seed))
                letters = asyncio.run(_dead_letters(stack.settings))
                if letters != expected:
                    wrong.append(f"found {letters} dead letters, expected {expected}")
                faults += wrong
                checked += count
        some, none = taken
        seconds.append((some.seconds, none.seconds))
        costs.append((load.cost_each(some), load.cost_each(none)))
        say(f"run {number + 1}: {some.seconds:.1f} s with refused messages, {none.seconds:.1f} s without")
    return Report(
        name="p20",
        title="refused messages amid good ones, the assigner, both stages, one worker",
        parameters=corpus_of(good) | {"refused": refused},
        surroundings=surroundings,
        figures=(
            figure("assigner, a refused one after every ten, published before", "s", seconds, ratio_max=RATIO_MAX),
            figure(
                "assigner, a refused one after every ten, processor time", "µs a message", costs, ratio_max=RATIO_MAX
            ),
        ),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked={"assignments": checked},
    )


def _assign(stack: Stack, load: Load) -> Taken:
    stack.provision(load.document, [])
    worker = stack.start_service("assigner")
    taken = measure(stack, load.path, RECORDS.name, STAGES, workers=[worker], way="backlog")
    worker.stop()
    return taken


async def _dead_letters(settings: Settings) -> int:
    letters: list[ConsumerRecord] = []
    await read_messages(settings, dict.fromkeys(partitions_of(DEAD_LETTERS, PARTITIONS), 0), letters.append)
    return len(letters)
