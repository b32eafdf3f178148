"""P6: a new rule over many records: the assigner's second stage sweeps its families in chunks, as the loop does."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from assigner.assignment.policy_cache import PolicyCache
from assigner.assignment.stage import AssignmentFold
from benchmarks.corpus import model_document, record_changes
from benchmarks.results import Figure, Report, figure, say
from territory.model.compiled import Model, compile_model
from territory.stage import Effects, InputMessage
from territory.wire import topics
from territory.wire.events import Assignment, Record
from territory.wire.keys import family_key
from territory_runtime.gc_tuning import tune_gc
from territory_runtime.settings import Settings

RECORDS_A_SECOND_MIN = 60_000
FIRST_EFFECTS_SECONDS_MAX = 1.0
PLAIN_SHARE = 50
"""Every n-th family is swept with the plain engine as well: it takes too long for all of them."""
PLAIN_SLICES = 40
"""The plain engine's chunks, spread between ours, so that other load slows both."""
CHANGED_DEPTH = 2
SHOWN_FAULTS_MAX = 20
WARM = {"field": "rating", "eq": "Warm"}

Said = dict[str, tuple[object, ...]]
"""The last assignment of each record, by key."""


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Narrow one rule, sweep all records, and check their assignments; `runs` and `embedded` have no effect."""
    document = model_document(territories, seed)
    model = compile_model(document, 1)
    linkers, plain_linkers = PolicyCache(), PolicyCache("plain")
    fold, plain, fresh = AssignmentFold(linkers), AssignmentFold(plain_linkers), AssignmentFold()
    for number, record in enumerate(corpus_records(records, seed)):
        message = InputMessage(topics.FAMILIES.name, record.key, record, {})
        fold.restore(message)
        fresh.restore(message)
        if crc32(record.family.encode()) % PLAIN_SHARE == 0:
            plain.restore(message)
        if number % 100_000 == 0:
            say(f"p6: {number:,} of {records:,} records are in memory")
    gc.collect()
    tune_gc()  # as the services do
    said, plain_said = _swept(fold, model), _swept(plain, model)
    changed_id = _changed(model, said)
    narrowed = compile_model(_narrowed(document, changed_id), 2)
    for maker in (linkers, plain_linkers):
        maker.of(narrowed)  # a worker does this before the model takes effect
    found = _sweep(fold, plain, narrowed, said, plain_said)
    right = _swept(fresh, narrowed)
    faults = [
        f"{key}: {name} {one}, {other_name} {other}"
        for (name, among), (other_name, others) in (
            (("the sweep says", said), ("a fresh fold", right)),
            (("the plain engine says", plain_said), ("the sweep", said)),
        )
        for key in among
        if (one := among[key]) != (other := others.get(key))
    ]
    if said.keys() != right.keys():
        faults.append(f"the sweep has said something of {len(said)} records, a fresh fold of {len(right)}")
    return Report(
        name="p6",
        title="a new rule over many records, one process, no broker",
        parameters={
            "records": len(fold),
            "territories": territories,
            "records_a_slice": _slice_records(),
            "slices": len(found.slices),
            "said_anew": found.said,
            "plain_records": len(plain),
        },
        surroundings={},
        figures=tuple(_figures(found, len(fold), len(plain))),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked={"records": len(right), "records by the plain engine": len(plain_said)},
    )


def corpus_records(count: int, seed: int) -> Iterator[Record]:
    """Yield this many new records as the first stage forwards them."""
    for change in record_changes(count, seed, updates=0, deletes=0):
        org, kind, name = change["org_id"], change["object"], change["id"]
        account, contact = change.get("account_id"), change.get("contact_id")
        yield Record(
            org_id=org, object=kind, id=name, version=1, link_version=0, deleted=False, owner_id=change["owner_id"],
            account_id=account, contact_id=contact, fields=change["fields"], links={},
            family=family_key(org, kind, name, account, contact), intake_partition=0,
            event_id=change["event_id"], since_ms=0,
        )  # fmt: skip


@dataclass(slots=True)
class _Found:
    """Cost of a sweep."""

    slices: list[float] = field(default_factory=list)
    """Seconds of each chunk."""
    first_effects: float | None = None
    """Seconds until the first assignment was emitted, without building the assignment policy."""
    said: int = 0
    cpu_seconds: float = 0.0
    plain_cpu_seconds: float = 0.0


def _sweep(fold: AssignmentFold, plain: AssignmentFold, model: Model, said: Said, plain_said: Said) -> _Found:
    """Sweep both under a model, the plain engine's chunks between ours."""
    found = _Found()
    ours = fold.sweep(model, _slice_records())
    theirs = plain.sweep(model, max(1, len(plain) // PLAIN_SLICES))
    ours_each = max(1, len(fold) // _slice_records() // PLAIN_SLICES)
    plain_going = ours_going = True
    while ours_going or plain_going:
        for _ in range(ours_each):
            began, used = time.perf_counter(), time.process_time()
            effects = next(ours, None)
            taken = time.perf_counter() - began
            found.cpu_seconds += time.process_time() - used
            if effects is None:
                ours_going = False
                break
            found.slices.append(taken)
            if effects.messages and found.first_effects is None:
                found.first_effects = sum(found.slices)
            found.said += len(effects.messages)
            _note(said, effects)
        used = time.process_time()
        effects = next(theirs, None)
        found.plain_cpu_seconds += time.process_time() - used
        plain_going = effects is not None
        _note(plain_said, effects or Effects())
    return found


def _swept(fold: AssignmentFold, model: Model) -> Said:
    """Sweep everything and return the assignments that were emitted."""
    said: Said = {}
    for effects in fold.sweep(model, _slice_records()):
        _note(said, effects)
    return said


def _note(said: Said, effects: Effects) -> None:
    for message in effects.messages:
        stands = message.value
        if not isinstance(stands, Assignment):
            raise TypeError(f"found {message!r}, expected assignments only: a sweep lets no record go")
        said[message.key] = (stands.links, stands.cut, stands.runners_up, stands.dropped, stands.unassigned)


def _slice_records() -> int:
    default: int = Settings.model_fields["sweep_records_max"].default
    return default


def _changed(model: Model, said: Said) -> str:
    """Return the territory of the third level that most accounts are in by its rule."""
    counts: dict[str, int] = {}
    for key, stands in said.items():
        for link in stands[0] if "/account/" in key else ():  # type: ignore[attr-defined]  # links come first
            if model.territories[link.territory_id].depth == CHANGED_DEPTH:
                counts[link.territory_id] = counts.get(link.territory_id, 0) + 1
    return max(counts, key=lambda territory: (counts[territory], territory))


def _narrowed(document: Mapping[str, Any], territory_id: str) -> dict[str, Any]:
    """Return a model in which a territory's accounts must meet one more condition."""
    narrowed: dict[str, Any] = copy.deepcopy(dict(document))
    rules = next(one for one in narrowed["territories"] if one["id"] == territory_id)["rules"]
    rules["account"] = {"all": [rules["account"], WARM]}
    return narrowed


def _figures(found: _Found, records: int, plain_records: int) -> Iterator[Figure]:
    seconds = sum(found.slices)
    yield figure(
        "sweep, processor time",
        "records/s",
        [(records / found.cpu_seconds, plain_records / found.plain_cpu_seconds)],
        value_min=RECORDS_A_SECOND_MIN,
    )
    yield figure(
        "sweep, first effects after",
        "s",
        [(seconds if found.first_effects is None else found.first_effects, None)],
        value_max=FIRST_EFFECTS_SECONDS_MAX,
    )
    ordered = sorted(found.slices)
    yield figure("sweep, longest slice: what a live record waits", "ms", [(1e3 * ordered[-1], None)])
    yield figure("sweep, slices, 99 in 100 at most", "ms", [(1e3 * ordered[int(0.99 * (len(ordered) - 1))], None)])
