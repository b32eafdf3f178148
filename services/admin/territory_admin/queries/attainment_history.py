"""Reads attainment over time from territory.attainments.v1."""

from __future__ import annotations

from territory.model.compiled import Model
from territory.wire.events import Attainment, read_attainment
from territory.wire.keys import attainment_key, partition_of
from territory.wire.topics import ATTAINMENTS
from territory_admin.arguments import check_period, check_territory
from territory_admin.log.kafka_session import kafka_session
from territory_admin.log.organisation_reader import OnRead, OrganisationReader
from territory_admin.log.topic_reader import partitions_of
from territory_admin.models.topic import read_active_model
from territory_admin.reports.history import DailyAttainments, HistoryPoint
from territory_runtime.settings import Settings


async def attainment_history(
    settings: Settings, territory_id: str | None, period: str | None, report: OnRead
) -> tuple[Model, list[HistoryPoint]]:
    """Return the active model, and the last attainment of each day.

    Days are the organisation's, by the time at which the aggregator published. Compaction keeps the last value
    of a key, and all values younger than the topic's min.compaction.lag.ms.

    Args:
        settings: The brokers and the organisation.
        territory_id: Only this territory; None for the roots.
        period: Only this period; None for all.
        report: Called with how many messages were read, and how many there are.

    Raises: NotFound for an unknown territory; Refused for a text that is not a period; KafkaError.
    """
    async with kafka_session(settings) as kafka:
        partitions = await kafka.existing_partitions()
        model = await read_active_model(kafka, settings.org_id)
        if territory_id is not None:
            check_territory(model, territory_id)
        if period is not None:
            check_period(model, period)
        wanted = model.tree.children_of(None) if territory_id is None else (territory_id,)
        history = DailyAttainments(model.calendar)

        def take(key: str, published_ms: int, attainment: Attainment | None) -> None:
            _, territory, of_period, *user = key.split("/")
            if not user and territory in wanted and period in (None, of_period):
                history.take(territory, of_period, published_ms, attainment)

        places = partitions_of(ATTAINMENTS, partitions)
        if territory_id is not None and period is not None:
            places = [places[partition_of(attainment_key(settings.org_id, territory_id, period, None), partitions)]]
        reader = OrganisationReader(await kafka.consumer(), settings.org_id, report)
        await reader.mark(places)
        for where in places:
            await reader.read_timed(where, read_attainment, take)
    return model, history.points()
