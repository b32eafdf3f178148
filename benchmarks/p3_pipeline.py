"""P3: the whole pipeline, from a record's change to Redis: access and sums."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import redis

from access_indexer.core.viewers import AccessAttributes, AccessPolicy
from benchmarks.answers import Answers
from benchmarks.measuring import measure
from benchmarks.p2_assigner import SAMPLED_RECORDS, SHOWN_FAULTS_MAX, corpus_of, make_load, pass_on
from benchmarks.passthrough import INPUT, OUTPUT
from benchmarks.results import Report, figure, say
from benchmarks.stack import running_stack
from forecast_aggregator.partials.contribution import Contribution, contribution_of
from territory.model.compiled import Model, compile_model
from territory.wire.codec import decode
from territory.wire.events import Assignment, DealFacts
from territory.wire.keys import attainment_hash_key, editable_key, record_hash_key, visible_key
from territory.wire.topics import RECORDS
from territory_admin.records.wait import PIPELINE

RECORDS_A_SECOND_MIN = 3_000
SERVICES = ("assigner", "access_indexer", "forecast_aggregator")
STRANGERS_EACH = 20
"""Users who must not see a record, checked for each record."""


def run(folder: Path, *, records: int, territories: int, runs: int, embedded: bool, seed: int = 1) -> Report:
    """Measure several times, each on servers of its own, and check the answers every time."""
    load = make_load(folder, records, territories, seed)
    model = compile_model(load.document, 1)
    faults: list[str] = []
    checked: dict[str, int] = {}
    speeds: list[tuple[float, float]] = []
    costs: list[tuple[float, float]] = []
    surroundings: dict[str, str] = {}
    for number in range(runs):
        with running_stack(embedded=embedded) as stack:
            surroundings = {"broker": stack.broker, "redis": stack.redis}
            stack.provision(load.document, [INPUT, OUTPUT])
            baseline = pass_on(stack, load, "live")
            workers = [stack.start_service(service) for service in SERVICES]
            value = measure(stack, load.path, RECORDS.name, PIPELINE, workers=workers, way="live")
            speeds.append((records / value.seconds, records / baseline.seconds))
            costs.append((load.cost_each(value), load.cost_each(baseline)))
            say(f"run {number + 1}: pipeline {speeds[-1][0]:,.0f}/s, pass-through {speeds[-1][1]:,.0f}/s")
            with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
                found, checked = check(client, model, load.answers, seed)
                faults += found
            for worker in workers:
                worker.stop()
    return Report(
        name="p3",
        title="whole pipeline, record to Redis, one worker of each service",
        parameters=corpus_of(load),
        surroundings=surroundings,
        figures=(
            figure("pipeline, record to Redis", "records/s", speeds, value_min=RECORDS_A_SECOND_MIN),
            figure("pipeline, processor time", "µs a record", costs),
        ),
        faults=tuple(faults[:SHOWN_FAULTS_MAX]),
        checked=checked,
    )


def check(client: Any, model: Model, answers: Answers, seed: int) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong in Redis, and how many answers of each kind were compared; the client decodes."""
    faults, checked = check_access(client, model, answers, seed)
    expected_sums = sums_of_root(model, answers)
    for (period, name), amount in expected_sums.items():
        text = client.hget(attainment_hash_key(model.org_id, next(iter(model.tree)), period, None), name)
        if text is None or Decimal(text) != amount:
            faults.append(f"{name} of the whole organisation in {period}: found {text}, expected {amount}")
    return faults, checked | {"sums": len(expected_sums)}


def check_access(client: Any, model: Model, answers: Answers, seed: int) -> tuple[list[str], dict[str, int]]:
    """Return wrong assignments and wrong viewers of some records."""
    rng = random.Random(seed)
    access, users = AccessPolicy(model), sorted(model.seers)
    faults: list[str] = []
    asked = 0
    sample = rng.sample(sorted(answers.records), min(SAMPLED_RECORDS, len(answers.records)))
    for key in sample:
        record, territories = answers.records[key], answers.territories_of(key)
        stands = client.hgetall(record_hash_key(record.org_id, record.object, record.id))
        found = (stands.get("version"), stands.get("owner_id"), decode(stands.get("territories", "[]").encode()))
        expected = (str(record.version), record.owner_id or "", list(territories))
        if found != expected:
            faults.append(f"{key}: found {found}, expected {expected}")
        viewers = access.viewers_of(AccessAttributes(record.object, record.owner_id, territories, ()))
        for user in {*viewers.readers, *rng.sample(users, min(STRANGERS_EACH, len(users)))}:
            for set_key, among in ((visible_key, viewers.readers), (editable_key, viewers.editors)):
                name = set_key(record.org_id, user, record.object)
                asked += 1
                if bool(client.sismember(name, record.id)) is not (user in among):
                    faults.append(f"{name}: {record.id} is {'missing from' if user in among else 'wrongly in'} it")
    return faults, {"records": len(sample), "memberships": asked}


def sums_of_root(model: Model, answers: Answers) -> dict[tuple[str, str], Decimal]:
    """Return the sums of all deals, by period and category: each deal is in the root's sums exactly once."""
    sums: dict[tuple[str, str], Decimal] = {}
    for key, record in answers.records.items():
        if record.object != "deal":
            continue
        assignment = Assignment(
            org_id=record.org_id, object="deal", id=record.id, version=record.version, model_revision=1,
            owner_id=record.owner_id, links=answers.standing_of(key).links,
            deal=DealFacts.of(record.fields),
        )  # fmt: skip
        counted = contribution_of(assignment, model)
        if isinstance(counted, Contribution):
            place = (counted.period, counted.category)
            sums[place] = sums.get(place, Decimal(0)) + counted.amount
    return sums
