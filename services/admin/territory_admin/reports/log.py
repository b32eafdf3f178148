"""What reports are counted from: deals as they were assigned, and whole records for their fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from forecast_aggregator.partials.stage import is_deal
from territory.model.compiled import Model
from territory.wire.events import Assignment, read_assignment, read_record
from territory.wire.topics import ASSIGNMENTS, FAMILIES
from territory_admin.arguments import check_period, check_territory
from territory_admin.log.organisation_reader import Progress, Reading
from territory_admin.log.topic_reader import existing_partitions, partitions_of, started
from territory_admin.models.topic import active_model
from territory_admin.reports.custom import Custom, grouping_of, measures_of
from territory_admin.reports.deals import LastDeals
from territory_admin.reports.fields import DealFields
from territory_admin.reports.table import Report, ReportTable, Scope
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """What a report is asked about: a period, a territory with everything below it; None for all."""

    period: str | None = None
    territory_id: str | None = None


async def standard(settings: Settings, kind: type[Report], part: Part, progress: Progress) -> ReportTable:
    """Return one of the standard reports, as the log is now.

    Memory: the deals of one partition at a time, and the report.

    Raises: NotFound for an unknown territory; Refused for what is no period; AmountOutOfRange; KafkaError.
    """
    model, partitions = await _model_of(settings)
    report = kind(_scope(model, part))
    async with started(clients.reader(settings)) as consumer:
        reading = Reading(consumer, settings.org_id, progress)
        places = partitions_of(ASSIGNMENTS, partitions)
        await reading.mark(places)
        await _count(reading, places, model, report)
    return report.table()


async def custom(
    settings: Settings,
    measures: Sequence[str],
    by: Sequence[str],
    part: Part,
    progress: Progress,
) -> ReportTable:
    """Return a report of measures by groups, as the log is now.

    Memory: as the others; where fields are asked for, an entry for every deal and the records of one partition.

    Raises: as `standard`; Refused for an unknown measure or field, too.
    """
    model, partitions = await _model_of(settings)
    scope, names, grouping = _scope(model, part), measures_of(measures), grouping_of(model, by)
    fields = DealFields(grouping.fields)
    async with started(clients.reader(settings)) as consumer:
        reading = Reading(consumer, settings.org_id, progress)
        places, families = partitions_of(ASSIGNMENTS, partitions), partitions_of(FAMILIES, partitions)
        await reading.mark(places)
        if grouping.fields:
            # Marked after the assignments: the record of whatever was assigned is there by now.
            await reading.mark(families)
            for where in families:
                await reading.read(where, read_record, fields.take)
                fields.end_partition()
        report = Custom(scope, names, grouping, fields)
        await _count(reading, places, model, report)
    return report.table()


async def _model_of(settings: Settings) -> tuple[Model, int]:
    partitions = await existing_partitions(settings)
    return await active_model(settings, settings.org_id), partitions


def _scope(model: Model, part: Part) -> Scope:
    if part.territory_id is not None:
        check_territory(model, part.territory_id)
    if part.period is not None:
        check_period(model, part.period)
    return Scope(model, part.period, part.territory_id)


async def _count(reading: Reading, places: Sequence[TopicPartition], model: Model, report: Report) -> None:
    for where in places:
        deals = LastDeals(model)

        def take(key: str, assignment: Assignment | None, deals: LastDeals = deals) -> None:
            if is_deal(key):
                deals.take(key, assignment)

        await reading.read(where, read_assignment, take)
        for deal in deals:
            report.take(deal)
