"""How the records on the log fall on the territories of a model that may not be applied yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from territory.criteria import Criterion, Fields
from territory.model.compiled import Model
from territory.model.document import RuledObject
from territory.wire.events import read_record
from territory.wire.topics import FAMILIES
from territory_admin.lint.rule_coverage import Coverage, RecordCoverage
from territory_admin.lint.rule_lint import RuleAnalysis
from territory_admin.log.organisation_reader import Progress, Reading
from territory_admin.log.topic_reader import existing_partitions, partitions_of, started
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings

MEASURED_EVALUATIONS = 2_000


@dataclass(frozen=True, slots=True)
class MeasuredRule:
    """How long one evaluation of a rule took on records at hand, in µs; the least of some rounds."""

    object: RuledObject
    territory_id: str
    microseconds: float


@dataclass(frozen=True, slots=True)
class OnRecords:
    """What the records at hand say of a model's rules."""

    coverage: RecordCoverage
    measured: tuple[MeasuredRule, ...]
    """Of the costliest rules by structure, those of whose object there are records; the slowest first."""


async def on_records(settings: Settings, model: Model, analysis: RuleAnalysis, progress: Progress) -> OnRecords:
    """Return how the records of a model's organisation, as the assigner has them now, fall on its territories.

    Relative dates are meant on today (C7). Memory: the keys of one partition's records at a time.

    Raises: NotFound, KafkaError.
    """
    places = partitions_of(FAMILIES, await existing_partitions(settings))
    model = model.on(model.day_of(datetime.now(UTC)))
    coverage = Coverage(model)
    async with started(clients.reader(settings)) as consumer:
        reading = Reading(consumer, model.org_id, progress)
        await reading.mark(places)
        for where in places:
            await reading.read(where, read_record, coverage.take)
            coverage.end_partition()
    return OnRecords(coverage.result(), _measured(model, analysis, coverage))


def _measured(model: Model, analysis: RuleAnalysis, coverage: Coverage) -> tuple[MeasuredRule, ...]:
    measured = [
        MeasuredRule(
            rule.object,
            rule.territory_id,
            microseconds_of(model.territories[rule.territory_id].rules[rule.object], coverage.sample[rule.object]),
        )
        for rule in analysis.costliest
        if coverage.sample[rule.object]
    ]
    return tuple(sorted(measured, key=lambda rule: -rule.microseconds))


def microseconds_of(criterion: Criterion, sample: Sequence[Fields]) -> float:
    """Return how long one evaluation takes on some records, in µs: the mean over them in the fastest of some rounds."""
    rounds = max(1, MEASURED_EVALUATIONS // len(sample))
    fastest: float | None = None
    for _ in range(rounds):
        began = time.perf_counter()
        for fields in sample:
            criterion.holds(fields)
        took = time.perf_counter() - began
        fastest = took if fastest is None else min(fastest, took)
    return round((fastest or 0.0) / len(sample) * 1e6, 2)
