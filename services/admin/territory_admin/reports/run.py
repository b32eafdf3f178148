"""Runs a report: reads the deals, and the fields that they are grouped by, from the topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from forecast_aggregator.partials.stage import is_deal
from territory.model.compiled import Model
from territory.wire.events import Assignment, read_assignment, read_record
from territory.wire.topics import ASSIGNMENTS, FAMILIES
from territory_admin.arguments import check_period, check_territory
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.topic import read_active_model
from territory_admin.reports.custom import Custom, grouping_of, measures_of
from territory_admin.reports.deals import LatestDeals
from territory_admin.reports.fields import DealFields
from territory_admin.reports.table import Report, ReportTable, Scope
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """The period and the territory, with everything below it, that a report covers; None for all."""

    period: str | None = None
    territory_id: str | None = None


async def standard_report(settings: Settings, kind: type[Report], only: ReportFilter, report: OnRead) -> ReportTable:
    """Return one of the standard reports.

    Memory: the deals of one partition at a time, and the report.

    Args:
        settings: The brokers and the organisation.
        kind: A class of `standard.py`.
        only: What the report covers.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound for an unknown territory; Refused for a text that is not a period; AmountOutOfRange; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        partitions = partitions_of(ASSIGNMENTS, await kafka.existing_partitions())
        model = await read_active_model(kafka, settings.org_id)
        counting = kind(_scope(model, only))
        reader = OrganisationReader(await kafka.consumer(), settings.org_id, report)
        await reader.mark(partitions)
        await _count_deals(reader, partitions, model, counting)
    return counting.table()


async def custom_report(
    settings: Settings, measures: Sequence[str], by: Sequence[str], only: ReportFilter, report: OnRead
) -> ReportTable:
    """Return measures of deals by groups.

    Memory: as `standard_report`. Grouping by fields also takes an entry for every deal, and the records of one
    partition.

    Args:
        settings: The brokers and the organisation.
        measures: Names from `MEASURES`.
        by: Attributes or declared fields to group by.
        only: What the report covers.
        report: Called with how many messages were read, and how many there are.

    Raises: as `standard_report`; Refused for an unknown measure or field, too.
    """
    async with kafka_session(settings) as kafka:
        partitions = await kafka.existing_partitions()
        model = await read_active_model(kafka, settings.org_id)
        scope, names, grouping = _scope(model, only), measures_of(measures), grouping_of(model, by)
        fields = DealFields(grouping.fields, model.calendar.zone)
        reader = OrganisationReader(await kafka.consumer(), settings.org_id, report)
        assignments, families = partitions_of(ASSIGNMENTS, partitions), partitions_of(FAMILIES, partitions)
        await reader.mark(assignments)
        if grouping.fields:
            # Marked after the assignments, so that it holds the record of every assignment.
            await reader.mark(families)
            for where in families:
                await reader.read(where, read_record, fields.take)
                fields.end_partition()
        counting = Custom(scope, names, grouping, fields)
        await _count_deals(reader, assignments, model, counting)
    return counting.table()


def _scope(model: Model, only: ReportFilter) -> Scope:
    if only.territory_id is not None:
        check_territory(model, only.territory_id)
    if only.period is not None:
        check_period(model, only.period)
    return Scope(model, only.period, only.territory_id)


async def _count_deals(
    reader: OrganisationReader, partitions: Sequence[TopicPartition], model: Model, counting: Report
) -> None:
    for where in partitions:
        deals = LatestDeals(model)

        def take(key: str, assignment: Assignment | None, deals: LatestDeals = deals) -> None:
            if is_deal(key):
                deals.take(key, assignment)

        await reader.read(where, read_assignment, take)
        for deal in deals:
            counting.take(deal)
