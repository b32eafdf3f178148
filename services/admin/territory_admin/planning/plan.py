"""`territory plan`: the records on the log under the model in effect and under another, which nobody is told of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from assigner.assignment.policy_cache import PolicyCache
from territory.model.compiled import Model
from territory.wire.events import Record, read_record
from territory.wire.topics import FAMILIES
from territory_admin.log.organisation_reader import Progress, Reading
from territory_admin.log.topic_reader import existing_partitions, partitions_of, started
from territory_admin.models.activation import CheckedModel, PieceChanges, changes_between
from territory_admin.models.topic import model_topic
from territory_admin.planning.comparison import Comparison, Plan
from territory_admin.planning.decision import decided
from territory_runtime.kafka import clients
from territory_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying a model would do."""

    org_id: str
    revision: int
    """The one in effect; 0: none is."""
    changes: PieceChanges
    plan: Plan


async def plan(settings: Settings, checked: CheckedModel, examples_max: int, progress: Progress) -> Planned:
    """Return what a model would change for the records that the assigner has now; nothing is written anywhere.

    Relative dates are meant on today (C7), under both. Memory: the records of one partition at a time.

    Raises: NotFound; AmountOutOfRange; KafkaError.
    """
    org_id = checked.org_id
    places = partitions_of(FAMILIES, await existing_partitions(settings))
    async with model_topic(settings) as topic:
        await topic.read_on()
        activated = topic.log.activated(org_id)
        present = None if activated is None else topic.log.model_of(org_id)
    before = None if present is None else _of_today(present)
    after = _of_today(checked.model)
    comparison = Comparison(before, after, examples_max)
    linkers = PolicyCache()
    async with started(clients.reader(settings)) as consumer:
        reading = Reading(consumer, org_id, progress)
        await reading.mark(places)
        for where in places:
            records: dict[str, Record] = {}

            def take(key: str, record: Record | None, records: dict[str, Record] = records) -> None:
                records.pop(key, None)
                if record is not None:
                    records[key] = record

            await reading.read(where, read_record, take)
            held, due = (decided(records, model, linkers) for model in (before, after))
            for key in sorted(held.keys() | due.keys()):
                comparison.take(held.get(key), due.get(key))
    changes = changes_between({} if activated is None else activated.pieces, checked.pieces)
    return Planned(org_id, 0 if activated is None else activated.activation.revision, changes, comparison.plan())


def _of_today(model: Model) -> Model:
    return model.on(model.day_of(datetime.now(UTC)))
