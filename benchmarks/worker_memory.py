"""Measures the memory of a worker's stages in a fresh process that processes the worker's messages.

The messages are JSON lines, as on the topics, so Python shares nothing between records that were made together.
Growth is that of the process's resident set, which is what a machine must have.

python -m benchmarks.worker_memory WORKER MODEL MESSAGES
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from access_indexer.core.stage import AccessFold
from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from assigner.intake.stage import IntakeFold
from benchmarks.contest import resident_bytes
from benchmarks.corpus import Change
from territory.model.compiled import compile_model
from territory.stage import Effects, Fold, InputMessage, Models
from territory.wire import topics
from territory.wire.codec import encode
from territory.wire.events import read_assignment, read_record, read_record_change
from territory_admin.errors import StackFailed
from territory_runtime.gc_tuning import tune_gc

WARM_RECORDS = 1_000
"""Messages for stages that are thrown away, so that one-time allocations happen before the first look."""
CHILD_SECONDS_MAX = 1_800.0

CHANGES, RECORDS, ASSIGNMENTS = "changes.jsonl", "records.jsonl", "assignments.jsonl"
"""The CRM's messages, what the assigner's first stage forwards to its second, and the second's output."""


class Grown(NamedTuple):
    """Memory of one stage."""

    fold: str
    records: int
    """Number of records it holds."""
    bytes: int


class Told(NamedTuple):
    """A stage, and where its messages are."""

    name: str
    fold: Fold
    topic: str
    file: str
    read: Callable[[bytes], Any]

    def tell(self, line: bytes, models: Models) -> Effects:
        """Process a message, as the loop would; return its effects."""
        event, effects = self.read(line), Effects()
        self.fold.apply(InputMessage(self.topic, event.key, event, {}, size=len(line)), models, effects)
        self.fold.flush(models, effects)
        return effects


def assigner_folds(linkers: PolicyCache) -> tuple[Told, ...]:
    """Return the two stages of an assigner that has one partition of each."""
    return (
        Told("intake", IntakeFold(0), topics.RECORDS.name, CHANGES, read_record_change),
        Told("assignment", AssignmentFold(linkers), topics.FAMILIES.name, RECORDS, read_record),
    )


def indexer_folds(_: PolicyCache) -> tuple[Told, ...]:
    """Return the stage of an access indexer."""
    return (Told("indexing", AccessFold(0, 1), topics.ASSIGNMENTS.name, ASSIGNMENTS, read_assignment),)


WORKERS = {"assigner": assigner_folds, "access-indexer": indexer_folds}


def write_messages(folder: Path, changes: Iterable[Change], models: Models, linkers: PolicyCache) -> int:
    """Write what the topics hold after some changes of new records; return the bytes of the changes."""
    intake, assignment = assigner_folds(linkers)
    written = 0
    with ExitStack() as files:
        published, forwarded, decided = (
            files.enter_context((folder / name).open("wb")) for name in (CHANGES, RECORDS, ASSIGNMENTS)
        )
        for change in changes:
            line = encode(change)
            written += len(line)
            published.write(line + b"\n")
            for record in intake.tell(line, models).messages:
                line = encode(record.value)
                forwarded.write(line + b"\n")
                for said in assignment.tell(line, models).messages:
                    decided.write(encode(said.value) + b"\n")
    return written


def measure(worker: str, model: Path, messages: Path) -> list[Grown]:
    """Measure each stage of a worker in a fresh process. Raises: StackFailed with its output."""
    command = (sys.executable, "-m", "benchmarks.worker_memory", worker, str(model), str(messages))
    ended = subprocess.run(command, capture_output=True, timeout=CHILD_SECONDS_MAX, check=False)
    if ended.returncode:
        raise StackFailed(f"{' '.join(command[1:4])} exited {ended.returncode}: {ended.stderr.decode()[-2_000:]}")
    return msgspec.json.decode(ended.stdout, type=list[Grown])


def _grown(worker: str, model: Path, messages: Path) -> list[Grown]:
    compiled = compile_model(msgspec.json.decode(model.read_bytes()), 1)
    models, linkers = {compiled.org_id: compiled}, PolicyCache()
    linkers.prepare(compiled)
    for told in WORKERS[worker](linkers):
        with (messages / told.file).open("rb") as lines:
            for line in islice(lines, WARM_RECORDS):
                told.tell(line, models)
    folds = WORKERS[worker](linkers)
    gc.collect()
    tune_gc()  # as the services do
    found, before = [], resident_bytes()
    if not before:
        raise StackFailed("this system does not say how much memory a process has (/proc/self/statm)")
    for told in folds:
        with (messages / told.file).open("rb") as lines:
            for line in lines:
                told.tell(line, models)
        gc.collect()
        after = resident_bytes()
        found.append(Grown(told.name, len(told.fold), after - before))
        before = after
    return found


if __name__ == "__main__":
    print(msgspec.json.encode(_grown(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))).decode())
