"""Tries the rules of a model, applied or not, on the records that the assigner has on its topics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from territory.criteria import Criterion, Fields
from territory.model.compiled import Model
from territory.model.document import RuledObject
from territory.wire.events import Record, read_record
from territory.wire.topics import FAMILIES
from territory_admin.lint.owners import OwnerCount, OwnerCoverage
from territory_admin.lint.rule_coverage import Coverage, RecordCoverage
from territory_admin.lint.rule_lint import RuleAnalysis
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.today import of_today
from territory_runtime.settings import Settings

MEASURED_EVALUATIONS = 2_000


@dataclass(frozen=True, slots=True)
class MeasuredRule:
    """The time of one evaluation of a rule on published records: the fastest of several rounds, in µs."""

    object: RuledObject
    territory_id: str
    microseconds: float


@dataclass(frozen=True, slots=True)
class OnRecords:
    """The results of a model's rules on published records."""

    coverage: RecordCoverage
    measured: tuple[MeasuredRule, ...]
    """The costliest rules by structure whose object has records; the slowest first."""
    owners: OwnerCoverage
    """The records whose owner the model does not have."""


async def check_on_records(settings: Settings, model: Model, analysis: RuleAnalysis, report: OnRead) -> OnRecords:
    """Return which territories the records of a model's organisation reach, and how long its rules take.

    Relative dates are resolved for today (C7). Memory: the keys of one partition's records at a time.

    Args:
        settings: The brokers. The organisation is the model's own.
        model: The model.
        analysis: Its rules, analysed: the costliest are measured.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound before the services first ran; KafkaError.
    """
    model = of_today(model)
    coverage, owners = Coverage(model), OwnerCount(model)

    def take(key: str, record: Record | None) -> None:
        coverage.take(key, record)
        owners.take(key, record)

    async with kafka_session(settings) as kafka:
        partitions = partitions_of(FAMILIES, await kafka.existing_partitions())
        reader = OrganisationReader(await kafka.consumer(), model.org_id, report)
        await reader.mark(partitions)
        for where in partitions:
            await reader.read(where, read_record, take)
            coverage.end_partition()
            owners.end_partition()
    return OnRecords(coverage.result(), _measured(model, analysis, coverage), owners.result())


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
    """Return the time of one evaluation in µs: the mean over some records, in the fastest of several rounds."""
    rounds = max(1, MEASURED_EVALUATIONS // len(sample))
    fastest: float | None = None
    for _ in range(rounds):
        began = time.perf_counter()
        for fields in sample:
            criterion.holds(fields)
        took = time.perf_counter() - began
        fastest = took if fastest is None else min(fastest, took)
    return round((fastest or 0.0) / len(sample) * 1e6, 2)
