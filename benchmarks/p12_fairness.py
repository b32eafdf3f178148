"""P12: how long one organisation's changes take while another organisation's records are swept.

Both have records in every partition. The small one's changes come at a steady rate without other load, then at P4's
rate, and finally at their own rate while a model of the large one takes effect. That model moves about half of the
large one's records, and adds a user who sees them all.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from benchmarks.answers import Answers
from benchmarks.corpus import record_changes
from benchmarks.p2_assigner import SHOWN_FAULTS_MAX, Load, corpus_of, make_load
from benchmarks.p3_pipeline import SERVICES, check, check_access
from benchmarks.p4_latency import (
    SAMPLES_A_SECOND,
    STEADY,
    STEADY_RATE,
    VISIBLE_SECONDS_MAX,
    WARM_SECONDS,
    Phase,
    Published,
    percentile,
    publish,
    quiet,
    samples_of,
)
from benchmarks.publisher import prepare
from benchmarks.results import Figure, Report, figure, say
from benchmarks.stack import PARTITIONS, Stack, running_stack
from territory.model.compiled import compile_model
from territory.wire.codec import encode
from territory.wire.topics import RECORDS
from territory_admin.models.apply import apply
from territory_admin.models.validate import CheckedModel, check_model
from territory_admin.records.wait import PIPELINE, pipeline

LARGE = "large"
"""The organisation that is swept; the other is the corpus's own."""
QUIET, SWEPT = "quiet", "swept"
RATE = 100
"""Changes of the small organisation a second: few, so that they wait for the sweep and not for one another."""
RATIO_MAX = 2.0
QUIET_SECONDS, STEADY_SECONDS = 30, 20
SWEEP_RECORDS_A_SECOND = 2_000
"""The changes go on for as long as a sweep of this speed takes."""
FILL_SECONDS_EACH = 0.002
"""Most seconds for a record of the large organisation to come through."""
SWEEP_SECONDS_MAX = 3_600.0
POLL_SECONDS = 0.2
FAMILIES_CHECKED = 300
"""Accounts of the large organisation that are checked, with everything that names them."""
WARM = {"field": "rating", "eq": "Warm"}
SWEEPING = tuple(stage for stage in PIPELINE if stage.name in ("assigner-assignment", "access-indexer"))


@dataclass(slots=True)
class Sweep:
    """When a model took effect, in seconds since the epoch."""

    began: float = 0.0
    """When it was applied."""
    ended: dict[str, float] = field(default_factory=dict)
    """By stage, when its sweep ended."""
    behind_max: int = 0
    """The access indexer's largest lag meanwhile, in messages."""

    def seconds(self, stage: str) -> float:
        """Return how long a stage took."""
        return self.ended[stage] - self.began


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one run: milliseconds until visible, for the small organisation's changes."""

    quiet: list[float]
    steady: list[float]
    """At the rate of P4."""
    swept: list[float]
    sweep: Sweep
    faults: list[str]
    checked: dict[str, int]


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Run several times, each on servers of its own, and check both organisations afterwards.

    Args:
        folder: For prepared files.
        records: Of the large organisation.
        territories: Of each organisation.
        runs: How often.
        embedded: Whether to use the embedded broker.
        seed: Of the corpus.
    """
    phases = phases_of(records)
    load = make_load(folder, sum(phase.records for phase in phases), territories, seed)
    changes = list(record_changes(load.records, seed))
    large = make_large(folder, load.document, records, seed)
    found: list[Measured] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        with running_stack(embedded=embedded) as stack:
            surroundings = {"broker": stack.broker, "redis": stack.redis}
            found.append(_measure(stack, load, changes, large, seed))
        alone, beside = (percentile(waits, 99) for waits in (found[-1].quiet, found[-1].swept))
        say(f"run {number + 1}: p99 {alone:,.0f} ms quiet, {beside:,.0f} ms during the sweep")
    return Report(
        name="p12",
        title="event to visible of one organisation while another one's records are swept",
        parameters=corpus_of(load) | {"swept_records": records, "rate": RATE, "samples_a_second": SAMPLES_A_SECOND},
        surroundings=surroundings,
        figures=tuple(_figures(found)),
        faults=tuple([fault for one in found for fault in one.faults][:SHOWN_FAULTS_MAX]),
        checked=found[-1].checked,
    )


def phases_of(records: int) -> tuple[Phase, Phase, Phase]:
    """Return the small organisation's phases: two without other load, then one during a sweep."""
    first = int((WARM_SECONDS + QUIET_SECONDS) * RATE)
    second = int((WARM_SECONDS + STEADY_SECONDS) * STEADY_RATE)
    during = int((2 * WARM_SECONDS + records / SWEEP_RECORDS_A_SECOND) * RATE)
    return (
        Phase(QUIET, 0, first, RATE),
        Phase(STEADY, first, second, STEADY_RATE),
        Phase(SWEPT, first + second, during, RATE),
    )


# --- the large organisation -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Large:
    """The organisation that is swept."""

    path: Path
    """Its records, as messages in a file."""
    records: int
    model: dict[str, Any]
    narrowed: CheckedModel
    """The model that moves them."""
    answers: Answers
    """The expected assignments of some of them afterwards."""


def make_large(folder: Path, document: Mapping[str, Any], records: int, seed: int) -> Large:
    """Return the large organisation, with a model like the small one's."""
    place = folder / LARGE
    place.mkdir()
    model = {**document, "org": LARGE}
    narrowed = check_model(encode(narrowed_of(model)).decode())
    path = place / "records.tsv"
    prepare(path, _records(records, seed), PARTITIONS)
    some = families_of(_records(records, seed), FAMILIES_CHECKED)
    return Large(path, records, model, narrowed, Answers(narrowed.model, some))


def _records(count: int, seed: int) -> Iterator[dict[str, Any]]:
    return ({**one, "org_id": LARGE} for one in record_changes(count, seed + 1, updates=0, deletes=0))


def narrowed_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model with one more user in the root, and a condition right below it that half of the accounts meet."""
    narrowed = copy.deepcopy(dict(document))
    [root] = [one for one in narrowed["territories"] if "parent" not in one]
    root["users"].append(
        next(user["id"] for user in reversed(narrowed["users"]) if user["active"] and not _sees_all(user, root))
    )
    for territory in narrowed["territories"]:
        rules = territory["rules"]
        if territory.get("parent") == root["id"] and "account" in rules:
            rules["account"] = {"all": [rules["account"], WARM]}
    return narrowed


def _sees_all(user: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Return whether a user sees everything already."""
    return user["admin"] or user["id"] in root["users"] or user["id"] == root.get("manager")


def families_of(changes: Iterator[dict[str, Any]], accounts: int) -> Iterator[dict[str, Any]]:
    """Yield the first accounts and what names them; contacts name existing accounts."""
    chosen: set[str] = set()
    for change in changes:
        if change["object"] == "account" and len(chosen) < accounts:
            chosen.add(change["id"])
        if (change["id"] if change["object"] == "account" else change.get("account_id")) in chosen:
            yield change


# --- one run ----------------------------------------------------------------------------------


def _measure(stack: Stack, load: Load, changes: Sequence[Mapping[str, Any]], large: Large, seed: int) -> Measured:
    """Fill the large organisation, publish the small one's changes (quiet, P4's rate, during the sweep), check both."""
    stack.provision(load.document, [])
    asyncio.run(apply(stack.settings, check_model(encode(large.model).decode())))
    workers = [stack.start_service(service) for service in SERVICES]
    publisher = stack.start_module("benchmarks.publisher", str(large.path), RECORDS.name)
    publisher.go()
    fill_seconds_max = VISIBLE_SECONDS_MAX + large.records * FILL_SECONDS_EACH
    publisher.await_end(fill_seconds_max)
    asyncio.run(quiet(stack.settings, fill_seconds_max))
    say("p12: the large organisation's records are in Redis")
    *before, during = phases = phases_of(large.records)
    samples = {phase.name: samples_of(changes, phase) for phase in phases}
    published = {phase.name: publish(stack, load, phase, samples[phase.name]) for phase in before}
    sweep = Sweep()
    published[SWEPT] = publish(stack, load, during, samples[SWEPT], lambda: _sweep(stack, large, sweep))
    asyncio.run(quiet(stack.settings))
    faults = [
        f"{name}: {missing} changes were not visible {VISIBLE_SECONDS_MAX:g} s after the last"
        for name, asked in samples.items()
        if (missing := len(asked) - len(published[name].seen))
    ]
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        wrong, checked = check(client, compile_model(load.document, 1), load.answers, seed)
        wrong_large, checked_large = check_access(client, large.narrowed.model, large.answers, seed)
    for worker in workers:
        worker.stop()
    waits = waits_within(published[SWEPT], sweep.began, max(sweep.ended.values()))
    timed = {f"timed {phase.name}": len(published[phase.name].seen) for phase in before}
    timed["timed during the sweep"] = len(waits)
    return Measured(
        quiet=waits_within(published[QUIET], 0.0, sweep.began),
        steady=waits_within(published[STEADY], 0.0, sweep.began),
        swept=waits,
        sweep=sweep,
        faults=[*faults, *wrong, *wrong_large],
        checked=checked | {f"{kind} of the large organisation": count for kind, count in checked_large.items()} | timed,
    )


async def _sweep(stack: Stack, large: Large, sweep: Sweep) -> None:
    """Apply the other model once the changes flow, and record when every stage has swept."""
    await asyncio.sleep(WARM_SECONDS)
    # The Redis poller waits for this step too, so changes sent during it do not count.
    await apply(stack.settings, large.narrowed)
    sweep.began = time.time()
    async with pipeline(stack.settings) as stages, asyncio.timeout(SWEEP_SECONDS_MAX):
        for stage in SWEEPING:
            goal = await stages.goal(stage)
            while await stages.behind(goal):
                behind = await stages.behind(await stages.goal(SWEEPING[-1]))
                sweep.behind_max = max(sweep.behind_max, sum(one.messages for one in behind))
                await asyncio.sleep(POLL_SECONDS)
            sweep.ended[stage.name] = time.time()


def waits_within(published: Published, began: float, ended: float) -> list[float]:
    """Return the milliseconds of the samples that were sent between two moments."""
    sent = ((published.sent[place].at, at) for place, at in published.seen.items())
    return [1_000 * (at - sent_at) for sent_at, at in sent if began <= sent_at <= ended]


def _figures(found: Sequence[Measured]) -> Iterator[Figure]:
    for share in (50, 99):
        values = [(percentile(one.swept, share), percentile(one.quiet, share)) for one in found]
        limit = RATIO_MAX if share == 99 else None
        yield figure(f"event to visible during the sweep, p{share}", "ms", values, ratio_max=limit)
        values = [(percentile(one.swept, share), percentile(one.steady, share)) for one in found]
        yield figure(f"the same p{share}, beside its own at {STEADY_RATE:,}/s, as in P4", "ms", values, ratio_max=limit)
    for stage in SWEEPING:
        yield figure(f"sweep, {stage.name}", "s", [(one.sweep.seconds(stage.name), None) for one in found])
    yield figure("most that the access indexer had before it", "messages",
                 [(one.sweep.behind_max, None) for one in found])  # fmt: skip
