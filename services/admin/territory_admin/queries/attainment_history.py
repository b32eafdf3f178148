"""Attainment over time, read from the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from territory.model.compiled import Model
from territory.wire.events import Attainment, read_attainment
from territory.wire.keys import attainment_key, partition_of
from territory.wire.topics import ATTAINMENTS
from territory_admin.arguments import check_period, check_territory
from territory_admin.log.organisation_reader import Progress, Reading
from territory_admin.log.topic_reader import existing_partitions, partitions_of, started
from territory_admin.models.topic import active_model
from territory_admin.reports.history import Histories, Point
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings


async def history(
    settings: Settings, territory_id: str | None, period: str | None, progress: Progress
) -> tuple[Model, list[Point]]:
    """Return the model, and how a territory, or else every root, stood at the end of each day.

    Days are the organisation's, by the time at which the aggregator said it.
    Compaction leaves the last value of a key and what is younger than the topic's min.compaction.lag.ms.

    Raises: NotFound for an unknown territory; Refused for what is no period; KafkaError.
    """
    partitions = await existing_partitions(settings)
    model = await active_model(settings, settings.org_id)
    if territory_id is not None:
        check_territory(model, territory_id)
    if period is not None:
        check_period(model, period)
    wanted = model.tree.children_of(None) if territory_id is None else (territory_id,)
    found = Histories(model.calendar)

    def take(key: str, said_ms: int, said: Attainment | None) -> None:
        _, where, when, *user = key.split("/")
        if not user and where in wanted and period in (None, when):
            found.take(where, when, said_ms, said)

    places = partitions_of(ATTAINMENTS, partitions)
    if territory_id is not None and period is not None:
        places = [places[partition_of(attainment_key(settings.org_id, territory_id, period, None), partitions)]]
    async with started(clients.reader(settings)) as consumer:
        reading = Reading(consumer, settings.org_id, progress)
        await reading.mark(places)
        for where in places:
            await reading.read_timed(where, read_attainment, take)
    return model, found.points()


def series_of(points: Iterable[Point]) -> Iterator[tuple[str, str, list[Point]]]:
    """Iterate over the points of each territory and period, by day."""
    for (territory_id, period), found in groupby(points, key=lambda point: (point.territory_id, point.period)):
        yield territory_id, period, list(found)
